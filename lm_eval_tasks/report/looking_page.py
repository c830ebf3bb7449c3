"""The part of the page that holds controls against the questions that they are derived from."""

from collections.abc import Iterable
from html import escape

from cluster_statistics import FEW_CLUSTERS
from lm_eval_tasks.report.formats import p_value, per_cent
from lm_eval_tasks.report.scores import Json

NAMES = {
    "occluded": "structures hidden",
    "swapped": "another subject's slice, another answer",
    "blank": "scan removed, markers left",
    "name": "convention by its name only",
    "none": "convention not stated",
    "yes_no": "asked as yes or no",
}
"""What was done to the questions, by control."""

COLUMNS = ("control", "pairs (volumes)", "original", "control's accuracy", "change", "both right", "same answer")
CIRCULAR = ("questions (volumes)", "accuracy", "right in every order", "by chance", "same option", "same place")


def looking_part(report: Json) -> str:
    """The tables of all runs that answered controls; "" if none did."""
    runs = [run for run in report["runs"] if run["looking"]["controls"] or run["looking"]["circular"]]
    return "".join(_run(run, len(report["runs"]) > 1) for run in runs)


def _run(run: Json, several: bool) -> str:
    title = f"<h3>{escape(run['name'])}</h3>" if several else ""
    found = run["looking"]
    text = ""
    if found["controls"]:
        rows = (_control(each) for each in found["controls"])
        caption = "Each control against the question that it is derived from, per cent"
        text += _table(caption, COLUMNS, rows)
    if found["circular"]:
        each = found["circular"]
        cells = [
            f"{each['questions']:,} ({each['volumes']})",
            per_cent(each["accuracy"]),
            per_cent(each["all_right"]),
            f"{100 * each['all_right_by_chance']:.1f}",
            per_cent(each["consistent"]),
            per_cent(each["same_place"]),
        ]
        caption = "Questions asked with each option once in each place, per cent"
        text += _table(caption, CIRCULAR, [(cells, each["volumes"] < FEW_CLUSTERS)])
    return f"<div>{title}{text}</div>"


def _control(each: Json) -> tuple[list[str], bool]:
    change = f"{per_cent(each['difference'], signed=True)}; p {p_value(each['p'])}"
    return [
        NAMES[each["control"]],
        f"{each['matched']:,} ({each['volumes']})",
        per_cent(each["accuracy_original"]),
        per_cent(each["accuracy_control"]),
        change,
        per_cent(each["both_right"]),
        per_cent(each["same_answer"]) if each["same_answer"] else "-",
    ], each["volumes"] < FEW_CLUSTERS


def _table(caption: str, columns: tuple[str, ...], rows: Iterable[tuple[list[str], bool]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = []
    for cells, few in rows:
        grey = ' class="few"' if few else ""
        lines.append(f"<tr{grey}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    body = "".join(lines)
    return (
        f'<div class="wide"><table class="plain"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
