"""The part of the page about answers that are no options: boxes, points and measurements."""

from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import urlencode

from lm_eval_tasks.report.formats import per_cent, size_of
from lm_eval_tasks.report.plots import SHAPES, SHARE, Mark, Row, forest
from lm_eval_tasks.report.scores import Json

NAMES = {"box": "Boxes", "point": "Points", "mm": "Lengths", "degree": "Angles", "ratio": "Ratios"}
RIGHT = {"box": "overlap of at least half", "point": "on the structure"}
SCORES = {"box": "mean intersection over union", "point": ""}
WORST = 15
FEWEST_ITEMS = 8
SIDE = 220
"""Pixels of a plot of what was said against what is true."""


def positions_part(report: Json) -> str:
    """All kinds, each with the runs that gave such answers; "" if there are none."""
    runs = [run for run in report["runs"] if run["positions"]]
    return "".join(_kind(kind, runs) for kind in NAMES if any(_of(run, kind) for run in runs))


def _of(run: Json, kind: str) -> Json | None:
    return next((each for each in run["positions"] if each["kind"] == kind), None)


def _kind(kind: str, runs: Sequence[Json]) -> str:
    cards = "".join(_card(run["name"], found) for run in runs if (found := _of(run, kind)))
    drawn = "".join(_drawn(number, run["name"], found) for number, run in enumerate(runs) if (found := _of(run, kind)))
    plots = "".join(_by(kind, runs))
    return (
        f'<h3>{NAMES[kind]}</h3><div class="scores">{cards}</div><div class="tables">{drawn}</div>'
        f'<div class="plots">{plots}</div>'
    )


def _card(name: str, found: Json) -> str:
    score, kind = found["scores"][0], found["kind"]
    facts = []
    if score["score"]:
        facts.append((SCORES.get(kind, "mean relative accuracy"), f"{score['score']['value']:.2f}"))
    median = score["errors"]["median"]
    if median is not None:
        facts.append(
            ("said too much or too little, median", f"{100 * median:+.1f} %")
            if found["error"] == "bias"
            else ("distance of the centres, median" if kind == "box" else "distance, median", f"{median:.1f} mm")
        )
    if score["size_ratio"] is not None:
        facts.append(("area in parts of the true one, median", f"{score['size_ratio']:.2f}"))
    facts.append(("no valid answer", per_cent(score["invalid"])))
    for who, words in (("prior", "mean of the other volumes"), ("random", "a box at random")):
        if score[f"{who}_accuracy"] is not None:
            beside = "" if score[f"{who}_score"] is None else f" ({score[f'{who}_score']:.2f})"
            facts.append((words, f"{100 * score[f'{who}_accuracy']:.1f}{beside}"))
    listed = "".join(f"<dt>{escape(title)}</dt><dd>{escape(value)}</dd>" for title, value in facts)
    right = RIGHT.get(kind, "within the tolerance")
    return (
        f'<article class="score"><h3>{escape(name)}</h3><p class="big">{100 * score["accuracy"]["value"]:.1f} %'
        f"<small> {right} ({score['items']:,} questions)</small></p><dl>{listed}</dl></article>"
    )


def _by(kind: str, runs: Sequence[Json]) -> Iterator[str]:
    """The share of right answers by factor, and of the worst structures; short lines: the prior."""
    names = list(
        dict.fromkeys(
            score["by"][0]
            for run in runs
            if (found := _of(run, kind))
            for score in found["scores"]
            if score["by"] and score["by"] != ["structure"]
        )
    )
    for name in names:
        rows = _rows(kind, runs, name)
        yield forest(rows, SHARE, f"Right by {name.replace('_', ' ')}. Short lines: the mean of the other volumes.")
    worst = _worst(kind, runs)
    if worst:
        rows = _rows(kind, runs, "structure", worst)
        caption = (
            f"The {len(rows)} structures with the lowest scores, of those with {FEWEST_ITEMS} questions about two "
            "volumes or more. Short lines: the mean of the other volumes."
        )
        yield forest(rows, SHARE, caption)


