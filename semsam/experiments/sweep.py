"""A sweep of K, M and top-p: ``python -m semsam sweep MODEL --tasks TASKS --out DIR``.

The model is loaded once. Each setting is a run of its own, kept in ``DIR/runs``: an interrupted sweep resumes where
it was, and one with more settings adds to what is there. At the end ``sweep.csv``, ``sweep.md`` and ``sweep.svg`` are
written.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

from cluster_statistics import FEW_CLUSTERS, Difference, paired_difference
from semsam.errors import RunsError
from semsam.experiments.plot import Point, line_plot
from semsam.experiments.runs import Run, Runner, check_own
from semsam.settings import Settings


@dataclass(frozen=True)
class Row:
    """The row of a setting in the table.

    Args:
        settings: of the rule.
        score: mean over items.
        difference: from plain decoding, over the same items.
        changed_answers: share of items with another answer than under plain decoding.
        rescored: share of generated tokens at which the rule did not defer.
        changed_tokens: share of generated tokens at which the rule put another token first.
    """

    settings: Settings
    score: float
    difference: Difference
    changed_answers: float
    rescored: float
    changed_tokens: float


def row(settings: Settings, run: Run, plain: Run, cluster: str | None = None) -> Row:
    """Compare a run with the plain one.

    Args:
        settings: of the run.
        run: its items, the same as of ``plain``.
        plain: the run under plain decoding.
        cluster: column of the items' documents; items that share its value are not independent. None: all items are.

    Raises:
        RunsError: if the runs hold other items, or the items have no such column.
    """
    check_cluster(plain, cluster)
    if [(item.task, item.number) for item in run.items] != [(item.task, item.number) for item in plain.items]:
        raise RunsError(
            "The runs to be compared contain different items.", remedy="delete them (DIR/runs), or give another --out."
        )
    scores = [item.score for item in run.items]
    clusters = [f"{item.task} {item.number}" if cluster is None else str(item.document[cluster]) for item in run.items]
    pairs = list(zip(plain.items, run.items, strict=True))
    return Row(
        settings=settings,
        score=sum(scores) / len(scores),
        difference=paired_difference([item.score for item in plain.items], scores, clusters, cluster or "item"),
        changed_answers=sum(before.reply != after.reply for before, after in pairs) / len(pairs),
        rescored=run.rescored / max(run.steps, 1),
        changed_tokens=run.changed / max(run.steps, 1),
    )


def check_cluster(run: Run, cluster: str | None) -> None:
    """Refuse a run without items, or whose items do not have the column.

    Raises:
        RunsError: then.
    """
    if not run.items:
        raise RunsError("The tasks have no items.", remedy="choose others, or a data set that has some.")
    if cluster is not None and cluster not in run.items[0].document:
        raise RunsError(
            "The documents have no such column.",
            value=cluster,
            remedy=f"give one of: {', '.join(run.items[0].document)}.",
        )


COLUMNS = ("K", "M", "top-p", "guard", "score", "difference (95 % interval)", "answers changed", "re-scored", "changed")


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of `COLUMNS`; shares in percent."""
    shares = (row.changed_answers, row.rescored, row.changed_tokens)
    settings = row.settings
    return (
        *(str(settings.k), str(settings.top_m), f"{settings.top_p:g}", settings.guard),
        *(f"{100 * row.score:.1f}", str(row.difference), *(f"{100 * share:.1f}" for share in shares)),
    )


def markdown(rows: Sequence[Row], plain: float, runner: Runner, items: int) -> str:
    """The table as Markdown."""
    found = rows[0].difference.interval
    by = f"{found.method}, {found.clusters} of them" if found.clusters > 1 else "none of one cluster"
    lines = [
        f"Model `{runner.model}`, {items} items of {', '.join(f'`{task}`' for task in runner.tasks)}. "
        f"Plain decoding: {runner.metric} {100 * plain:.1f} %.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
        "",
        "All in percent. The difference is from plain decoding, paired by item, with its 95 % interval "
        f"({by}; †: fewer than {FEW_CLUSTERS}). Re-scored: generated tokens at which "
        "the rule did not defer; changed: those at which it put another token first.",
    ]
    return "\n".join(lines) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """The table as CSV; shares from 0 to 1."""
    stream = StringIO()
    names = ("k", "top_m", "top_p", "guard", "score", "difference", "low", "high")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, "answers_changed", "tokens_rescored", "tokens_changed"])
    for line in rows:
        settings, difference = line.settings, line.difference
        cells = [settings.k, settings.top_m, settings.top_p, settings.guard, line.score]
        cells += [difference.interval.value, difference.interval.low, difference.interval.high]
        writer.writerow([*cells, line.changed_answers, line.rescored, line.changed_tokens])
    return stream.getvalue()


