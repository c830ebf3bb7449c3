"""Rows against each other and against their own text: pairs, facts, twins, duplicates, registers."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from dataset_builder.check.columns import id_problems, row_problems
from dataset_builder.check.findings import Findings
from dataset_builder.check.items import FACTORS, Item, Items, group
from dataset_builder.check.measured import answer_text_problems
from dataset_builder.check.phrases import is_ordinary
from dataset_builder.check.question_text import question_problems
from dataset_builder.check.statistics import ALPHA, holm
from dataset_builder.check.twins import check_forms, check_occluded, check_swapped, twin_problems, with_original
from dataset_builder.core.factors import DRAWN_PROMPTS, REGISTERS
from dataset_builder.dataset.manifest import BuildNote
from dataset_builder.questions.wording import opposites
from dataset_builder.vocabulary import Structure

Asked = Callable[[str], Mapping[str, Sequence[str]]]
"""From a file to the values of ``register`` and ``convention`` that its build asked for."""

BuildOf = Callable[[str], BuildNote | None]
"""From a file to the build that made it."""

SHARED = frozenset({"adjacent", "apart", "same side", "opposite sides", "within", "elsewhere"})
"""Relations that a swap would not change: the inverse relates the first structure to another one."""

_SAME_IN_PAIR = (
    *FACTORS,
    *("modality", "plane", "terminology", "options", "template", "fact_id", "source", "subject", "patient"),
    *("slice_index", "pixel_mm", "oblique_degrees", "window", "margin_mm"),
)
_SAME_IN_FACT = (
    "modality",
    "plane",
    "terminology",
    "source",
    "subject",
    "patient",
    "pixel_mm",
    "oblique_degrees",
    "window",
    "margin_mm",
    "licence",
)
_CONVENTION_WORDS = {"radiological": r"\bradiolog", "ras": r"\bRAS\b"}


def check_rows(
    items: Items,
    words: Mapping[str, Structure],
    asked: Asked,
    build_of: BuildOf,
    size_of: Callable[[Item], int],
    findings: Findings,
) -> None:
    """Make all checks of rows that need no image.

    Args:
        words: structures by canonical name.
        asked: what each file's build asked for.
        build_of: what made each file.
        size_of: the side of a row's images in pixels; 0 if not known.
    """
    ids(items, findings)
    names = Names(words)
    for item in items.rows:
        findings.looked("text")
        findings.looked("columns")
        for problem, found in (*text_problems(item, names), *question_problems(item, words, size_of(item))):
            findings.violation("text", problem, str(item), found)
        for problem, found in answer_text_problems(item):
            findings.violation("answers", problem, str(item), found)
        build = build_of(item.file)
        for problem, found in row_problems(item, build.version if build else None, words):
            findings.violation("columns", problem, str(item), found)
    if len(versions := {item.version for item in items.rows if build_of(item.file) is None}) > 1:
        findings.violation("columns", "Rows have several versions.", found=", ".join(sorted(versions)))
    choices = items.choices
    for problem, where, found in id_problems(choices, words, lambda file: id(build_of(file))):
        findings.violation("ids", problem, where, found)
    pairs(choices, findings)
    facts(choices, findings)
    blanks(choices, findings)
    check_forms(choices, findings)
    check_occluded(choices, findings)
    check_swapped(choices, findings)
    duplicates(items, findings)
    registers(items, asked, findings)


def ids(items: Items, findings: Findings) -> None:
    """Every id once."""
    findings.looked("ids", len(items.rows))
    count = Counter(item.id for item in items.rows)
    for item in items.rows:
        if count[item.id] > 1:
            findings.violation("ids", "Rows have the same id.", str(item))


def plain(text: str) -> str:
    """Bare words in lower case, between spaces, so that a phrase is found as whole words."""
    return " " + " ".join(re.findall(r"[^\W_]+", text.lower())) + " "


class Names:
    """What structures are called, as bare words.

    Args:
        words: structures by canonical name.
    """

    def __init__(self, words: Mapping[str, Structure]) -> None:
        self._words = words
        self._known: dict[str, dict[str, str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._words

    def of(self, name: str) -> dict[str, str]:
        """Register or ``canonical`` -> name; a structure that the vocabulary lacks goes by its canonical name."""
        if name not in self._known:
            structure = self._words.get(name)
            called = {register: plain(getattr(structure, register) if structure else name) for register in REGISTERS}
            self._known[name] = called | {"canonical": plain(name)}
        return self._known[name]

    def inside(self, name: str, text: str) -> bool:
        """Whether a text, made by :func:`plain`, says the structure's name in any form."""
        return any(called in text and not is_ordinary(called) for called in self.of(name).values())


