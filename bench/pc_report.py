"""The table of bench/pc, and which bars are missed."""
import pc_measures

# At most so many seconds; at most this share of the peer's time; at least so many times its rate.
SECONDS = {pc_measures.SEABIOS: 0.3, pc_measures.OVMF: 2.5}
TIME_SHARE = {pc_measures.LOGIN: 0.5,
              "virtio-net/" + pc_measures.DOWNLOAD_TIME: 0.5,
              "virtio-net/" + pc_measures.UPLOAD_TIME: 0.5}
RATE_TIMES = {"AHCI": 1.5, "e1000/HTTP": 1.5, "virtio-blk/4 KiB": 4,
              "virtio-blk/1 MiB": 1.5, "virtio-net/HTTP": 4, "virtio-net/upload": 4,
              "virtio-net/round": 3, "virtio-net/connections": 3}


def bar(metric):
    """(text of the bar, whether (ours, peer) meet it), or None."""
    if metric in SECONDS:
        limit = SECONDS[metric]
        return f"≤ {limit:g} s", lambda ours, _: ours <= limit
    if metric in TIME_SHARE:
        share = TIME_SHARE[metric]
        return f"≤ {share:g} × peer", lambda ours, peer: peer and ours <= share * peer
    for start, times in RATE_TIMES.items():
        if metric.startswith(start):
            return f"≥ {times:g} × peer", lambda ours, peer, t=times: peer and ours >= t * peer
    return None


def verdict(metric, ours, peer):
    goal = bar(metric)
    if goal is None:
        return "", ""
    text, meets = goal
    if ours is None:
        return text, "not measured"
    if peer is None and metric not in SECONDS:
        return text, "no peer"
    return text, "met" if meets(ours, peer) else "**missed**"


def _number(value):
    return "–" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def report(facts, metrics, medians):
    ours, peer, *_ = [*medians, None]
    name = peer or "peer"
    lines = [f"# A complete PC, measured on {facts['date'][:10]}", "",
             *(f"- {key}: {value}" for key, value in facts.items()), "",
             "Medians. Firmware: from the program's start to the first byte that a boot sector, or "
             "an EFI program on a disk, writes to the serial port. The ratio is the peer's time by "
             "ours, or our rate by the peer's: above one mynah is faster.", "",
             f"| what | unit | {ours} | {name} | ratio | bar | |",
             "|---|---|---:|---:|---:|---|---|"]
    missed = []
    for metric in metrics:
        mine = medians[ours].get(metric)
        theirs = medians[peer].get(metric) if peer else None
        ratio = None
        if mine and theirs:
            ratio = theirs / mine if pc_measures.is_time(metric) else mine / theirs
        goal, word = verdict(metric, mine, theirs)
        if "missed" in word:
            missed.append(metric)
        lines.append(f"| {metric} | {pc_measures.unit(metric)} | {_number(mine)} | "
                     f"{_number(theirs)} | {_number(ratio)} | {goal} | {word} |")
    lines += ["", f"Missed: {'; '.join(missed)}." if missed else "No judged bar is missed."]
    return "\n".join(lines) + "\n"
