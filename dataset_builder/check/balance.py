"""Whether answer words, positions of the right option, and structures are balanced in every cell."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset_builder.check.findings import Findings
from dataset_builder.check.items import Item, Items, group
from dataset_builder.check.rows import SHARED
from dataset_builder.check.statistics import ALPHA, MIN_EFFECT, Share, holm, share


@dataclass(frozen=True)
class Balance:
    """What is frequent in a cell; shares between 0 and 1.

    Args:
        rows, facts, volumes: how many.
        registers: rows by register.
        answers: number of different answers.
        top_answer, top_answer_share: the most frequent one.
        positions: share of rows whose right option is the first, second ...
        structures: number of different structures.
        top_structure, top_structure_share: the one that most rows are about.
    """

    cell: str
    rows: int
    facts: int
    volumes: int
    registers: dict[str, int]
    answers: int
    top_answer: str
    top_answer_share: float
    positions: tuple[float, ...]
    structures: int
    top_structure: str
    top_structure_share: float


Claim = tuple[str, str, Share]
"""Cell, what was tested in it, and how it came out."""


def check_balance(items: Items, findings: Findings) -> list[Balance]:
    """Test every cell; returns what is frequent in each."""
    claims = [claim for cell, rows in items.cells.items() for claim in (*words(cell, rows), *positions(cell, rows))]
    claims += [claim for cell, rows in items.cells.items() for claim in roles(cell, rows)]
    findings.looked("balance", len(claims))
    report_claims("balance", claims, findings)
    return [_describe(cell, rows) for cell, rows in items.cells.items()]


def report_claims(check: str, claims: Sequence[Claim], findings: Findings) -> None:
    """Report shares that are not what they should be, corrected for their number."""
    open_claims = [claim for claim in claims if claim[2].error > 0]  # the others are exact
    corrected = holm([result.p for _, _, result in open_claims])
    for (cell, what, result), p in zip(open_claims, corrected, strict=True):
        if p < ALPHA and abs(result.deviation) > MIN_EFFECT:
            found = f"{100 * result.value:.1f} % of {result.rows}, not {100 * result.expected:.1f} %; p = {p:.2g}"
            findings.violation(check, what, cell, found)


def words(cell: str, rows: Sequence[Item]) -> list[Claim]:
    """Of two options each is right in half of the rows that offer them."""
    claims = []
    for offered, members in group((tuple(sorted(item.options)), item) for item in rows).items():
        if len(offered) == 2:
            right = [item.answer == offered[0] for item in members]
            result = share(right, 0.5, [item.draw_id for item in members])
            where = f"{cell}: {offered[0]} / {offered[1]}"
            claims.append((where, "One of two words is right more often than the other.", result))
    return claims


def positions(cell: str, rows: Sequence[Item]) -> list[Claim]:
    """Each position is right as often as the others."""
    claims = []
    for count, members in group((len(item.options), item) for item in rows).items():
        units = [item.draw_id for item in members]
        for position in range(count):
            right = [item.options[position] == item.answer for item in members]
            where = f"{cell}: option {position + 1} of {count}"
            claims.append(
                (
                    where,
                    "A position holds the right option more or less often than others.",
                    share(right, 1 / count, units),
                )
            )
    return claims


def roles(cell: str, rows: Sequence[Item]) -> list[Claim]:
    """Where A and B are swapped, each structure is A as often as B."""
    about: dict[str, list[tuple[bool, str]]] = {}
    for item in rows:
        if len(item.structures) == 2 and item.relation not in SHARED:
            for role, name in enumerate(item.structures):
                about.setdefault(name, []).append((role == 0, item.draw_id))
    return [
        (
            f"{cell}: {name}",
            "A structure is A more or less often than it is B.",
            share([is_a for is_a, _ in found], 0.5, [unit for _, unit in found]),
        )
        for name, found in sorted(about.items())
    ]


def _describe(cell: str, rows: Sequence[Item]) -> Balance:
    answers = Counter(item.answer for item in rows)
    names = Counter(name for item in rows for name in set(item.structures))
    options = max(len(item.options) for item in rows)
    at = np.bincount([item.options.index(item.answer) for item in rows], minlength=options) / len(rows)
    (answer, answered), (name, asked) = answers.most_common(1)[0], names.most_common(1)[0]
    return Balance(
        cell=cell,
        rows=len(rows),
        facts=len({item.fact_id for item in rows}),
        volumes=len({item.volume for item in rows}),
        registers=dict(sorted(Counter(item.register for item in rows).items())),
        answers=len(answers),
        top_answer=answer,
        top_answer_share=answered / len(rows),
        positions=tuple(float(part) for part in at),
        structures=len(names),
        top_structure=name,
        top_structure_share=asked / len(rows),
    )