def text_problems(item: Item, names: Names) -> Iterator[tuple[str, object]]:
    """What is wrong with the question of a row: (problem, found)."""
    if "; ".join(item.options) not in item.question:
        yield "The question does not list its options in their order.", "; ".join(item.options)
    stem = item.stem
    said = plain(stem)
    if f" {item.plane} " not in said:
        yield "The question does not state the plane.", item.plane
    if f" {item.modality} " not in said:
        yield "The question does not state the modality.", item.modality
    for convention, pattern in _CONVENTION_WORDS.items():
        if bool(re.search(pattern, stem)) != (convention == item.convention and item.statement != "none"):
            yield "The question does not state the convention, or states another.", item.convention
    if not item.is_choice:
        yield from _unnamed(item, names, said)
    elif item.prompt == "none":
        looked_for = item.terminology == "anatomical"
        for name in item.structures:
            if looked_for and names.inside(name, said):
                yield "The question names the structure that it asks for.", name
            elif not looked_for and name in names and names.of(name)[item.register] not in said:
                yield "The question does not name a structure in its register.", name
    else:
        for name in item.structures:
            if names.inside(name, said):
                yield "The question names a structure that a marker stands for.", name
    if item.prompt in ("text_point", "text_box"):
        wanted = (item.points if item.prompt == "text_point" else item.boxes)[item.unmarked :]
        stated = tuple(_numbers(part) for part in re.findall(r"[Ss]tructure [A-C] [^.]*?\(.*?\.", stem))
        if stated != tuple(tuple(place) for place in wanted):
            yield "The coordinates in the question are not those of the row.", f"{stated}, {wanted}"


def _unnamed(item: Item, names: Names, said: str) -> Iterator[tuple[str, object]]:
    """Of a question for a place or a number: what is told by a description or a marker is not named."""
    described = (
        () if item.relation in item.structures[:1] or item.input == "stack" else item.structures[: item.unmarked]
    )
    by_marker = item.marked if item.prompt != "none" else ()
    for name in (*described, *by_marker):
        if names.inside(name, said):
            yield "The question names a structure that it describes or marks.", name


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def pairs(items: Items, findings: Findings) -> None:
    """Pairs are complete and opposite."""
    for item in items.rows:
        if not item.pair_id:
            findings.looked("pairs")
            # What is visible has no opposite; everything else has.
            if item.terminology != "anatomical" or item.prompt != "none":
                findings.violation("pairs", "A row has no pair.", str(item))
    for members in items.pairs.values():
        findings.looked("pairs")
        where = str(members[0])
        if len(members) != 2:
            findings.violation("pairs", "A pair does not consist of two rows.", where, len(members))
        else:
            for problem, found in pair_problems(*members):
                findings.violation("pairs", problem, where, found)


def pair_problems(one: Item, other: Item) -> Iterator[tuple[str, object]]:
    """What keeps two rows from being each other's inverse."""
    different = [name for name in _SAME_IN_PAIR if getattr(one, name) != getattr(other, name)]
    if different:
        yield "The rows of a pair differ in what they must share.", ", ".join(different)
    if one.answer == other.answer:
        yield "The rows of a pair have the same answer.", one.answer
    if one.relation in opposites() and other.relation != opposites()[one.relation]:
        yield "The relations of a pair are not opposite.", f"{one.relation}, {other.relation}"
    if not _are_inverse(one, other):
        found = f"{', '.join(one.structures)}; {', '.join(other.structures)}"
        yield "The structures of a pair are not those of inverse questions.", found
    same_images = one.images == other.images
    if one.images and one.prompt in DRAWN_PROMPTS and one.structures != other.structures and same_images:
        yield "The rows of a pair show the same images, though their markers differ.", None
    hidden = one.view == "occluded"  # what each of them is about
    if one.images and one.prompt not in DRAWN_PROMPTS and not same_images and not hidden:
        yield "The rows of a pair show different images, though none has a marker.", None


def _are_inverse(one: Item, other: Item) -> bool:
    """Whether the structures of two rows are those of a question and its inverse."""
    a, b = one.structures, other.structures
    if one.relation not in opposites() or len(a) == 1:
        return len(a) == len(b) == 1 and a != b  # what is marked, in which image it is, on which side of the middle
    if one.relation in SHARED:
        return a[0] == b[0] and a[1:] != b[1:]
    if one.input == "stack" and len(a) == 3:
        return a == b  # in order from one end or the other
    return len(a) > 1 and b == (a[1], a[0], *a[2:])


