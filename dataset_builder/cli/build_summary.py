"""What ``mis-ground build`` says at the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from dataset_builder.cli.terminal import console, errors
from dataset_builder.core.factors import TERMINOLOGIES
from dataset_builder.files.own_files import some_of

if TYPE_CHECKING:
    from dataset_builder.building.builder import BuildSummary


def show_short_cells(summary: "BuildSummary", wanted: int | None) -> None:
    """Name the cells of slices with fewer questions than every cell should have, if any number was wanted."""
    short = _short_cells(summary, wanted or 0)
    if short:
        errors.print(
            f"[yellow]Fewer than {wanted} questions[/] in {len(short)} cell(s), as the volumes give no more: "
            f"{some_of(short, 10)}",
            soft_wrap=True,
        )


def _short_cells(summary: "BuildSummary", wanted: int) -> Sequence[str]:
    return [
        f"{config}/{split} ({count})"
        for (config, split), count in summary.rows.items()
        if count < wanted and split.startswith(TERMINOLOGIES)
    ]


def print_summary(summary: "BuildSummary") -> None:
    """Show what a build made and what it could not use."""
    table = Table(title=f"{summary.out.name}: {summary.total_rows:,} questions, {summary.data_bytes / 1e6:.1f} MB")
    table.add_column("config")
    for terminology in TERMINOLOGIES:
        table.add_column(terminology, justify="right")
    table.add_column("all", justify="right")
    for config in dict.fromkeys(config for config, _ in summary.rows):
        counts = [
            sum(n for (c, split), n in summary.rows.items() if c == config and split.startswith(terminology))
            for terminology in TERMINOLOGIES
        ]
        total = sum(n for (c, _), n in summary.rows.items() if c == config)
        table.add_row(config, *(f"{count:,}" if count else "" for count in counts), f"{total:,}")
    console.print(table)
    of_scans = f" of {summary.scans} scan(s)" if 0 < summary.scans < summary.volumes else ""
    console.print(
        f"{summary.volumes} volume(s){of_scans}, {summary.slices} slices, {len(summary.rows)} cells in {summary.out}",
        soft_wrap=True,
    )
    for label, count in sorted(summary.labels_left_out.items()):
        console.print(escape(f"Label left out: {label}, in {count:,} scan(s)"), soft_wrap=True)
    if summary.excluded:
        count, facts, listed_facts = (summary.excluded[name] for name in ("questions", "facts", "listed"))
        console.print(f"Left out as excluded: {count:,} question(s) about {facts:,} fact(s)", soft_wrap=True)
        if facts < listed_facts:
            errors.print(
                f"[yellow]Not found:[/] {listed_facts - facts:,} of {listed_facts:,} excluded facts are not in this "
                "build: they are of other scans or settings.",
                soft_wrap=True,
            )
    if summary.left_out:
        console.print("In the folders, but not part of any case:", soft_wrap=True)
        for reason, count in sorted(summary.left_out.items()):
            named = summary.files_left_out.get(reason) or ()
            files = f" {some_of(named, 10)}" if named else ""
            console.print(escape(f"  {count:,} x {reason}{files}"), soft_wrap=True)
        if any(len(named) > 10 for named in summary.files_left_out.values()):
            console.print(f"All of them: {summary.out / 'build.json'} (private files by pseudonym)", soft_wrap=True)
    if summary.unmatched:
        console.print(
            f"For {summary.unmatched} question(s) no slice of another subject has another answer (view swapped).",
            soft_wrap=True,
        )
    for reported in summary.without_rows[:10]:
        errors.print(f"[yellow]No question about[/] {escape(reported)}", soft_wrap=True)
    if len(summary.without_rows) > 10:
        errors.print(f"{len(summary.without_rows)} such volumes in {summary.out / 'build.json'}", soft_wrap=True)
    for warning in summary.warnings[:10]:
        errors.print(f"[yellow]Odd:[/] {escape(warning)}", soft_wrap=True)
    if len(summary.warnings) > 10:
        errors.print(f"{len(summary.warnings)} such notes in {summary.out / 'build.json'}", soft_wrap=True)
    for case in summary.quarantined[:10]:
        errors.print(
            "[yellow]Quarantined:[/] " + escape(f"{case.source}/{case.subject}: {case.problem} {case.remedy}"),
            soft_wrap=True,
        )
    if summary.kept is not None:
        errors.print(
            "[yellow]The old data set is kept:[/] it contains files that no build wrote; it is now "
            + escape(str(summary.kept)),
            soft_wrap=True,
        )
    if summary.quarantined:
        errors.print(f"{len(summary.quarantined)} case(s) in {summary.out / 'quarantine.jsonl'}", soft_wrap=True)
