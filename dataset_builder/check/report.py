"""The report of an audit: a Markdown file to read, and JSON with every number."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset_builder.check import Audit
from dataset_builder.check.balance import Balance
from dataset_builder.check.baselines import EPOCHS, FOLDS, GUESSERS, LEVEL, CellBaselines
from dataset_builder.check.findings import Check
from dataset_builder.check.place_priors import BASELINES, PlacePrior
from dataset_builder.check.statistics import ALPHA, MIN_EFFECT, Share
from dataset_builder.core.errors import BuildError
from dataset_builder.dataset.card_text import table
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.own_files import add_to_list, check_may_write

MARKDOWN, JSON = "check.md", "check.json"

METHOD = f"""\
- *Balance* and *leakage*: shares are tested by their deviations within what one draw decided together (a pair, or a
  fact); a pair whose rows deviate in opposite ways adds nothing. A share is a violation if its probability, corrected
  by Holm's method for all shares of the check, is below {ALPHA:g}, and it is off by more than {100 * MIN_EFFECT:g}
  points: small cells raise no alarm.
- *Blind baselines* see no image. `first` takes the first option, `longest` the longest, `constant` the option that was
  right most often when it was offered in other volumes, `text` a linear classifier over words and phrases of up to
  three words of the question and its options, trained on other volumes ({FOLDS} folds, {EPOCHS} passes).
- Where a marker is drawn and there are two options, every guesser must be at chance: within two standard errors,
  corrected by Holm's method for all cells and guessers to a level of {LEVEL:g}. Elsewhere the prior is real, and
  reported.
