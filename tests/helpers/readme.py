"""The code blocks of Markdown pages, and stand-ins for the words in them that the reader must replace."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN = ("bash", "python")
"""Languages of blocks that are run."""
SHOWN = ("", "text", "yaml", "json", "bibtex")
"""Languages of blocks that only show something."""

PROGRAMS = r"(?:mis-ground|lm_eval|lm-eval|python3?|pip3?|make|git|vllm|accelerate|torchrun|docker|ray)"
OPEN = r"\b(?:[A-Z]*VLM|LM|MODEL|DIR|FOLDER|FILE|REPO|NAME|WORD|USER)\b"
"""Words in capitals that stand for something of the reader's."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        language: after the opening fence.
        line: number of the opening fence's line, from 1.
        lines: what is inside.
        page: name of the file.
    """

    language: str
    line: int
    lines: tuple[str, ...]
    page: str = ""

    @property
    def name(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The commands of a bash block: without comments and empty lines, a continued line as one.

        >>> Block("bash", 1, ("a \\\\", "  b  # why", "# c", "d")).commands()
        ['a b', 'd']
        """
        joined = re.sub(r"\\\n\s*", "", "\n".join(self.lines))
        stripped = (re.sub(r"(?:^|\s)#\s.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in stripped if line]


def pages_in_reading_order(root: Path) -> list[Path]:
    """README.md, the pages of docs/ in the order of mkdocs.yml, pages that it does not list, CONTRIBUTING.md."""
    listed = re.findall(r"[\w/-]+\.md\b", (root / "mkdocs.yml").read_text(encoding="utf-8").rpartition("nav:")[2])
    pages = [root / "docs" / name for name in listed]
    others = sorted(set((root / "docs").rglob("*.md")) - set(pages))
    return [root / "README.md", *pages, *others, root / "CONTRIBUTING.md"]


def blocks(path: Path) -> list[Block]:
    """All fenced blocks of a Markdown file, in order.

    Raises:
        ValueError: if a block has no end, or a language that is neither run nor known as one that only shows.
    """
    found: list[Block] = []
    fence, language, start = "", "", 0
    inside: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        opening = re.match(r"\s*(`{3,}|~{3,})\s*(\S*)", line)
        if fence:
            if opening and opening[1].startswith(fence) and not opening[2]:
                found.append(Block(language, start, tuple(inside), path.name))
                fence, inside = "", []
            else:
                inside.append(line)
        elif opening:
            fence, language, start = opening[1], opening[2], number
            if language not in (*RUN, *SHOWN):
                raise ValueError(f"{path.name}:{number}: a block in {language!r}; run are {RUN}, shown {SHOWN}")
    if fence:
        raise ValueError(f"{path.name}:{start}: the block has no end")
    return found


def hidden_commands(block: Block) -> list[str]:
    """Lines of a block that is only shown which look like commands, and so should stand in one that is run."""
    return [line for line in block.lines if re.match(rf"\s*(?:\$ )?{PROGRAMS} ", line)]


def filled_in(text: str, stand_ins: Mapping[str, str], smaller: Sequence[tuple[str, str]]) -> str:
    """A command or program with stand-ins for what the reader has, and smaller numbers.

    Args:
        text: as shown.
        stand_ins: text -> what to put there; longer ones are put in first.
        smaller: regular expression -> replacement.

    Raises:
        ValueError: if something is left open for which there is no stand-in.
    """
    for shown in sorted(stand_ins, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(shown)}(?![\w-])", lambda _, shown=shown: stand_ins[shown], text)
    for pattern, replacement in smaller:
        text = re.sub(pattern, replacement, text)
    for value in stand_ins.values():
        assert not re.search(OPEN, value), value
    left = re.findall(OPEN, text)
    if left:
        raise ValueError(f"{text!r} leaves {', '.join(sorted(set(left)))} open, for which the test has no stand-in")
    return text
