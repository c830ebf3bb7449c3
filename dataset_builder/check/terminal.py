"""The main results of an audit in the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dataset_builder.check import Audit
from dataset_builder.check.baselines import GUESSERS
from dataset_builder.check.place_priors import BASELINES
from dataset_builder.check.report import verdict

_COLOURS = {"ok": "green", "violation": "bold red", "not checked": "yellow"}


def show(audit: Audit, console: Console) -> None:
    """Print the checks, each violation with an example, and what could be had without looking."""
    checks = audit.findings.checks.values()
    summary = Table(title=f"{escape(audit.dataset)}: {audit.rows:,} questions about {audit.volumes:,} volumes")
    for name in ("check", "looked at", "outcome"):
        summary.add_column(name, justify="right" if name == "looked at" else "left")
    for check in checks:
        text = f"{check.count:,} violations" if check.violations else check.status
        notes = "".join(f" {note}" for note in (check.skipped, *check.notes) if note)
        summary.add_row(check.name, f"{check.looked_at:,}", f"[{_COLOURS[check.status]}]{text}[/]{escape(notes)}")
    console.print(summary)
    for check in checks:
        for violation in check.violations.values():
            console.print(f"[bold red]{check.name}[/]: {escape(violation.problem)} {violation.count:,} times, such as:")
            console.print(f"    {escape(violation.examples[0])}", soft_wrap=True, highlight=False)
    if audit.baselines.pooled:
        console.print(_guessers(audit))
    if audit.places:
        console.print(_places(audit))
    colour = "green" if audit.ok else "bold red"
    console.print(f"[{colour}]{escape(verdict(audit))}[/]", soft_wrap=True)


def _guessers(audit: Audit) -> Table:
    shown = Table(title="Accuracy of blind baselines in per cent (* must be at chance)")
    shown.add_column("questions")
    for name in ("chance", *GUESSERS):
        shown.add_column(name, justify="right")
    for scored in audit.baselines.pooled:
        chance = next(iter(scored.guessers.values())).expected
        scores = [f"{100 * scored.guessers[name].value:.1f}" if name in scored.guessers else "-" for name in GUESSERS]
        shown.add_row(scored.cell, f"{100 * chance:.1f}{'*' if scored.gated else ' '}", *scores)
    return shown


def _places(audit: Audit) -> Table:
    shown = Table(title="Places and numbers said without looking: per cent right")
    for name in ("questions", "rows", *BASELINES):
        shown.add_column(name, justify="left" if name == "questions" else "right")
    for prior in audit.places:
        scores = [f"{100 * prior.baselines[n].value:.1f}" if n in prior.baselines else "-" for n in BASELINES]
        shown.add_row(prior.name, f"{prior.rows:,}", *scores)
    return shown