def _counts_images(item: Item) -> bool:
    """Whether the question asks for an image of a stack: its relation then depends on the order of the images."""
    return " in image " in item.relation


def facts(items: Items, findings: Findings) -> None:
    """Rows of a fact share all but factors, and no two of them share all factors."""
    for fact, rows in items.facts.items():
        members = [item for item in rows if item.view != "swapped"]  # which show another subject
        if not members:
            continue
        findings.looked("facts")
        where = f"fact {fact}, such as {members[0]}"
        different = [name for name in _SAME_IN_FACT if len({getattr(item, name) for item in members}) > 1]
        if len({tuple(sorted(item.slice_index)) for item in members}) > 1:
            different.append("slice_index")
        if different:
            findings.violation("facts", "Rows of a fact differ in what they must share.", where, ", ".join(different))
        if len({item.structures for item in members}) > 2:
            findings.violation("facts", "A fact is about more than a pair's structures.", where)
        templates = group((name.rsplit(".", 1)[0], name) for name in sorted({item.template for item in members}))
        for names_of_one in templates.values():
            if len(names_of_one) > 1:
                found = ", ".join(names_of_one)
                findings.violation("facts", "Rows of a fact use different templates.", where, found)
        for names, about in group((item.structures, item) for item in members).items():
            relations = {item.relation for item in about if not _counts_images(item)}
            in_order = len(names) == 3 and all(item.input == "stack" for item in about)
            if len(relations) > (2 if in_order else 1):
                found = f"{', '.join(names)}: {', '.join(sorted(relations))}"
                findings.violation("facts", "A fact relates the same structures in different ways.", where, found)
        keys = Counter(
            (item.structures, item.relation, tuple(getattr(item, name) for name in FACTORS)) for item in members
        )
        for (names, relation, _), count in keys.items():
            if count > 1:
                found = f"{count} times {', '.join(names)}: {relation}"
                findings.violation("facts", "Rows of a fact do not differ in any factor.", where, found)


def blanks(items: Items, findings: Findings) -> None:
    """Each blank canvas has exactly one twin of the input ``slice`` that differs in the image alone."""
    blank = [item for item in items.rows if item.input == "blank"]
    if not blank:
        findings.skip("blanks", "There are no blank canvases.")
        return
    if not any(item.input == "slice" for item in items.rows):
        findings.skip("blanks", "There are no slices to compare blank canvases with.")
        return
    none = "A blank canvas does not have exactly one twin."
    for item, twin in with_original("blanks", none, blank, items, findings):
        if different := twin_problems(item, twin):
            problem = "A blank canvas differs from its twin in more than the image."
            findings.violation("blanks", problem, str(item), ", ".join(different))


def duplicates(items: Items, findings: Findings) -> None:
    """No two rows with the same question and images."""
    seen: dict[bytes, Item] = {}
    for item in items.rows:
        findings.looked("duplicates")
        key = hashlib.blake2b(
            f"{item.input} {item.view == 'swapped'} {item.question}".encode() + b"".join(item.images), digest_size=16
        ).digest()
        if key in seen:
            findings.violation("duplicates", "Two rows are the same.", str(item), f"as {seen[key]}")
        seen.setdefault(key, item)


def registers(items: Items, asked: Asked, findings: Findings) -> None:
    """Every register and convention that was asked for is in every cell, unless the cell is too small to tell.

    Each fact is first asked in drawn values: that so many facts all leave one out has a small probability.
    """
    missing = []
    for cell, members in items.cells.items():
        findings.looked("registers")
        many = len({item.fact_id for item in members})
        unstated = all(item.statement == "none" for item in members)  # which is radiological only
        for factor in ("register",) if unstated else ("register", "convention"):
            wanted = sorted({value for file in {item.file for item in members} for value in asked(file)[factor]})
            for value in sorted(set(wanted) - {getattr(item, factor) for item in members}):
                missing.append((cell, f"{factor} {value}", (1 - 1 / len(wanted)) ** many * len(wanted), many))
    for (cell, what, _, many), p in zip(missing, holm([entry[2] for entry in missing]), strict=True):
        if p < ALPHA:
            findings.violation("registers", "A cell lacks a requested value.", cell, f"{what}; {many} facts")
        else:
            findings.note("registers", "Some cells are too small to have every register and convention.")
