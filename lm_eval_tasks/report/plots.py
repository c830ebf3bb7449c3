"""Plots as HTML tables: a row's name, a line with its points and intervals drawn in SVG, and the numbers themselves.

Coordinates are per cent of the line's width, so that a plot fits any screen and its text stays readable; a screen
reader reads the table. Runs differ in colour and in the shape of their points.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from cluster_statistics import FEW_CLUSTERS
from lm_eval_tasks.report.formats import per_cent, sign
from lm_eval_tasks.report.scores import Json

LINE = 22
"""Height of one run's line in pixels."""

SHAPES = (
    '<circle r="5"/>',
    '<path d="M-5-5h10v10h-10z"/>',
    '<path d="M0-6 6 5H-6z"/>',
    '<path d="M0-7 7 0 0 7-7 0z"/>',
    '<path d="M0 6-6-5H6z"/>',
    '<path d="M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z"/>',
)
"""Points of the runs, in order; after the last they start over."""


@dataclass(frozen=True)
class Axis:
    """What a line spans, and where it has ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    signed: bool = False

    def place(self, value: float) -> float:
        """Per cent of the line's width; values outside stand at its ends."""
        return 100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def name(self, tick: float) -> str:
        """A tick's label, in per cent."""
        return f"{100 * tick:{'+' if self.signed and tick else ''}g}"


SHARE = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))
"""Per cent of answers."""


def difference_axis(intervals: Iterable[Json]) -> Axis:
    """An axis around zero that holds all the intervals, in steps of ten per cent."""
    bounds = [abs(each[name]) for each in intervals for name in ("value", "low", "high") if each[name] is not None]
    reach = max(1, ceil(10 * max(bounds, default=0.1) - 1e-9)) / 10
    reach = min(reach, 1.0)
    return Axis(-reach, reach, (-reach, -reach / 2, 0.0, reach / 2, reach), signed=True)


@dataclass(frozen=True)
class Mark:
    """One run's number in a row.

    Args:
        interval: as in ``report.json``.
        chance: a short line where a guess would be.
        blind: a hollow point where the run without images is.
        note: text behind the number.
    """

    interval: Json
    chance: float | None = None
    blind: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a plot: its name, where a click leads, its size, and a mark for each run (None: no number)."""

    name: str
    marks: Sequence[Mark | None]
    link: str = ""
    size: str = ""
    heading: str = ""


def defs() -> str:
    """The shapes of the points, to stand once in a page."""
    shapes = (f'<g id="shape{number}">{shape}</g>' for number, shape in enumerate(SHAPES))
    return f'<svg class="defs" aria-hidden="true" width="0" height="0"><defs>{"".join(shapes)}</defs></svg>'


def legend(runs: Sequence[str]) -> str:
    """Which point is which run."""
    entries = (
        f'<li class="run{number % len(SHAPES)}"><svg width="14" height="14" aria-hidden="true">'
        f'<use href="#shape{number % len(SHAPES)}" x="7" y="7"/></svg> {escape(run)}</li>'
        for number, run in enumerate(runs)
    )
    return f'<ul class="legend">{"".join(entries)}</ul>'


def forest(rows: Sequence[Row], axis: Axis, caption: str, size: str = "questions") -> str:
    """A plot of points with intervals, a row a name.

    Args:
        rows: a row with a ``heading`` has a heading above it.
        axis: what the lines span.
        caption: what the plot shows, in a sentence.
        size: what a row's ``size`` counts.
    """
    body = []
    for row in rows:
        if row.heading:
            heading = f'<th role="rowheader" colspan="4" scope="rowgroup">{escape(row.heading)}</th>'
            body.append(f'<tr role="row" class="head">{heading}</tr>')
        name = f'<a href="#{escape(row.link)}">{escape(row.name)}</a>' if row.link else escape(row.name)
        numbers = "".join(
            f'<div class="{_kind(mark, number)}">{_number(mark, axis)}</div>' for number, mark in enumerate(row.marks)
        )
        body.append(
            f'<tr role="row"><th role="rowheader" scope="row">{name}</th>'
            f'<td role="cell" class="track">{track(row.marks, axis)}</td>'
            f'<td role="cell" class="numbers">{numbers}</td><td role="cell" class="size">{escape(row.size)}</td></tr>'
        )
    head = f'<th class="none"></th><th class="over">{tick_line(axis)}</th>'
    head += '<th role="columnheader" scope="col" class="told">per cent (95 %)</th>'
    head += f'<th role="columnheader" scope="col" class="size">{size}</th>'
    return (
        f'<table role="table" class="plot{" signed" if axis.signed else ""}"><caption>{escape(caption)}</caption>'
        f'<thead><tr role="row">{head}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    )


def _kind(mark: Mark | None, number: int) -> str:
    """A run's class, and whether its number is greyed as one of few volumes."""
    return f"run{number % len(SHAPES)}" + (" few" if mark and sign(mark.interval) else "")


