"""The results as a picture: speed against the host's own, on a logarithmic axis."""
import math
from xml.sax.saxutils import escape

LEAST, MOST = 0.001, 1.4
LEFT, WIDTH, RIGHT, ROW, TOP = 260, 520, 130, 21, 64
TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 } .small { font-size: 11px; fill: #57606a }
  .group { font-weight: 600 } .grid { stroke: #d0d7de } .native { stroke: #57606a }
  .ours { fill: #1a7f5a } .peer { fill: #c98a2b }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #30363d }
    .native { stroke: #9198a1 } .ours { fill: #3fb98a } .peer { fill: #d9a441 }
  }
"""


def position(share):
    inside = min(max(share, LEAST), MOST)
    return LEFT + WIDTH * math.log(inside / LEAST) / math.log(MOST / LEAST)


def _text(x, y, text, style="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">' \
           f"{escape(text)}</text>"


def _bar(y, height, share, style):
    width = max(position(share) - LEFT, 1)
    return f'<rect x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{height}" ' \
           f'class="{style}" rx="1.5"/>'


def _rows(results):
    """(title, share of ours, share of the peer, whether it is a group's mean)"""
    for group in ("compute", "kernel", "applications", "cold", "smp"):
        metrics = [metric for metric in results.metrics(group)
                   if results.share(metric, results.first) is not None]
        if not metrics:
            continue
        means = [results.mean(metrics, lambda metric, name=name: results.share(metric, name))
                 for name in (results.first, "qemu tcg")]
        yield f"{group}: geometric mean", *means, True
        for metric in metrics:
            yield (metric.split("/", 1)[1], results.share(metric, results.first),
                   results.share(metric, "qemu tcg"), False)


def svg(results, subtitle):
    rows = list(_rows(results))
    gaps = sum(mean for *_, mean in rows) * 10
    height = TOP + len(rows) * ROW + gaps + 34
    bottom = height - 26
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
             f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}">', f"<style>{STYLE}</style>",
             _text(12, 22, "Speed of a guest without KVM, host = 100 %", "title"),
             _text(12, 40, subtitle, "small"),
             f'<rect x="{LEFT}" y="48" width="10" height="10" class="ours"/>',
             _text(LEFT + 15, 57, results.first, "small"),
             f'<rect x="{LEFT + 130}" y="48" width="10" height="10" class="peer"/>',
             _text(LEFT + 145, 57, "qemu tcg", "small"),
             _text(LEFT + WIDTH + RIGHT - 70, 57, "mynah", "small", "end"),
             _text(LEFT + WIDTH + RIGHT - 8, 57, "qemu", "small", "end")]
    for tick in TICKS:
        x = position(tick)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" '
                     f'class="{"native" if tick == 1 else "grid"}"/>')
        lines.append(_text(x, bottom + 16, f"{tick * 100:g} %", "small", "middle"))
    y = TOP
    for title, ours, peer, mean in rows:
        y += 10 if mean else 0
        lines.append(_text(LEFT - 8, y + 14, title, "group" if mean else "", "end"))
        for offset, share, style in ((3, ours, "ours"), (11, peer, "peer")):
            if share is not None:
                lines.append(_bar(y + offset, 7, share, style))
        for right, share in ((RIGHT - 70, ours), (RIGHT - 8, peer)):
            if share is not None:
                lines.append(_text(LEFT + WIDTH + right, y + 14, f"{share * 100:.2g} %"
                                   if share < 0.995 else f"{share * 100:.0f} %", "small", "end"))
        y += ROW
    return "\n".join([*lines, "</svg>"]) + "\n"
