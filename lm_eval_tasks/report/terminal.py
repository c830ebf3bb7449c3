"""A report's main numbers in the terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cluster_statistics import FEW_CLUSTERS
from lm_eval_tasks.report.formats import NOTE, p_value, per_cent
from lm_eval_tasks.report.judge import judge_summary
from lm_eval_tasks.report.readers_page import in_words
from lm_eval_tasks.report.scores import NO_ANSWER, Json

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
COUNTED = ("facts", "volumes", "patients")

NAMES, A_RUN = 34, 20
"""Widths of what stands to the left of the runs, and of a run's column."""


def show(report: Json, console: Console) -> None:
    """Print the headline of each run, accuracy by factor, the largest effects, and the comparisons.

    Numbers are never cut: where not all runs fit beside each other, they are shown in several tables.
    """
    for runs in _side_by_side(report["runs"], console.width):
        console.print(_headline(report, runs))
        by_factor = _by_factor(report, runs)
        if by_factor.row_count:
            console.print(by_factor)
    positions = _positions(report)
    if positions.row_count:
        console.print(positions)
    effects = _effects(report)
    if effects.row_count:
        console.print(effects)
    looking = _looking(report)
    if looking.row_count:
        console.print(looking)
    for run in report["runs"]:
        if each := run["looking"]["circular"]:
            console.print(_circular(run["name"], each), soft_wrap=True, highlight=False, markup=False)
    if report["comparisons"]:
        console.print(_comparisons(report))
    for each in (*report["enough"]["comparisons"], *report["enough"]["runs"], *report["replicates"]):
        console.print(each["said"], highlight=False, markup=False)
    for run in report["runs"]:
        if "judge" in run:
            console.print(judge_summary(run["judge"], run["name"]), soft_wrap=True, highlight=False, markup=False)
    for line in in_words(report):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    for warning in report["warnings"]:
        console.print(f"[yellow]Note:[/] {escape(warning)}", soft_wrap=True)