def plot(rows: Sequence[Row], plain: float, metric: str) -> str:
    """An SVG image: the score against K, one line per M, top-p and guard, and plain decoding."""
    lines: dict[str, list[Point]] = {}
    for one in rows:
        settings = one.settings
        name = f"M {settings.top_m}, top-p {settings.top_p:g}" + ("" if settings.guard == "none" else ", guarded")
        interval = one.difference.interval
        low, high = (100 * (plain + end) if isfinite(end) else 100 * one.score for end in (interval.low, interval.high))
        point = Point(settings.k, 100 * one.score, low, high)
        lines.setdefault(name, []).append(point)
    return line_plot(lines, x_label="K (neighbours)", y_label=f"{metric}, %", level=("plain decoding", 100 * plain))


def grid(arguments: argparse.Namespace) -> list[Settings]:
    """All combinations of the requested values."""
    values = product(arguments.guard, arguments.top_m, arguments.top_p, arguments.k)
    return [Settings(k=k, top_m=top_m, top_p=top_p, guard=guard) for guard, top_m, top_p, k in values]


def sweep(runner: Runner, settings: Sequence[Settings], out: Path, cluster: str | None = None) -> list[Row]:
    """Run what is missing, compare all with plain decoding, and write the table and the plot."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    check_own(out, ("sweep.csv", "sweep.md", "sweep.svg"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("plain decoding", total=len(settings) + 1)
        plain = runner.run(out / "runs" / "plain", Settings(strength=0))
        check_cluster(plain, cluster)  # before the time for the others is spent
        rows = []
        for one in settings:
            name = f"k{one.k}-m{one.top_m}-p{one.top_p:g}-{one.guard}"
            progress.update(task, advance=1, description=name)
            rows.append(row(one, runner.run(out / "runs" / name, one), plain, cluster))
        progress.advance(task)
    score = sum(item.score for item in plain.items) / len(plain.items)
    (out / "sweep.csv").write_text(comma_separated(rows), encoding="utf-8")
    (out / "sweep.md").write_text(markdown(rows, score, runner, len(plain.items)), encoding="utf-8")
    (out / "sweep.svg").write_text(plot(rows, score, runner.metric), encoding="utf-8")
    return rows


def numbers(kind: type) -> Any:
    """A parser of comma-separated values."""
    return lambda text: [kind(part) for part in text.split(",")]


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that runs the harness on a loaded model."""
    parser.add_argument("model", metavar="MODEL", help="folder or Hub name")
    parser.add_argument("--tasks", type=numbers(str), required=True, help="the harness's tasks, comma-separated")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--vision", action="store_true", help="a model that takes images")
    parser.add_argument("--limit", type=int, help="items a task, from its beginning (default: all)")
    parser.add_argument("--metric", default="acc", help="the metric that counts (default: %(default)s)")
    parser.add_argument("--cluster", help="column of the documents: items that share its value are not independent")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU, if there)")
    parser.add_argument("--no-chat-template", action="store_true", help="for a model without one")
    parser.add_argument("--metadata", type=json.loads, default={}, help='for the tasks, such as {"dataset": "DIR"}')
    parser.add_argument("--include-path", help="folder with more task files")


def runner_of(arguments: argparse.Namespace) -> Runner:
    """The runner that the arguments describe."""
    return Runner(
        arguments.model,
        arguments.tasks,
        kind="vision" if arguments.vision else "text",
        metric=arguments.metric,
        limit=arguments.limit,
        batch_size=arguments.batch_size,
        device=arguments.device,
        chat_template=not arguments.no_chat_template,
        metadata=arguments.metadata,
        include_path=arguments.include_path,
    )


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m semsam sweep", description=__doc__.split("\n")[0])
    add_runner_arguments(parser)
    parser.add_argument("--k", type=numbers(int), default=[1, 2, 4, 8, 16, 32], help="comma-separated")
    parser.add_argument("--top-m", type=numbers(int), default=[50], help="comma-separated")
    parser.add_argument("--top-p", type=numbers(float), default=[0.95], help="comma-separated")
    parser.add_argument("--guard", type=numbers(str), default=["none"], help="comma-separated")
    arguments = parser.parse_args(argv)
    settings = grid(arguments)  # refuses wrong values before anything is loaded
    sweep(runner_of(arguments), settings, arguments.out, arguments.cluster)
    print((arguments.out / "sweep.md").read_text(encoding="utf-8"), end="")
    print(f"\nWritten: {', '.join(str(arguments.out / name) for name in ('sweep.csv', 'sweep.md', 'sweep.svg'))}")
    return 0
