"""Writes a study's report: ``index.html``, ``language-or-perception.html``, ``study.json`` and ``study.md``."""

import json
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import BuildError
from dataset_builder.files.atomic import write_atomically
from dataset_builder.gallery import pages
from lm_eval_tasks.report.formats import NOTE, p_value, per_cent
from lm_eval_tasks.report.plots import SHARE, Mark, Row, defs, difference_axis, forest
from lm_eval_tasks.report.scores import Json
from lm_eval_tasks.study import record as records
from lm_eval_tasks.study.analysis import GREEDY, analyse
from lm_eval_tasks.study.answers import read_answers
from lm_eval_tasks.study.perception import twins_of
from lm_eval_tasks.study.plan import Plan
from lm_eval_tasks.study.tables import Table, arms_table, primary_sentence, swaps_table, tests_table

PAGE, TWINS_PAGE = "index.html", "language-or-perception.html"
PER_PLOT = 6


def write_report(plan: Plan, out: Path) -> list[str]:
    """Write the report of what has been answered; returns lines for the terminal.

    Raises:
        MISGroundError: if nothing has been answered, or the files cannot be written.
    """
    record = records.read(out)
    answers = read_answers(plan, out)
    found = analyse(plan, answers)
    found["perception"] = [
        {"model": each.model, "style": each.style, "arm": name, "twins": twins_of(each, name)}
        for each in answers
        for name in each.arms
        if each.arms[name].rule in (GREEDY, "semsam")
    ]
    found["record"] = {name: record[name] for name in ("begun", "first", "changes")}
    found["later"] = {name: sorted(values) for name, values in records.later_parts(record, plan).items()}
    notes = _notes(found, record)
    tables = _tables(found)
    files = {
        "study.json": json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "study.md": _markdown(plan, found, notes, tables),
        PAGE: _page(plan.name, _about(record), notes, _body(plan, found, tables)),
        TWINS_PAGE: _page(f"Language or perception: {plan.name}", _about(record), notes, _twins_body(found)),
    }
    try:
        for name, text in files.items():
            write_atomically(out / name, text)
    except OSError as error:
        raise BuildError("The report cannot be written.", file=out, value=error.strerror) from error
    return [
        primary_sentence(found["primary"]),
        *(each["sentence"] for each in found["semantic"]),
        *notes,
        f"Open in a browser: {out / PAGE} and {out / TWINS_PAGE}; all numbers: {out / 'study.json'}",
    ]


def _about(record: Json) -> str:
    first = record["first"]
    data, versions = first["data"], first["versions"]
    models = []
    for name, model in first["models"].items():
        files = model.get("files") or {"commit": model.get("commit")}
        models.append(f"{name} ({', '.join(f'{file} {str(value)[:12]}' for file, value in files.items())})")
    return (
        f"Begun {record['begun']}. Plan {first['plan_sha256'][:16]}; data {data['data_digest']} "
        f"({data['data_rows']:,} rows, version {data['data_version']}); models {', '.join(models)}; "
        + ", ".join(f"{name} {value}" for name, value in versions.items())
        + f". Numbers are per cent, intervals 95 % intervals by volume ({NOTE})."
    )


def _notes(found: Json, record: Json) -> list[str]:
    """What a reader must know before the numbers."""
    notes = []
    for change in record["changes"]:
        what = {"plan_sha256": "the plan", "data": "the data", "versions": "software", "models": "a model"}
        changed = ", ".join(what[name] for name in change["what"])
        lines = "; ".join(" ".join(line.split()) for line in change["lines"][:6])
        notes.append(f"CHANGED MIDWAY, on {change['when']}: {changed} ({lines}).")
    for kind, names in found["later"].items():
        if names:
            notes.append(f"Not in the first plan, added after answers had been given: {kind} {', '.join(names)}.")
    for part in found["parts"]:
        for arm, reason in part["left_out"].items():
            notes.append(f"{part['model']}, {part['style']}: without {arm}, {reason}.")
    return notes


def _tables(found: Json) -> list[tuple[str, Table]]:
    tables = []
    for part in found["parts"]:
        where = f"{part['model']}, {part['style']}"
        size = f"{part['scored']:,} questions about {part['volumes']} volumes"
        tables.append((f"{where}: arms ({size})", arms_table(part)))
        tables.append((f"{where}: answers that became the opposite", swaps_table(part)))
        tables.append((f"{where}: all comparisons", tests_table(part["comparisons"])))
        tables.append((f"{where}: with and against anatomy", tests_table(part["by_prior"])))
    if found["styles"]:
        tables.append(("Answer styles", tests_table(found["styles"])))
    return [(title, table) for title, table in tables if table.rows]


