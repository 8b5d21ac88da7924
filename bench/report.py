"""Tables out of what was measured."""
import statistics

import goals
from subjects import readable

GROUPS = ("boot", "compute", "kernel", "applications", "cold", "smp")


class Results:
    """Medians of {subject: {metric: [seconds]}}; `first` is the engine of ours that is judged."""

    def __init__(self, times, memory):
        self.median = {subject: {metric: statistics.median(seconds)
                                 for metric, seconds in found.items()}
                       for subject, found in times.items()}
        self.memory = {subject: max(kib) for subject, kib in memory.items() if kib}
        self.ours = [subject for subject in times if subject.startswith("mynah ")]
        self.first = self.ours[0] if self.ours else None

    def metrics(self, group=None):
        """Of one group, or of all in the table's order."""
        seen = dict.fromkeys(metric for found in self.median.values() for metric in found)
        groups = [group] if group else GROUPS
        return [metric for name in groups for metric in seen if metric.split("/")[0] == name]

    def ratio(self, metric, above, below):
        """How many times longer `above` took than `below`; None if one was not measured."""
        values = [self.median.get(subject, {}).get(metric) for subject in (above, below)]
        return values[0] / values[1] if None not in values else None

    def share(self, metric, subject):
        """The share of native speed."""
        return self.ratio(metric, "native", subject)

    def gain(self, metric):
        """How many times faster than the peer our first engine is."""
        return self.ratio(metric, "qemu tcg", self.first)

    def mean(self, metrics, function):
        """The geometric mean over those metrics that have a value."""
        values = [value for metric in metrics if (value := function(metric)) is not None]
        return statistics.geometric_mean(values) if values else None

    def scaling(self, subject):
        """The throughput of two threads over that of one."""
        found = self.median.get(subject, {})
        if "smp/one thread" in found and "smp/two threads" in found:
            return 2 * found["smp/one thread"] / found["smp/two threads"]
        return None


def percent(value):
    return "" if value is None else f"{value * 100:.3g} %"


def times(value):
    return "" if value is None else f"{value:.3g}"


def markdown(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
             for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def table(results):
    """Every metric: medians, shares of native speed, and the gain over the peer."""
    names = list(results.median)
    guests = [name for name in names if name != "native"]
    native, peer = "native" in names, "qemu tcg" in names and results.first
    heading = ["", *names]
    heading += [f"{name}: share of native speed" for name in guests] if native else []
    heading += [f"{results.first}: times as fast as qemu tcg"] if peer else []
    rows = [heading]

    def row(title, cells, shares, gain):
        rows.append([title, *cells, *(map(percent, shares) if native else ()),
                     *([times(gain)] if peer else ())])

    for group in GROUPS:
        metrics = results.metrics(group)
        for metric in metrics:
            found = [results.median[name].get(metric) for name in names]
            row(metric.replace("/", ": ", 1),
                ["" if value is None else readable(value) for value in found],
                [results.share(metric, name) for name in guests], results.gain(metric))
        if len(metrics) > 1 and group != "boot":
            row(f"**{group}: geometric mean**", [""] * len(names),
                [results.mean(metrics, lambda metric, name=name: results.share(metric, name))
                 for name in guests], results.mean(metrics, results.gain))
    if any(results.scaling(name) for name in names):
        row("two threads' throughput over one's", [times(results.scaling(name)) for name in names],
            [None] * len(guests), None)
    if results.memory:
        row("peak memory beyond the guest's", [f"{results.memory[name] / 1024:.0f} MiB"
                                          if name in results.memory else "" for name in names],
            [None] * len(guests), None)
    return markdown(rows)


def goal_table(results):
    """What was aimed at and what was reached; nothing without the peer or the host."""
    rows = [["aim", "at least", "reached", ""]]
    for goal in goals.GOALS:
        value = goal.value(results)
        if value is not None:
            met = value <= goal.bound if goal.at_most else value >= goal.bound
            bound = f"at most {goal.bound:g}" if goal.at_most else f"{goal.bound:g}"
            rows.append([goal.name, bound, times(value), "met" if met else "**missed**"])
    if len(rows) == 1:
        return ""
    gains = {metric: gain for metric in results.metrics()
             if (gain := results.gain(metric)) is not None}
    slower = ", ".join(metric for metric, gain in gains.items() if gain < 1) or "nothing"
    return markdown(rows) + (f"\n\nSlower than qemu tcg: {slower}." if gains else "")