def _side_by_side(runs: Sequence[Json], width: int) -> Iterator[Sequence[Json]]:
    """As many runs at a time as fit beside each other."""
    count = max(1, (width - NAMES) // A_RUN)
    for first in range(0, len(runs), count):
        yield runs[first : first + count]


def _table(title: str, names: Sequence[str], numbers: Sequence[str] = (), runs: Sequence[Json] = ()) -> Table:
    """A table whose names are folded where they are long, and whose numbers are not."""
    table = Table(title=title, caption_justify="left")
    for name in names:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        table.add_column(escape(run["name"]), justify="right", overflow="fold", min_width=A_RUN - 3)
    return table


def _cell(interval: Json | None, signed: bool = False) -> Text:
    """A number, and its interval in a line of its own, for which there is room."""
    return Text(per_cent(interval, signed).replace(" (", "\n("))


def _headline(report: Json, runs: Sequence[Json]) -> Table:
    data = report["data"]
    counts = ((name, data[key]) for name, key in (("questions", "items"), *((n, n) for n in COUNTED)))
    title = ", ".join(f"{count:,} {name}" for name, count in counts)
    table = _table(title, [""], runs=runs)
    table.caption = f"Per cent, with 95 % intervals by volume ({NOTE})."
    overall = [run["scores"][0] for run in runs]
    table.add_row("questions", *(f"{score['items']:,}" for score in overall))
    table.add_row("accuracy", *(_cell(score["accuracy"]) for score in overall))
    table.add_row("chance", *(_chance(score["chance"] or None) for score in overall))
    table.add_row("both of a pair", *(_cell(score["pair_accuracy"]) for score in overall))
    if any(score["pairs"] for score in overall):
        table.add_row("  if guessed", *(_chance(score["pair_chance"]) for score in overall))
        table.add_row("  always the same answer", *(_chance(score["pair_chance_constant"]) for score in overall))
    table.add_row("invalid", *(_cell(score["invalid"]) for score in overall))
    for name in NO_ANSWER:
        if any(score["no_answer"][name] for score in overall):
            table.add_row(f"  {name}", *(f"{100 * score['no_answer'][name]:.1f}" for score in overall))
    for name, part, number, signed in (
        ("gain over blind", "blind", "gain", True),
        ("followed the prior", "prior", "followed", False),
    ):
        if any(score[part] for score in overall):
            table.add_row(name, *(_cell(score[part] and score[part][number], signed) for score in overall))
    return table


def _chance(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _by_factor(report: Json, runs: Sequence[Json]) -> Table:
    table = _table("Accuracy by factor", ["factor", "value"], runs=runs)
    factors = report["data"]["factors"]
    cells: dict[tuple[str, str], dict[str, Text]] = {}
    for run in runs:
        for score in run["scores"]:
            if len(score["by"]) == 1 and score["by"][0] in SHOWN and len(factors.get(score["by"][0], ())) > 1:
                cell = cells.setdefault((score["by"][0], score["value"][0]), {})
                cell[run["name"]] = _cell(score["accuracy"])
    before = ""
    for (factor, value), by_run in sorted(cells.items(), key=lambda cell: SHOWN.index(cell[0][0])):
        values = [by_run.get(run["name"], Text("-")) for run in runs]
        if before not in ("", factor):
            table.add_section()
        table.add_row("" if factor == before else factor, escape(value), *values)
        before = factor
    return table


KINDS = {"box": "boxes", "point": "points", "mm": "lengths", "degree": "angles", "ratio": "ratios"}


def _positions(report: Json) -> Table:
    """Answers that are no options; beside each what the mean of the other volumes scores."""
    title = "Positions and measurements"
    table = _table(title, ["run", "asked for"], ["questions", "right", "prior", "IoU or MRA", "invalid"])
    for run in report["runs"]:
        for each in run["positions"]:
            score = each["scores"][0]
            prior = score["prior_accuracy"]
            table.add_row(
                escape(run["name"]),
                KINDS[each["kind"]],
                f"{score['items']:,}",
                _cell(score["accuracy"]),
                "-" if prior is None else f"{100 * prior:.1f}",
                "-" if score["score"] is None else f"{score['score']['value']:.2f}",
                f"{100 * score['invalid']['value']:.1f}",
            )
    return table


def _effects(report: Json) -> Table:
    title = "Largest matched effects: the same fact, one factor changed"
    table = _table(title, ["run", "change"], ["pairs", "volumes", "difference", "p (Holm)"])
    for run, effect in _largest(report):
        few = effect["volumes"] < FEW_CLUSTERS
        table.add_row(
            escape(run),
            escape(f"{effect['factor']}: {effect['from']} -> {effect['to']}"),
            f"{effect['matched']:,}",
            f"{effect['volumes']:,}" + (" (few)" if few else ""),
            _cell(effect["difference"], signed=True),
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


def _looking(report: Json) -> Table:
    title = "Looking or knowing: controls against their originals"
    table = _table(title, ["run", "control"], ["pairs", "original", "control", "change", "same\nanswer"])
    for run in report["runs"]:
        for each in run["looking"]["controls"]:
            few = each["volumes"] < FEW_CLUSTERS
            table.add_row(
                escape(run["name"]),
                each["control"].replace("_", "/"),
                f"{each['matched']:,}",
                f"{100 * each['accuracy_original']['value']:.1f}",
                f"{100 * each['accuracy_control']['value']:.1f}",
                _cell(each["difference"], signed=True),
                "-" if each["same_answer"] is None else f"{100 * each['same_answer']['value']:.1f}",
                style="dim" if few else None,
            )
    return table


def _circular(name: str, each: Json) -> str:
    return (
        f"{name}: of {each['questions']:,} questions asked with each option once in each place, "
        f"{100 * each['all_right']['value']:.1f} % are right in every order (chance "
        f"{100 * each['all_right_by_chance']:.1f} %), {100 * each['accuracy']['value']:.1f} % on average; "
        f"{100 * each['consistent']['value']:.1f} % get the same option in every order, "
        f"{100 * each['same_place']['value']:.1f} % the option in the same place."
    )


def _comparisons(report: Json) -> Table:
    one_volume = any(each["overall"]["p_mcnemar"] is not None for each in report["comparisons"])
    p_name = "p (by fact;\nMcNemar)" if one_volume else "p (by\nvolume)"
    title = "Two runs on the same questions"
    table = _table(title, ["from -> to"], ["questions", "difference", "lost / won", p_name])
    for each in report["comparisons"]:
        overall = each["overall"]
        p = p_value(overall["p"]) + (f"; {p_value(overall['p_mcnemar'])}" if one_volume else "")
        table.add_row(
            escape(f"{each['from']} -> {each['to']}"),
            f"{overall['items']:,}",
            _cell(overall["difference"], signed=True),
            f"{overall['lost']:,} / {overall['won']:,}",
            p,
        )
    return table