def _number(mark: Mark | None, axis: Axis) -> str:
    if mark is None:
        return "-"
    note = f'<span class="p"> {escape(mark.note)}</span>' if mark.note else ""
    return escape(per_cent(mark.interval, signed=axis.signed)) + note


def tick_line(axis: Axis) -> str:
    """The numbers above the lines; on a narrow line those at its ends and its middle only."""
    texts = []
    for number, tick in enumerate(axis.ticks):
        anchor = "start" if tick == axis.low else "end" if tick == axis.high else "middle"
        kind = ' class="half"' if number % 2 else ""
        texts.append(f'<text{kind} x="{axis.place(tick):g}%" y="13" text-anchor="{anchor}">{axis.name(tick)}</text>')
    return f'<svg class="ticks" width="100%" height="16" aria-hidden="true">{"".join(texts)}</svg>'


def track(marks: Sequence[Mark | None], axis: Axis) -> str:
    """The drawing of one row."""
    height = LINE * max(1, len(marks))
    parts = []
    for tick in axis.ticks:
        kind, x = "zero" if axis.signed and not tick else "grid", f"{axis.place(tick):g}%"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="0" y2="{height}"/>')
    for number, mark in enumerate(marks):
        if mark is not None and mark.interval["value"] is not None:
            parts.append(f'<g class="{_kind(mark, number)}">{_mark(mark, axis, number)}</g>')
    return f'<svg width="100%" height="{height}" aria-hidden="true">{"".join(parts)}</svg>'


def _mark(mark: Mark, axis: Axis, number: int) -> str:
    y = LINE * number + LINE // 2
    parts = []
    if mark.chance is not None:
        x = f"{axis.place(mark.chance):.2f}"
        parts.append(f'<line class="chance" x1="{x}%" x2="{x}%" y1="{y - 9}" y2="{y + 9}"/>')
    low, high = mark.interval["low"], mark.interval["high"]
    if low is not None:
        ends = f'x1="{axis.place(low):.2f}%" x2="{axis.place(high):.2f}%"'
        parts.append(f'<line class="interval" {ends} y1="{y}" y2="{y}"/>')
    if mark.blind is not None:
        parts.append(f'<circle class="blind" cx="{axis.place(mark.blind):.2f}%" cy="{y}" r="4"/>')
    shape = f"#shape{number % len(SHAPES)}"
    parts.append(f'<use href="{shape}" x="{axis.place(mark.interval["value"]):.2f}%" y="{y}"/>')
    return "".join(parts)


@dataclass(frozen=True)
class Cell:
    """A cell of a table of shares.

    Args:
        share: between 0 and 1; None: no colour.
        text: the number.
        size: of how many questions it is, in words.
        volumes: of how many; of few, the cell is grey. 0: not known.
    """

    share: float | None
    text: str
    size: str = ""
    volumes: int = 0


def heat(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], Cell],
    caption: str,
    corner: str,
) -> str:
    """A table whose cells are the darker the larger their share.

    Args:
        rows: names of the rows.
        columns: names of the columns.
        cells: by row and column; others stay empty.
        caption: what the table shows, in a sentence.
        corner: what the rows and columns are.
    """
    head = "".join(f'<th scope="col"><span>{escape(column)}</span></th>' for column in columns)
    body = []
    for row in rows:
        shown = []
        for column in columns:
            cell = cells.get((row, column), Cell(None, ""))
            few = 0 < cell.volumes < FEW_CLUSTERS
            kind = "few" if few else "" if cell.share is None else f"heat{round(10 * cell.share)}"
            told = f"<small>{escape(cell.size)}</small>" if cell.size else ""
            shown.append(f'<td class="{kind}">{escape(cell.text)}{told}</td>' if cell.text else "<td></td>")
        body.append(f'<tr><th scope="row">{escape(row)}</th>{"".join(shown)}</tr>')
    return (
        f'<div class="wide"><table class="heat"><caption>{escape(caption)}</caption>'
        f'<thead><tr><th class="corner">{escape(corner)}</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
