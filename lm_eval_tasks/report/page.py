"""The report as one web page: its parts, filled into ``page.html``."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from urllib.parse import urlencode

from cluster_statistics import FEW_CLUSTERS
from dataset_builder.gallery import pages
from dataset_builder.questions.wording import opposites
from lm_eval_tasks.report.confusions import NO_ANSWER
from lm_eval_tasks.report.data import page_data
from lm_eval_tasks.report.enough_page import enough_part, pair_chance, paper_part, replicates_part
from lm_eval_tasks.report.formats import NOTE, p_value, per_cent, size_of, volumes_in_words
from lm_eval_tasks.report.images import Images
from lm_eval_tasks.report.items import FACTORS
from lm_eval_tasks.report.looking_page import looking_part
from lm_eval_tasks.report.plots import SHARE, Cell, Mark, Row, defs, difference_axis, forest, heat, legend
from lm_eval_tasks.report.position_page import positions_part
from lm_eval_tasks.report.readers_page import readers_part
from lm_eval_tasks.report.runs import Reading
from lm_eval_tasks.report.scores import Json

FEW = f". Grey: from fewer than {FEW_CLUSTERS} volumes"
WORST = 15
FEWEST_ITEMS = 8
"""A structure with fewer questions, or questions about one volume, is not among the worst: that would be luck."""


def make_page(report: Json, reading: Reading, images: Images) -> str:
    """The page as HTML.

    Args:
        report: what ``report.json`` holds.
        reading: the questions and answers.
        images: where the page finds its images.
    """
    runs = [run["name"] for run in report["runs"]]
    data = report["data"]
    about = (
        f"{data['items']:,} questions about {data['facts']:,} facts and {data['structures']:,} structures in "
        f"{data['volumes']:,} volumes of {data['patients']:,} patients "
        f"({', '.join(data['sources'])}; data version {', '.join(data['versions'])}). Numbers are per cent; intervals "
        f"are 95 % intervals by volume ({NOTE})."
    )
    parts = {
        "title": escape(" · ".join(runs[:3]) + (" ..." if len(runs) > 3 else "")),
        "about": escape(about),
        "warnings": "".join(f"<li>{escape(each)}</li>" for each in (*report["warnings"], *images.warnings)),
        "shapes": defs(),
        "legend": legend(runs) if len(runs) > 1 else "",
        "headline": "".join(_card(run) for run in report["runs"]),
        "factors": "".join(_factors(report)),
        "cells": "".join(_cells(run, len(runs) > 1) for run in report["runs"]),
        "effects": _effects(report),
        "looking": looking_part(report),
        "comparisons": "".join(_comparison(each) for each in report["comparisons"]),
        "enough": enough_part(report),
        "replicates": replicates_part(report),
        "paper": paper_part(report),
        "confusions": "".join(_confusions(run, len(runs) > 1) for run in report["runs"]),
        "structures": _structures(report),
        "positions": positions_part(report),
        "readers": readers_part(report, reading, images),
        "settings": "".join(_settings(run) for run in report["runs"]),
        "made_by": escape(report["made_by"]),
        "data": pages.embed(page_data(reading, images)),
        "images": pages.embed(images.addresses),
    }
    for name in ("comparisons", "effects", "looking", "structures", "positions", "readers", "replicates", "warnings"):
        parts[f"no_{name}"] = "" if parts[name] else "hidden"
    sources = "data:" if images.embedded else "data: 'self' file:"
    code = {"style": _part("page.css"), "question_script": _part("question.js"), "script": _part("page.js")}
    return pages.make_page(_part("page.html"), code, parts, sources)


def _part(name: str) -> str:
    return resources.files("lm_eval_tasks.report").joinpath(name).read_text(encoding="utf-8")


def _card(run: Json) -> str:
    score = run["scores"][0]
    accuracy = score["accuracy"]
    of_options = [
        ("chance", f"{100 * score['chance']:.1f}"),
        ("above chance", per_cent(score["above_chance"], signed=True)),
        ("both of a pair right", per_cent(score["pair_accuracy"])),
        ("by chance, guessed", pair_chance(score)),
    ]
    facts = of_options if score["chance"] else []  # positions and measurements have neither chance nor pairs
    facts.append(("no valid answer", per_cent(score["invalid"])))
    facts += [(f"of these {name}", f"{100 * part:.1f}") for name, part in score["no_answer"].items() if part]
    if score["blind"]:
        facts.append((f"gain over {run['blind_reference']}", per_cent(score["blind"]["gain"], signed=True)))
    if score["prior"]:
        facts.append(("followed the prior against the image", per_cent(score["prior"]["followed"])))
        facts.append(("right where the prior is right", per_cent(score["prior"]["accuracy_where_it_is_right"])))
        facts.append(("right where the prior is wrong", per_cent(score["prior"]["accuracy_where_it_is_wrong"])))
    if "judge" in run:
        judged = run["judge"]
        facts.append(
            (f"unread replies that {judged['model']} reads", f"{judged['given_an_option']} of {judged['unread']}")
        )
        facts.append(("it agrees with the reader on", f"{judged['agree']} of {judged['read_sample']}"))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    low = "" if accuracy["low"] is None else f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}; "
    size = size_of(score["items"], score["volumes"], "questions")
    return (
        f'<article class="score"><h3>{escape(run["name"])}</h3><p class="big">{100 * accuracy["value"]:.1f} %'
        f"<small> right ({low}{size})</small></p><dl>{listed}</dl></article>"
    )


def _scores(report: Json, *by: str) -> dict[tuple[str, ...], list[Json | None]]:
    """Scores of groups by some columns: for each value that of each run, or None."""
    found: dict[tuple[str, ...], list[Json | None]] = {}
    for number, run in enumerate(report["runs"]):
        for score in run["scores"]:
            if score["by"] == list(by):
                found.setdefault(tuple(score["value"]), [None] * len(report["runs"]))[number] = score
    return found


def _link(**wanted: str) -> str:
    return urlencode(wanted)


def _factors(report: Json) -> Iterator[str]:
    names = [name for name in report["data"]["factors"] if len(report["data"]["factors"][name]) > 1]
    if len(report["data"]["sources"]) > 1:
        names.append("source")
    for name in (*names, "relation", "margin_mm"):
        scores = _scores(report, name)
        order = report["data"]["factors"].get(name)
        values = sorted(scores, key=lambda value: order.index(value[0])) if order else list(scores)
        rows = [_score_row(value[0], scores[value], _link(**{name: value[0]})) for value in values]
        if rows:
            title = "margin in mm" if name == "margin_mm" else name.replace("_", " ")
            yield forest(rows, SHARE, f"Accuracy by {title}. Short lines: chance. Hollow points: blind.")


def _score_row(name: str, scores: Sequence[Json | None], link: str) -> Row:
    marks = [
        Mark(score["accuracy"], score["chance"], score["blind"]["blind_accuracy"] if score["blind"] else None)
        if score
        else None
        for score in scores
    ]
    known = [score for score in scores if score]
    size = size_of(max(score["items"] for score in known), max(score["volumes"] for score in known))
    return Row(name, marks, link, size)


def _cells(run: Json, several: bool) -> str:
    scores = [score for score in run["scores"] if score["by"] == ["terminology", "prompt"]]
    cells = {
        (score["value"][0], score["value"][1]): Cell(
            score["accuracy"]["value"],
            f"{100 * score['accuracy']['value']:.0f}",
            f"n {size_of(score['items'], score['volumes'])}",
            score["volumes"],
        )
        for score in scores
    }
    rows = [name for name in FACTORS["terminology"] if any(key[0] == name for key in cells)]
    columns = [name for name in FACTORS["prompt"] if any(key[1] == name for key in cells)]
    caption = f"{run['name']}: " if several else ""
    caption += f"accuracy by terminology and prompt, per cent; n: questions{FEW}"
    return heat(rows, columns, cells, caption, "terminology / prompt") if len(cells) > 1 else ""


def _effects(report: Json) -> str:
    """The effects in all questions; of a factor with many values those against the first that can be matched."""
    found: dict[tuple[str, str, str], list[Json | None]] = {}
    for number, run in enumerate(report["runs"]):
        first: dict[str, str] = {}
        for effect in run["effects"]:
            if effect["within"] or first.setdefault(effect["factor"], effect["from"]) != effect["from"]:
                continue
            key = (effect["factor"], effect["from"], effect["to"])
            found.setdefault(key, [None] * len(report["runs"]))[number] = effect
    if not found:
        return ""
    rows, before = [], ""
    for (factor, one, other), effects in found.items():
        marks = [
            Mark(effect["difference"], note=f"p {p_value(effect['p_holm'])}") if effect else None for effect in effects
        ]
        matched, volumes = (max(effect[name] for effect in effects if effect) for name in ("matched", "volumes"))
        heading = factor.replace("_", " ") if factor != before else ""
        rows.append(
            Row(f"{other} instead of {one}", marks, _link(**{factor: other}), size_of(matched, volumes), heading)
        )
        before = factor
    axis = difference_axis(effect["difference"] for effects in found.values() for effect in effects if effect)
    caption = (
        "Change in accuracy when one factor changes and all else stays. P-values are by volume, corrected by Holm's "
        f"method. Grey: from fewer than {FEW_CLUSTERS} volumes."
    )
    return forest(rows, axis, caption, size="matched pairs")


def _comparison(comparison: Json) -> str:
    overall = comparison["overall"]
    rows: list[Row] = []
    before = ""
    axis = difference_axis(group["difference"] for group in comparison["groups"])
    for group in comparison["groups"]:
        (name,), (value,) = group["by"], group["value"]
        mark = Mark(group["difference"], note=f"p {p_value(group['p_holm'])}")
        heading = name.replace("_", " ") if name != before else ""
        rows.append(Row(value, [mark], _link(**{name: value}), size_of(group["items"], group["volumes"]), heading))
        before = name
    note = f"p {p_value(overall['p'])}"
    first = Row(
        "all questions", [Mark(overall["difference"], note=note)], "", size_of(overall["items"], overall["volumes"])
    )
    caption = f"Accuracy of {comparison['to']} minus that of {comparison['from']}, on the same questions."
    by = "volume"
    mcnemar = ""
    if overall["p_mcnemar"] is not None:
        by = "fact"
        mcnemar = (
            f" McNemar's exact test, which takes the questions of this one volume for independent: p "
            f"{p_value(overall['p_mcnemar'])}."
        )
    grouped = f"The same by factor. P-values are by {by}, corrected by Holm's method."
    drawn = forest([first], difference_axis([overall["difference"]]), caption)
    return (
        f"<h3>{escape(comparison['to'])} against {escape(comparison['from'])}</h3><p>"
        f"{overall['won']:,} questions only {escape(comparison['to'])} gets right, {overall['lost']:,} only "
        f"{escape(comparison['from'])}.{escape(mcnemar)}</p>{drawn}"
        f"<details><summary>By every factor</summary>"
        f"{forest(rows, axis, grouped)}</details>"
    )


def _confusions(run: Json, several: bool) -> str:
    terms = run["confusions"]["terms"]
    cells, columns = {}, ["said it", "said the opposite", NO_ANSWER, "questions"]
    opposite = opposites()
    for right, said in terms.items():
        total, volumes = sum(said.values()), run["confusions"]["volumes"][right]
        for column, term in zip(columns, (right, opposite[right], NO_ANSWER), strict=False):
            share = said.get(term, 0) / total
            cells[right, column] = Cell(share, f"{100 * share:.0f}", f"n {said.get(term, 0):,}", volumes)
        cells[right, "questions"] = Cell(None, size_of(total, volumes))
    text = ""
    if cells:
        caption = f"Opposite terms: what was said, per cent of the questions with this right answer; n: answers{FEW}"
        text = heat(list(terms), columns, cells, caption, "right answer")
    # From one volume it is that volume's own.
    taken = [each for each in run["confusions"]["taken_for"] if each["volumes"] > 1][:WORST]
    if taken:
        rows = "".join(map(_taken_for, taken))
        head = "".join(f'<th scope="col">{name}</th>' for name in ("is", "was called", "times"))
        text += (
            '<div class="wide"><table class="plain"><caption>Structures most often taken for others</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    if not several or not text:
        return text
    return f"<div><h3>{escape(run['name'])}</h3>{text}</div>"


def _taken_for(each: Json) -> str:
    named = f" ({volumes_in_words(each['volumes'])})" if each["volumes"] < FEW_CLUSTERS else ""
    parts = (each["answer"], each["said"], f"{each['count']:,} of {each['of']:,}{named}")
    few = ' class="few"' if each["volumes"] < FEW_CLUSTERS else ""
    return f"<tr{few}>{''.join(f'<td>{escape(part)}</td>' for part in parts)}</tr>"


def _structures(report: Json) -> str:
    scores = _scores(report, "structure")

    def mean(value: tuple[str, ...]) -> float:
        known = [score["accuracy"]["value"] - score["chance"] for score in scores[value] if score]
        return sum(known) / len(known)

    scores = {value: [score if score and _ranks(score) else None for score in found] for value, found in scores.items()}
    enough = [value for value, found in scores.items() if any(found)]
    worst = sorted(enough, key=lambda value: (mean(value), value))[:WORST]
    rows = [_score_row(value[0].replace("_", " "), scores[value], _link(structure=value[0])) for value in worst]
    caption = (
        f"The {len(rows)} structures with the lowest accuracy above chance, of those with {FEWEST_ITEMS} questions "
        "about two volumes or more"
    )
    return forest(rows, SHARE, caption) if rows else ""


def _ranks(score: Json) -> bool:
    """Whether a run's score of a structure is from enough to be among the worst."""
    return bool(score["items"] >= FEWEST_ITEMS and score["volumes"] > 1)


def _settings(run: Json) -> str:
    lines = {**run["settings"], **{f"version of {name}": value for name, value in run["versions"].items()}}
    lines["evaluated"] = ", ".join(f"{datetime.fromtimestamp(date, UTC):%Y-%m-%d}" for date in run["dates"])
    lines["questions"] = f"{run['items']:,} (digest {run['items_digest']})"
    listed = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value if isinstance(value, str) else json.dumps(value))}</dd>"
        for name, value in lines.items()
        if value not in ("", None)
    )
    return f"<details><summary>{escape(run['name'])}</summary><dl>{listed}</dl></details>"
