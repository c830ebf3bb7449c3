"""A report's main numbers in the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster_statistics import FEW_CLUSTERS
from lm_eval_tasks.report.formats import NOTE, p_value, per_cent
from lm_eval_tasks.report.scores import Json

SHOWN = (
    "terminology",
    "prompt",
    "register",
    "convention",
    "frame",
    "view",
    "input",
    "stack_order",
    "modality",
    "plane",
)
EFFECTS_SHOWN = 6


def show(report: Json, console: Console) -> None:
    """Print the headline of each run, accuracy by factor, the largest effects, and the comparisons."""
    console.print(_headline(report))
    by_factor = _by_factor(report)
    if by_factor.row_count:
        console.print(by_factor)
    effects = _effects(report)
    if effects.row_count:
        console.print(effects)
    if report["comparisons"]:
        console.print(_comparisons(report))
    for warning in report["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(warning)}", soft_wrap=True)


def _headline(report: Json) -> Table:
    data = report["data"]
    title = (
        f"{data['items']:,} questions, {data['volumes']:,} volumes; per cent, with 95 % intervals by volume ({NOTE})"
    )
    table = Table(title=title)
    with_prior = any(run["scores"][0]["prior"] for run in report["runs"])
    with_blind = any(run["scores"][0]["blind"] for run in report["runs"])
    for name in ("run", "items", "accuracy", "chance", "both of a pair", "invalid"):
        table.add_column(name, justify="left" if name == "run" else "right")
    if with_blind:
        table.add_column("gain over blind", justify="right")
    if with_prior:
        table.add_column("followed the prior", justify="right")
    for run in report["runs"]:
        score = run["scores"][0]
        cells = [
            escape(run["name"]),
            f"{score['items']:,}",
            per_cent(score["accuracy"]),
            f"{100 * score['chance']:.1f}",
            per_cent(score["pair_accuracy"]),
            per_cent(score["invalid"]),
        ]
        if with_blind:
            cells.append(per_cent(score["blind"]["gain"], signed=True) if score["blind"] else "-")
        if with_prior:
            cells.append(per_cent(score["prior"]["followed"]) if score["prior"] else "-")
        table.add_row(*cells)
    return table


def _by_factor(report: Json) -> Table:
    table = Table(title="Accuracy by factor")
    table.add_column("factor")
    table.add_column("value")
    for run in report["runs"]:
        table.add_column(escape(run["name"]), justify="right")
    factors = report["data"]["factors"]
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for run in report["runs"]:
        for score in run["scores"]:
            if len(score["by"]) == 1 and score["by"][0] in SHOWN and len(factors.get(score["by"][0], ())) > 1:
                cell = cells.setdefault((score["by"][0], score["value"][0]), {})
                cell[run["name"]] = per_cent(score["accuracy"])
    before = ""
    for (factor, value), by_run in sorted(cells.items(), key=lambda cell: SHOWN.index(cell[0][0])):
        values = [by_run.get(run["name"], "-") for run in report["runs"]]
        if before not in ("", factor):
            table.add_section()
        table.add_row("" if factor == before else factor, escape(value), *values)
        before = factor
    return table


def _effects(report: Json) -> Table:
    table = Table(title="Largest matched effects: the same fact, one factor changed")
    for name in ("run", "change", "pairs", "volumes", "difference", "p (Holm)"):
        table.add_column(name, justify="left" if name in ("run", "change") else "right")
    for run, effect in _largest(report):
        few = effect["volumes"] < FEW_CLUSTERS
        table.add_row(
            escape(run),
            escape(f"{effect['factor']}: {effect['from']} -> {effect['to']}"),
            f"{effect['matched']:,}",
            f"{effect['volumes']:,}" + (" (few)" if few else ""),
            per_cent(effect["difference"], signed=True),
            p_value(effect["p_holm"]),
            style="dim" if few else None,
        )
    return table


def _largest(report: Json) -> Iterator[tuple[str, dict[str, Any]]]:
    seeing = [run for run in report["runs"] if run["mode"] == "pictures"]
    for run in seeing or report["runs"]:
        overall = [effect for effect in run["effects"] if not effect["within"] and effect["difference"]["value"]]
        overall.sort(key=lambda effect: (effect["volumes"] < FEW_CLUSTERS, -abs(effect["difference"]["value"])))
        for effect in overall[:EFFECTS_SHOWN]:
            yield run["name"], effect


def _comparisons(report: Json) -> Table:
    one_volume = any(each["overall"]["p_mcnemar"] is not None for each in report["comparisons"])
    p_name = "p (by fact; McNemar)" if one_volume else "p (by volume)"
    table = Table(title="Two runs on the same questions")
    for name in ("from", "to", "questions", "difference", "lost / won", p_name):
        table.add_column(name, justify="left" if name in ("from", "to") else "right")
    for each in report["comparisons"]:
        overall = each["overall"]
        table.add_row(
            escape(each["from"]),
            escape(each["to"]),
            f"{overall['items']:,}",
            per_cent(overall["difference"], signed=True),
            f"{overall['lost']:,} / {overall['won']:,}",
            p_value(overall["p"]) + (f"; {p_value(overall['p_mcnemar'])}" if one_volume else ""),
        )
    return table
