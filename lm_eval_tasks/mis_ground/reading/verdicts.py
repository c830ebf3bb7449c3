"""A judgement on each option, line by line: "right: no ... left: yes", ticks, tables."""

import re
from dataclasses import dataclass, field

from .question import Asked
from .text import plain

_NO = re.compile(
    r"\b(?:no|not|incorrect|wrong|false|nomark|unlikely|ruled out|excluded|isn't|"
    r"doesn't|does not|n't|never|too|would need|would be)\b"
)
_YES = re.compile(r"\b(?:yes|correct|true|yesmark|fits|matches|the answer|this is it|plausible)\b")


@dataclass(frozen=True)
class Verdicts:
    """What was judged of the options, and the text without those lines.

    Args:
        chosen: the one option that was judged right.
        denied: the options that were judged wrong.
        rest: the other lines.
    """

    chosen: str | None = None
    denied: frozenset[str] = field(default_factory=frozenset)
    rest: str = ""


def one_by_one(text: str) -> str:
    r"""Ticks and crosses of one line on lines of their own, each with what it stands before or behind.

    >>> one_by_one("NOMARK right YESMARK left").split("\n")
    ['NOMARK right', 'YESMARK left']
    """
    lines = []
    for line in text.split("\n"):
        marks = re.findall("YESMARK|NOMARK", line)
        if len(marks) > 1:
            before = re.match(r"\W*(?:YESMARK|NOMARK)", line)
            line = re.sub(r"\s+(?=YESMARK|NOMARK)" if before else r"(?<=MARK)\W*\s(?=\w)", "\n", line.strip())
        lines.append(re.sub(r"(?<=[.;])\s+(?=\w+(?: \w+)?\s*->)", "\n", line))
    return "\n".join(lines)


def verdicts(text: str, asked: Asked) -> Verdicts:
    """Judgements on at least two options, each at the beginning of a line."""
    names = {plain(option): option for option in asked.options}
    either = "|".join(re.escape(name).replace(r"\ ", "[ -]") for name in sorted(names, key=len, reverse=True))
    line_of = re.compile(
        rf"^[\W_]{{0,9}}(?P<mark>yesmark|nomark)?[\W_]{{0,9}}(?:\(?[a-h1-9][).:]\s*)?(?:option \w:? "
        rf"?)?(?P<option>{either})\b[\W_]{{0,9}}(?P<rest>.*)$"
    )
    yes: list[str] = []
    no: list[str] = []
    kept = []
    for line in one_by_one(text).split("\n"):
        found = line_of.match(line.casefold().strip())
        judged = found and re.match(
            r"\s*(?:[:|(=,\-]|->|yesmark|nomark|is (?:not )?(?:correct|incorrect|wrong|true|false))",
            line.casefold().strip()[found.end("option") :] or " ",
        )
        if not found or not (judged or found["mark"]):
            kept.append(line)
            continue
        rest = f"{found['mark'] or ''} {found['rest']}".strip()
        option = (
            names[found["option"].replace("-", " ")]
            if found["option"].replace("-", " ") in names
            else names.get(found["option"], "")
        )
        last = re.split(r"[.,;-]\s", rest)[-1]
        if (
            found["mark"] == "yesmark"
            or re.match(r"\W*(?:yes|correct|true|yesmark)\b", rest)
            or re.fullmatch(r"\W*(?:yes|correct|yesmark)\W*", last)
        ):
            yes.append(option)
        elif _NO.search(rest):
            no.append(option)
        elif _YES.search(rest):
            yes.append(option)
        else:
            kept.append(line)
    if len(set(yes)) + len(set(no)) < 2 or set(yes) & set(no):
        return Verdicts(rest=text)
    chosen = yes[0] if len(set(yes)) == 1 else None
    return Verdicts(chosen, frozenset(no), "\n".join(kept))