- Standard errors are by volume, or binomial where that is larger; with few volumes they say little.
"""


def check_target(out: Path) -> None:
    """Whether a report may be written into a folder: none is there, or one that nobody changed.

    Raises:
        BuildError: if not.
    """
    if out.exists() and not out.is_dir():
        raise BuildError(
            "The report cannot be written: its folder is a file.", file=out, remedy="Give a folder: --out check."
        )
    check_may_write(out, (MARKDOWN, JSON))


def write_report(audit: Audit, out: Path) -> tuple[Path, Path]:
    """Write the report into a folder; returns the Markdown and the JSON file.

    Raises:
        BuildError: if it cannot be written, or files of the user's are there under its names.
    """
    check_target(out)
    files = {MARKDOWN: to_markdown(audit), JSON: json.dumps(to_json(audit), indent=1, ensure_ascii=False) + "\n"}
    try:
        for name, text in files.items():
            write_atomically(out / name, text)
        add_to_list(out, files)
    except OSError as error:
        raise BuildError("The report cannot be written.", file=out, value=error.strerror) from error
    return out / MARKDOWN, out / JSON


def verdict(audit: Audit) -> str:
    """The outcome in a sentence."""
    wrong = [check.name for check in audit.findings.checks.values() if check.violations]
    left = [check.name for check in audit.findings.checks.values() if check.status == "not checked"]
    text = f"{len(wrong)} checks are violated: {', '.join(wrong)}." if wrong else "No check is violated."
    return text + (f" Not checked: {', '.join(left)}." if left else "")


def to_json(audit: Audit) -> dict[str, Any]:
    """Every number of an audit."""
    return {
        "dataset": audit.dataset,
        "content": audit.content,
        "ok": audit.ok,
        "rows": audit.rows,
        "volumes": audit.volumes,
        "facts": audit.facts,
        "cells": audit.cells,
        "pictures": audit.images,
        "checks": [_check(check) for check in audit.findings.checks.values()],
        "guessers": {
            "pooled": [_scored(scored) for scored in audit.baselines.pooled],
            "cells": [_scored(scored) for scored in audit.baselines.cells],
        },
        "blind_places_and_numbers": [
            {
                "name": prior.name,
                "rows": prior.rows,
                "mean_overlap": prior.overlap,
                "right": {
                    name: {"share": of.value, "standard_error": of.error} for name, of in prior.baselines.items()
                },
            }
            for prior in audit.places
        ],
        "prior_answers": [asdict(followed) for followed in audit.baselines.followed],
        "balance": [asdict(balance) for balance in audit.balance],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "asks": check.asks,
        "status": check.status,
        "looked_at": check.looked_at,
        "skipped": check.skipped,
        "violations": [asdict(violation) for violation in check.violations.values()],
        "notes": check.notes,
    }


def _scored(scored: CellBaselines) -> dict[str, Any]:
    return {
        "name": scored.cell,
        "must_be_at_chance": scored.gated,
        "guessers": {
            name: {
                "rows": result.rows,
                "volumes": result.clusters,
                "accuracy": result.value,
                "chance": result.expected,
                "standard_error": result.error,
                "p": result.p,
            }
            for name, result in scored.guessers.items()
        },
    }


def to_markdown(audit: Audit) -> str:
    """The report to read."""
    checks = audit.findings.checks.values()
    images = ", ".join(f"{count:,} of {size}" for size, count in audit.images.items()) or "none"
    facts: list[list[object]] = [
        ["questions", audit.rows],
        ["volumes", audit.volumes],
        ["facts", audit.facts],
        ["cells", audit.cells],
        ["images", images],
        ["content", f"`{audit.content}`" if audit.content else "no record"],
    ]
    parts = [
        f"# Audit of {audit.dataset}",
        f"**{verdict(audit)}**",
        table(["", ""], facts),
        "## Checks",
        table(["check", "what must hold", "looked at", "outcome"], [_check_line(check) for check in checks]),
        *_violations(audit),
        "## What can be guessed without looking",
        "Accuracy in per cent, ± one standard error.",
        guessers_table(audit.baselines.pooled),
        "How these are made:\n\n" + METHOD,
        *_places(audit),
        *_followed(audit),
        "## Every cell",
        _balance_table(audit.balance),
        guessers_table(audit.baselines.cells),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def outcome(check: Check) -> str:
    """How a check came out, in words."""
    if check.violations:
        return f"**{check.count:,} violations**"
    return "ok" if check.looked_at else f"not checked. {check.skipped}"


def _check_line(check: Check) -> list[object]:
    return [check.name, check.asks, check.looked_at, " ".join([outcome(check), *check.notes])]


def _violations(audit: Audit) -> Iterator[str]:
    wrong = [check for check in audit.findings.checks.values() if check.violations]
    if wrong:
        yield "## Violations"
    for check in wrong:
        yield f"### {check.name}"
        for violation in check.violations.values():
            lines = [f"- **{violation.problem}** {violation.count:,} times, such as:"]
            lines += [f"  - {example}" for example in violation.examples if example]
            yield "\n".join(lines)


def share_text(result: Share | None) -> str:
    """An accuracy in per cent with its standard error."""
    return f"{100 * result.value:.1f} ± {100 * result.error:.1f}" if result else "-"


def guessers_table(baselines: Sequence[CellBaselines]) -> str:
    """What each guesser gets, one line per cell."""
    lines: list[list[object]] = []
    for scored in baselines:
        known = next(iter(scored.guessers.values()))
        scores = [share_text(scored.guessers.get(name)) for name in GUESSERS]
        must = "at chance" if scored.gated else "reported"
        lines.append([scored.cell, known.rows, known.clusters, f"{100 * known.expected:.1f}", *scores, must])
    return table(["questions", "rows", "volumes", "chance", *GUESSERS, "must be"], lines)


def _places(audit: Audit) -> Iterator[str]:
    if audit.places:
        yield "## Places and numbers said without looking"
        yield (
            "Per cent right, ± one standard error. `mean` says the structure's mean box in the other volumes (its "
            "centre, for a point) or the mean of the measurement there; `random` draws a box. A box is right if it "
            "shares half of the joint area, a point on the structure, a number within its tolerance."
        )
        yield places_table(audit.places)


def places_table(priors: Sequence[PlacePrior]) -> str:
    """What blind baselines get in questions for points, boxes and numbers, one line per kind."""
    lines: list[list[object]] = [
        [
            prior.name,
            prior.rows,
            "-" if prior.overlap is None else f"{100 * prior.overlap:.1f}",
            *(share_text(prior.baselines.get(name)) for name in BASELINES),
        ]
        for prior in priors
    ]
    return table(["questions", "rows", "mean overlap of `mean`", *BASELINES], lines)


def _followed(audit: Audit) -> Iterator[str]:
    if audit.baselines.followed:
        yield "## What anatomy alone would say"
        yield "How often the column `prior_answer` is right: input, terminology, frame, convention, view."
        yield table(
            ["shown", "rows", "with a prior answer", "right"],
            [[f.shown, f.rows, f.stated, f"{100 * f.right / f.stated:.1f} %"] for f in audit.baselines.followed],
        )


def _balance_table(balances: Sequence[Balance]) -> str:
    lines: list[list[object]] = []
    for balance in balances:
        lines.append(
            [
                balance.cell,
                balance.rows,
                balance.facts,
                balance.volumes,
                " / ".join(str(count) for count in balance.registers.values()),
                " / ".join(f"{100 * part:.0f}" for part in balance.positions),
                f"{balance.top_answer} {100 * balance.top_answer_share:.0f} %",
                f"{balance.top_structure} {100 * balance.top_structure_share:.0f} % of {balance.structures}",
            ]
        )
    names = " / ".join(sorted({name for balance in balances for name in balance.registers}))
    header = ["cell", "rows", "facts", "volumes", names or "registers", "right option at, %"]
    return table([*header, "most frequent answer", "most frequent structure"], lines)