def _rows(kind: str, runs: Sequence[Json], name: str, wanted: Sequence[str] = ()) -> list[Row]:
    by_value: dict[str, list[Json | None]] = {}
    for number, run in enumerate(runs):
        found = _of(run, kind)
        for score in found["scores"] if found else ():
            if score["by"] == [name] and (not wanted or score["value"][0] in wanted):
                by_value.setdefault(score["value"][0], [None] * len(runs))[number] = score
    ordered = sorted(by_value, key=list(wanted).index) if wanted else list(by_value)
    return [
        Row(
            value.replace("_", " "),
            [Mark(score["accuracy"], score["prior_accuracy"]) if score else None for score in by_value[value]],
            urlencode({name: value}),
            size_of(*(max(score[name] for score in by_value[value] if score) for name in ("items", "volumes"))),
        )
        for value in ordered
    ]


def _worst(kind: str, runs: Sequence[Json]) -> list[str]:
    """The worst structures of the first run that has such answers, of those with enough questions."""
    for run in runs:
        found = _of(run, kind)
        if found:
            enough = {
                score["value"][0]
                for score in found["scores"]
                if score["by"] == ["structure"] and score["items"] >= FEWEST_ITEMS and score["volumes"] > 1
            }
            return [name for name in found["worst"] if name in enough][:WORST]
    return []


# ----------------------------------------------------------------------------------------------------------- drawings


def _drawn(number: int, name: str, found: Json) -> str:
    """The distribution of the errors and, of measurements, what was said against what is true."""
    title = {"centre_mm": "distance of the centres in mm", "distance_mm": "distance from the structure in mm"}
    what = title.get(found["error"], "said too much, per cent of the truth")
    factor = 100 if found["error"] == "bias" else 1
    bounds, counts = [factor * bound for bound in found["histogram"]["from"]], found["histogram"]["counts"]
    most = max(counts, default=0) or 1
    rows = "".join(
        f'<tr><th scope="row">{_span(bounds, place, found["error"])}</th><td class="track">'
        '<svg width="100%" height="14" aria-hidden="true">'
        f'<rect class="run{number % len(SHAPES)}" x="0" y="2" height="10" width="{100 * count / most:.1f}%" '
        f'fill="currentColor"/></svg></td><td class="numbers">{count:,}</td></tr>'
        for place, count in enumerate(counts)
    )
    table = f'<table class="plot"><caption>{escape(name)}: {what}</caption><tbody>{rows}</tbody></table>'
    return f"<div>{table}{_scatter(number, name, found)}</div>"


def _span(bounds: Sequence[float], place: int, error: str) -> str:
    low = bounds[place]
    if error == "distance_mm" and place == 0:
        return "on it"
    low = 0 if low < 1e-6 and error == "distance_mm" else low
    return f"{low:g} to {bounds[place + 1]:g}" if place + 1 < len(bounds) else f"{low:g} and more"


def _scatter(number: int, name: str, found: Json) -> str:
    """Points (true, said); a line where they are equal. What lies beyond the axis stands at its edge."""
    pairs = found["said_against_true"]
    if not pairs:
        return ""
    reach = 1.25 * max(true for true, _ in pairs)
    points = "".join(
        f'<circle cx="{SIDE * true / reach:.1f}" cy="{SIDE - SIDE * min(1.0, said / reach):.1f}" r="3" '
        'fill="currentColor" fill-opacity="0.5"/>'
        for true, said in pairs
    )
    unit = {"mm": "mm", "degree": "degrees", "ratio": "times"}[found["kind"]]
    caption = f"{name}: what was said (upward) against what is true, up to {reach:.3g} {unit}; {len(pairs):,} answers"
    return (
        f'<figure class="run{number % len(SHAPES)}"><svg viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" '
        f'role="img" aria-label="{escape(caption)}"><rect width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>'
        f'<line x1="0" y1="{SIDE}" x2="{SIDE}" y2="0" stroke="#888"/>{points}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
