"""What an audit has found: each check with how much it looked at, its violations and its notes."""

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "violation", "not checked"]

CHECKS: dict[str, str] = {
    "files": "The files can be read; card and record name them all, with the right number of rows.",
    "schema": "Every row has the columns, types and values that a row has, and lies in the file of its cell.",
    "reproduction": "Rows and images are those that the slice store and the settings make.",
    "ids": "No two rows have the same id.",
    "text": "The question lists its options, says what is shown, and names no structure that a marker stands for.",
    "columns": "Prior answer, licence, version and margin are those that slice and question give.",
    "pictures": "Every image decodes, is square, as large as the others of its row, and carries no text.",
    "boxes": "Boxes and points lie inside the image and on their structure, by the label maps.",
    "markers": "Drawn markers stand where boxes and points say, in the colour of their letter.",
    "orientation": "Pictures show their slice, turned as convention and view say.",
    "pixels": "Outside the markers an image is its slice, the same in all rows that show it.",
    "labels": "Borders of labels lie on edges of the image, not where a flip would bring them.",
    "answers": "Answers are true, by the label maps.",
    "pairs": "Inverse pairs are complete and opposite: the same question the other way round.",
    "facts": "Rows of a fact differ in nothing but factors.",
    "blanks": "A blank canvas has a twin with the scan, equal in all else; it shows nothing but markers.",
    "duplicates": "No two rows ask the same with the same images.",
    "registers": "Every register and convention that was asked for is in every cell.",
    "balance": "Answer words, positions of the right option, and structures are balanced in every cell.",
    "priors": "Where markers are drawn, nothing in the text or the options tells which of two options is right.",
    "leakage": "File names, sizes of images, letters, colours and the order of rows betray no answer.",
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
            told = "" if found is None else f" [found: {found}]"
            violation.examples.append(f"{where}{told}".strip())

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
