"""What an audit has found: each check with how much it looked at, its violations and its notes."""

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "violation", "not checked"]

CHECKS: dict[str, str] = {
    "files": "The files can be read; card and record name them all, with the right number of rows.",
    "schema": "Every row has the right columns, types and values, and is in the file of its cell.",
    "reproduction": "Rows and images are those that slice store and settings produce.",
    "ids": "No two rows have the same id.",
    "text": "The question lists its options, states what is shown, and does not name a marked structure.",
    "columns": "Prior answer, licence, version and margin follow from slice and question.",
    "pictures": "Every image can be decoded, is square, as large as the others of its row, and contains no text chunk.",
    "boxes": "Boxes and points lie inside the image and on their structure, by the label maps.",
    "markers": "Drawn markers are where boxes and points say, in the colour of their letter.",
    "orientation": "Images show their slice, oriented as convention and view say.",
    "pixels": "Outside the markers an image is its slice, the same in all rows that show it.",
    "labels": "Borders of labels lie on edges of the image, better than when flipped; what is asked about can be seen.",
    "answers": "Answers are true, by the label maps.",
    "pairs": "Inverse pairs are complete and opposite: the same question the other way round.",
    "facts": "Rows of a fact differ only in factors.",
    "blanks": "A blank canvas has a twin with the scan, equal in everything else, and shows only markers.",
    "forms": "Rows that state less, or offer their options otherwise, are their originals in all else.",
    "occluded": "Of structures that are hidden nothing is seen; all else is the slice, and the row is its original's.",
    "swapped": "A swapped row has its original's words, another subject's slice, and another answer.",
    "duplicates": "No two rows ask the same question about the same images.",
    "registers": "Every requested register and convention is in every cell.",
    "balance": "Answer words, positions of the right option, and structures are balanced in every cell.",
    "priors": "Where markers are drawn, neither text nor options reveal which of two options is right.",
    "leakage": "File names, image sizes, letters, colours and the order of rows reveal no answer.",
}
"""Every check by name, in the order of the report, and what must hold."""

EXAMPLES = 5
"""How many places of a violation are listed; all are counted."""


@dataclass
class Violation:
    """One thing that is wrong, at however many places."""

    problem: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Check:
    """One check of an audit.

    Args:
        looked_at: how many rows, images, pairs ... it looked at.
        skipped: why it could not be made; empty if it was.
    """

    name: str
    asks: str
    looked_at: int = 0
    skipped: str = ""
    violations: dict[str, Violation] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """How it came out."""
        if self.violations:
            return "violation"
        return "ok" if self.looked_at else "not checked"

    @property
    def count(self) -> int:
        """Number of places with a violation."""
        return sum(violation.count for violation in self.violations.values())


class Findings:
    """All checks of an audit; each part of it reports here what it looked at and found."""

    def __init__(self) -> None:
        self.checks = {name: Check(name, asks) for name, asks in CHECKS.items()}

    def looked(self, check: str, count: int = 1) -> None:
        """Count what a check has looked at."""
        self.checks[check].looked_at += count

    def violation(self, check: str, problem: str, where: str = "", found: object = None) -> None:
        """Note a violation.

        Args:
            problem: what is wrong, in a sentence that is the same at every place.
            where: the file, row or cell.
            found: the offending value.
        """
        violation = self.checks[check].violations.setdefault(problem, Violation(problem))
        violation.count += 1
        if len(violation.examples) < EXAMPLES:
            reported = "" if found is None else f" [found: {found}]"
            violation.examples.append(f"{where}{reported}".strip())

    def note(self, check: str, text: str) -> None:
        """Note, once, something worth knowing that is not a violation."""
        if text not in self.checks[check].notes:
            self.checks[check].notes.append(text)

    def skip(self, check: str, reason: str) -> None:
        """Say why a check could not be made."""
        self.checks[check].skipped = reason

    @property
    def ok(self) -> bool:
        """Whether nothing is violated."""
        return not any(check.violations for check in self.checks.values())
