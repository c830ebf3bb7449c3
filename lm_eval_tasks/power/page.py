"""A forecast as a self-contained page: curves in SVG, and the tables behind them."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib import resources
from math import log10

import numpy as np

from cluster_statistics.planning import detectable_difference, expected_interval, resized
from dataset_builder.gallery import pages
from lm_eval_tasks.power.forecast import drawn_units
from lm_eval_tasks.power.terminal import CAPTION, NUMBERS, cells, plural, said, text
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.scores import Json

WIDTH, HEIGHT = 480, 330
LEFT, RIGHT, TOP, BOTTOM = 40, 92, 14, 46
FEWEST, MOST = 5, 1000
TICKS = (5, 20, 100, 500, 1000)
PER_VOLUME = (5, 20, 100)

Curve = tuple[str, list[tuple[float, float]]]


def make_page(found: Json, asked: Sheet) -> str:
    """The page as HTML.

    Args:
        found: a forecast.
        asked: the questions that it is about.
    """
    style = resources.files("lm_eval_tasks.report").joinpath("page.css").read_text(encoding="utf-8")
    template = resources.files("lm_eval_tasks.study").joinpath("page.html").read_text(encoding="utf-8")
    sentences = list(said(found))
    parts = {
        "title": "How many are enough",
        "about": escape(sentences[0]),
        "no_warnings": "hidden",
        "warnings": "",
        "shapes": "",
        "body": "".join(
            (f"<section><p>{escape(' '.join(sentences[1:]))}</p></section>", *_plots(found, asked), *_tables(found))
        )
        + f'<p class="made">Made by {escape(found["made_by"])}. Not for clinical use.</p>',
    }
    return pages.make_page(template, {"style": style, "script": ""}, parts)


def _plots(found: Json, asked: Sheet) -> Iterator[str]:
    units, unit = drawn_units(asked)
    sizes = np.unique(units, return_counts=True)[1].astype(float)
    basis, own = found["questions"], round(float(sizes.mean()), 1)
    volumes = np.unique(np.round(np.geomspace(FEWEST, MOST, 16)).astype(int))
    each = sorted({*PER_VOLUME, own})

    def curves(height: Callable[[int, float], float | None]) -> list[Curve]:
        return [
            (f"{count:g} each", [(int(n), y) for n in volumes if (y := height(int(n), count)) is not None])
            for count in each
        ]

    def seen(count: int, questions: float) -> float | None:
        drawn = resized(sizes, count, questions)
        return detectable_difference(basis["discordant"], drawn, basis["correlation_of_differences"])

    def half(count: int, questions: float) -> float | None:
        interval = expected_interval(basis["accuracy"], resized(sizes, count, questions), basis["correlation"])
        return (interval.high - interval.low) / 2

    here = found["data"]["patients" if unit == "patient" else "volumes"]
    for name, height, mark in (
        (
            "Difference between two models that is seen with 80 % power, in points",
            seen,
            found["as_it_is"]["difference"],
        ),
        ("Accuracy known to within so many points (half of the 95 % interval)", half, _half(found["as_it_is"])),
    ):
        caption = f"{name}, by number of {plural(unit)} and questions of each. The cross is this data set."
        drawn = _svg(curves(height), plural(unit), None if mark is None else (here, mark), caption)
        yield f"<section><h2>{escape(name)}</h2>{drawn}<p>{escape(caption)}</p></section>"


def _half(row: Json) -> float | None:
    low, high = row["accuracy"]["low"], row["accuracy"]["high"]
    return None if low is None else (high - low) / 2


def _svg(curves: Sequence[Curve], unit: str, mark: tuple[float, float] | None, label: str) -> str:
    """Curves over a logarithmic axis of volumes; each has its name at its right end."""
    top = min(0.5, max((y for _, points in curves for _, y in points), default=0.5))
    steps = [step for step in (0.05, 0.1) if top / step <= 8] or [0.1]
    top = steps[0] * -(-top // steps[0])

    def x(value: float) -> float:
        return LEFT + (log10(min(MOST, max(2, value))) - log10(FEWEST)) / (log10(MOST) - log10(FEWEST)) * (
            WIDTH - LEFT - RIGHT
        )

    def y(value: float) -> float:
        return TOP + (1 - min(value, top) / top) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for number in range(round(top / steps[0]) + 1):
        value = number * steps[0]
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="var(--line)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 5:.1f}" text-anchor="end">{100 * value:g}</text>')
    for tick in TICKS:
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(unit)}</text>')
    taken: list[float] = []
    drawn = [(number, name, points) for number, (name, points) in enumerate(curves) if points]
    for number, name, points in sorted(drawn, key=lambda curve: curve[2][-1][1]):  # names stand as their curves do
        line = " ".join(f"{x(n):.1f},{y(value):.1f}" for n, value in points)
        colour = f"var(--run{number % 6})"
        dash = ("", "8 4", "2 4", "10 3 2 3")[number % 4]
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
        )
        place = y(points[-1][1]) + 5
        while any(abs(place - other) < 16 for other in taken):
            place -= 16
        taken.append(place)
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{place:.1f}" fill="{colour}">{escape(name)}</text>')
    if mark is not None and mark[0] >= FEWEST:
        at = f"{x(mark[0]):.1f} {y(mark[1]):.1f}"
        parts.append(f'<path d="M{at}m-7-7l14 14m0-14l-14 14" stroke="var(--text)" stroke-width="3"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" '
        f'style="width:100%;max-width:640px" font-size="14" fill="var(--text)">{"".join(parts)}</svg>'
    )


def _tables(found: Json) -> Iterator[str]:
    unit = found["unit"]
    yield _table(f"By number of {plural(unit)}", {plural(unit): "volumes"}, found["by_volumes"])
    yield _table(f"By questions per {unit}", {f"per {unit}": "questions_per_volume"}, found["by_questions"])
    of_correlation = {"intraclass correlation": "correlation", "design effect": "design_effect"}
    yield _table(f"By what questions of a {unit} have in common", of_correlation, found["by_correlation"])
    if found["by_factor"]:
        yield _table("By factor", {"factor": "factor", "value": "value", plural(unit): "volumes"}, found["by_factor"])
    if found["effects"]:
        head = ("factor", "from", "to", "matched", plural(unit), "measured", "difference seen")
        rows = [
            (
                *(str(each[name]) for name in ("factor", "from", "to")),
                *(f"{each[name]:,}" for name in ("matched", "volumes")),
                f"{100 * each['measured']:+.1f}",
                "none" if each["difference"] is None else f"{100 * each['difference']:.1f}",
            )
            for each in found["effects"]
        ]
        yield _html("Effects of factors, of the first run: differences that are seen with 80 % power", head, rows)


def _table(title: str, columns: dict[str, str], rows: Sequence[Json]) -> str:
    shown = [(*(text(row[key]) for key in columns.values()), *cells(row)) for row in rows]
    return _html(title, (*columns, *NUMBERS), shown, CAPTION)


def _html(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<section><h2>{escape(title)}</h2><p>{escape(caption)}</p>"
        f'<div class="wide"><table class="plain"><thead><tr>{names}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )
