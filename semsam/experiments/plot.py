"""A line plot as SVG text: enough for a sweep, and no plotting library."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 220, 20, 50
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)  # distinguishable for colour-blind readers
MARKS = ("circle", "square", "diamond")


@dataclass(frozen=True)
class Point:
    """A value at x, with its interval from ``low`` to ``high``."""

    x: float
    y: float
    low: float
    high: float


def line_plot(lines: Mapping[str, Sequence[Point]], x_label: str, y_label: str, level: tuple[str, float]) -> str:
    """The image: lines with intervals over a base-2 logarithmic x axis, and a dashed level to compare them with.

    Args:
        lines: by name; each point's x is positive.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        level: its name and value.

    Raises:
        ValueError: if there is no point.
    """
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ValueError("There is nothing to plot.")
    xs = sorted({point.x for point in points})
    ticks = _ticks(min([level[1], *(p.low for p in points)]), max([level[1], *(p.high for p in points)]))
    span = max(math.log2(xs[-1] / xs[0]), 1e-9)

    def across(x: float) -> float:
        return LEFT + 30 + (WIDTH - LEFT - RIGHT - 60) * (math.log2(x / xs[0]) / span if len(xs) > 1 else 0.5)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - ticks[0]) / (ticks[-1] - ticks[0])

    right = WIDTH - RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(y_label)} by {escape(x_label)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in ticks:
        y = down(tick)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for x in xs:
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts += [
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">{escape(y_label)}</text>',
        f'<line x1="{LEFT}" x2="{right}" y1="{down(level[1]):.1f}" y2="{down(level[1]):.1f}" stroke="#555" '
        'stroke-dasharray="6 4"/>',
    ]
    parts += _legend(0, level[0], "#555", None)
    for number, (name, line) in enumerate(lines.items()):
        colour, mark = COLOURS[number % len(COLOURS)], MARKS[number // len(COLOURS) % len(MARKS)]
        shift = 3 * (number - (len(lines) - 1) / 2)  # so that intervals at the same x stand side by side
        ordered = sorted(line, key=lambda point: point.x)
        path = " ".join(f"{across(p.x) + shift:.1f},{down(p.y):.1f}" for p in ordered)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for p in ordered:
            x = across(p.x) + shift
            interval = f'y1="{down(p.low):.1f}" y2="{down(p.high):.1f}"'
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" {interval} stroke="{colour}" stroke-opacity="0.6"/>')
            parts.append(_mark(mark, x, down(p.y), colour))
        parts += _legend(number + 1, name, colour, mark)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _ticks(low: float, high: float) -> list[float]:
    """About five round values that enclose the range; at least 1 apart in all."""
    if high - low < 1:
        low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    return [round(step * number, 10) for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _mark(mark: str, x: float, y: float, colour: str) -> str:
    if mark == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if mark == "diamond" else ""
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"{turn}/>'


def _legend(number: int, name: str, colour: str, mark: str | None) -> list[str]:
    x, y = WIDTH - RIGHT + 20, TOP + 12 + 20 * number
    dashes = ' stroke-dasharray="6 4"' if mark is None else ' stroke-width="2"'
    parts = [f'<line x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}" stroke="{colour}"{dashes}/>']
    if mark is not None:
        parts.append(_mark(mark, x + 12, y, colour))
    return [*parts, f'<text x="{x + 32}" y="{y + 4}">{escape(name)}</text>']