def _markdown(plan: Plan, found: Json, notes: list[str], tables: list[tuple[str, Table]]) -> str:
    parts = [
        f"# {plan.name}",
        _about(found["record"]),
        "\n".join(f"- {note}" for note in notes),
        primary_sentence(found["primary"]),
        "\n".join(f"- {each['sentence']}" for each in found["semantic"]),
        *(f"## {title}\n\n{table.markdown()}" for title, table in tables),
        f"All other p-values are corrected together by Holm's method ({found['tests']} tests).",
    ]
    for each in found["perception"]:
        parts.append(f"## Language or perception: {each['model']}, {each['style']}, {each['arm']}")
        parts.append("\n".join(f"- {_twin_sentence(twin)}" for twin in each["twins"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _body(plan: Plan, found: Json, tables: list[tuple[str, Table]]) -> str:
    planned = "".join(f"<li>{escape(each)}</li>" for each in found["record"]["first"]["planned_analyses"])
    parts = [
        _section("The primary comparison", f"<p>{escape(primary_sentence(found['primary']))}</p>"),
        _section(
            "Does a gain count as semantic?",
            "".join(f"<p>{escape(each['sentence'])}</p>" for each in found["semantic"]),
        ),
        _section(
            "What was planned",
            f"<p>Recorded before the first answer, and all of what this page shows:</p><ul>{planned}</ul>"
            f'<p><a href="{TWINS_PAGE}">Language or perception</a> has a page of its own.</p>',
        ),
    ]
    for part in found["parts"]:
        plots = _plots(part)
        parts.append(_section(f"Differences from {part['base']}: {part['model']}, {part['style']}", plots))
    parts += [_section(title, table.html()) for title, table in tables]
    parts.append(
        _section(
            "How to read it",
            "<p>The primary comparison is tested alone at 5 %. All other p-values "
            f"({found['tests']}) are corrected together by Holm's method. An arm that samples has several answers a "
            "question, of which the mean counts; tokens, changes and swaps are those of its first seed.</p>",
        )
    )
    del plan
    return "".join(parts)


def _plots(part: Json) -> str:
    """Differences of each arm, in all questions and by factor and prior."""
    plots = []
    of_base = [each for each in part["comparisons"] if each["against"] == part["base"]]
    axis = difference_axis([each["difference"] for each in of_base])
    rows = [_row(each["arm"], each) for each in of_base]
    plots.append(forest(rows, axis, f"Accuracy minus that of {part['base']}."))
    for each in of_base:
        groups = [test for test in (*part["by_factor"], *part["by_prior"]) if test["arm"] == each["arm"] and test["by"]]
        shown, before = [], ""
        for test in groups:
            factor, value = test["by"]
            shown.append(_row(value, test, factor if factor != before else ""))
            before = factor
        if shown:
            body = forest(shown, difference_axis([test["difference"] for test in groups]), f"{each['arm']} by factor.")
            plots.append(f"<details><summary>{escape(each['arm'])} by factor</summary>{body}</details>")
    return "".join(plots)


def _row(name: str, test: Json, heading: str = "") -> Row:
    p = f"p {p_value(test['p'])}" if test["p_holm"] is None else f"Holm p {p_value(test['p_holm'])}"
    return Row(name, [Mark(test["difference"], note=p)], "", f"{test['items']:,}/{test['volumes']}", heading)


def _twin_sentence(twin: Json) -> str:
    if not twin["wrong"]:
        return f"{twin['name']}: none of {twin['pairs']:,} questions with such a twin was got wrong."
    return (
        f"{twin['name']}: of {twin['wrong']:,} questions got wrong, {per_cent(twin['right_on_twin'])} % are right "
        f"{twin['name']} (of those got right {per_cent(twin['right_on_twin_where_right'])} %). "
        f"A high share says: {twin['reads']}."
    )


def _twins_body(found: Json) -> str:
    intro = (
        "<p>Each question is matched with a twin that asks the same fact of the same slice and differs in one factor "
        "only. Of the questions that a model gets wrong, this is the share that it gets right on the twin. A model "
        "that guesses on both would reach the twin's accuracy by chance: hence the same share beside, of the questions "
        "that it gets right.</p>"
    )
    parts = [intro]
    for each in found["perception"]:
        rows = [
            Row(twin["name"], [Mark(twin[name])], "", f"{count:,}", title if index == 0 else "")
            for name, title in (
                ("right_on_twin", "of the questions got wrong"),
                ("right_on_twin_where_right", "of the questions got right"),
            )
            for index, twin in enumerate(twin for twin in each["twins"] if twin[name] is not None)
            for count in [twin["wrong"] if name == "right_on_twin" else twin["pairs"] - twin["wrong"]]
        ]
        plot = forest(rows, SHARE, "Right on the twin, per cent.") if rows else "<p>No twins among these questions.</p>"
        listed = "".join(f"<li>{escape(_twin_sentence(twin))}</li>" for twin in each["twins"] if twin["pairs"])
        title = f"{each['model']}, {each['style']}, {each['arm']}"
        parts.append(_section(title, f"{plot}<ul>{listed}</ul>"))
    return "".join(parts)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _page(title: str, about: str, notes: list[str], body: str) -> str:
    style = resources.files("lm_eval_tasks.report").joinpath("page.css").read_text(encoding="utf-8")
    template = resources.files("lm_eval_tasks.study").joinpath("page.html").read_text(encoding="utf-8")
    parts: dict[str, Any] = {
        "title": escape(title),
        "about": escape(about),
        "warnings": "".join(f"<li>{escape(note)}</li>" for note in notes),
        "no_warnings": "" if notes else "hidden",
        "shapes": defs(),
        "body": body,
    }
    return pages.make_page(template, {"style": style}, parts)
