"""Whether anything but the image content gives answers away: names of files, sizes, letters, order of rows."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dataset_builder.check.balance import Claim, report_claims
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import Item, Items
from dataset_builder.check.rows import SHARED, Names, plain
from dataset_builder.check.statistics import share
from dataset_builder.core.factors import DRAWN_PROMPTS
from dataset_builder.questions.wording import opposites


def check_leakage(items: Items, images: Images, findings: Findings) -> None:
    """Test letters, sizes and order over pairs.

    The colour of a marker is its letter's (the check ``markers`` compares them), so that what holds of letters holds of
    colours.
    """
    if len(images.blank_greys) > 1:
        for grey, item in sorted(images.blank_greys.items()):
            findings.violation("blanks", "Blank canvases have different greys.", str(item), grey)
    claims = [claim for cell, rows in items.cells.items() for claim in letters(cell, rows)]
    couples = [(a, b) for a, b in (m for m in items.pairs.values() if len(m) == 2) if a.answer != b.answer]
    claims += order(couples)
    claims += sizes(items, couples, images)
    findings.looked("leakage", len(claims))
    report_claims("leakage", claims, findings)


def check_path(path: str, item: Item, names: Names, findings: Findings) -> None:
    """The path of an image names no structure of its row and no option."""
    findings.looked("leakage")
    said = plain(path)
    reported = [name for name in item.structures if names.inside(name, said)]
    reported += [option for option in item.options if plain(option) in said]
    if reported:
        findings.violation("leakage", "The path of an image names a structure or an option.", str(item), path)


def check_file_names(folder: Path, structures: Sequence[str], names: Names, findings: Findings) -> None:
    """No file of the data set is named after a structure."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            findings.looked("leakage")
            said = plain(relative.as_posix())
            if said == plain(" ".join(part for part in _USUAL.findall(relative.as_posix()))):
                continue  # a structure of a user's own may be called "data"
            reported = [name for name in structures if names.inside(name, said)]
            if reported:
                findings.violation("leakage", "A file is named after a structure.", relative.as_posix(), reported[0])


_USUAL = re.compile(
    r"\b(?:data|slices|test|train|README|build|croissant|quarantine|stack|blank|view|locate|measure|(?:ct|mri)_(?:axial|coronal|sagittal)"
    r"|(?:anatomical|directional|relational)_(?:none|label|point|box|mask|text_point|text_box)|of|\d+"
    r"|parquet|md|json|jsonl)\b"
)
"""The names that a build gives to its folders and files."""


def letters(cell: str, rows: Sequence[Item]) -> list[Claim]:
    """Where A and B are swapped, A is left of B as often as right, and above as often as below.

    And where A is goes with no position of the right option.
    """
    claims = []
    for axis, word in enumerate(("left of", "above")):
        found = []
        for item in rows:
            if len(item.points) > 1 and item.box_images[0] == item.box_images[1] and item.relation not in SHARED:
                apart = item.points[1][axis] - item.points[0][axis]
                if apart:
                    found.append((apart > 0, item))
        if not found:
            continue
        claims.append(
            (
                f"{cell}: A {word} B",
                "A is on one side of B more often than on the other.",
                share([first for first, _ in found], 0.5, [item.fact_id for _, item in found]),
            )
        )
        two = [(first, item) for first, item in found if len(item.options) == 2]
        if two:
            claims.append(
                (
                    f"{cell}: first option right if A {word} B",
                    "The position of the right option correlates with the place of A.",
                    share(
                        [first == (item.answer == item.options[0]) for first, item in two],
                        0.5,
                        [item.draw_id for _, item in two],
                    ),
                )
            )
    return claims


def order(couples: Sequence[tuple[Item, Item]]) -> list[Claim]:
    """Of two inverse rows, which stands first says nothing about its relation; a fact is drawn once for its pairs."""
    found: dict[str, list[tuple[bool, str]]] = {}
    for first, second in couples:
        found.setdefault("all pairs, by answer", []).append((first.answer < second.answer, first.fact_id))
        if opposites().get(first.relation) == second.relation:
            low, high = sorted((first.relation, second.relation))
            found.setdefault(f"{low} / {high}", []).append((first.relation == low, first.fact_id))
    return [
        (
            words,
            "The order of a pair's rows correlates with the answer.",
            share([low for low, _ in members], 0.5, [fact for _, fact in members]),
        )
        for words, members in sorted(found.items())
    ]


def sizes(items: Items, couples: Sequence[tuple[Item, Item]], images: Images) -> list[Claim]:
    """The size of an image, in pixels or in bytes, goes with no answer."""
    claims: list[Claim] = []

    def seen(item: Item) -> tuple[int, int]:
        """Pixels and bytes of all images of a row."""
        found = [images.seen[digest] for digest in item.images]
        return sum(one.width * one.height for one in found), sum(one.bytes for one in found)

    larger: dict[str, list[tuple[float, str]]] = {}
    for first, second in couples:
        known = all(digest in images.seen for digest in (*first.images, *second.images))
        if first.prompt in DRAWN_PROMPTS and known and len(first.options) == 2:
            low, high = sorted((first, second), key=lambda item: item.answer)
            for number, what in enumerate(("pixels", "bytes")):
                a, b = seen(low)[number], seen(high)[number]
                if a != b:
                    words = f"{low.answer} / {high.answer}, {what}"
                    larger.setdefault(words, []).append((float(a > b), first.fact_id))
    for words, members in sorted(larger.items()):
        values, facts = [value for value, _ in members], [fact for _, fact in members]
        problem = "Of two inverse rows the image is larger for one of the answers."
        claims.append((words, problem, share(values, 0.5, facts)))
    return claims


def image_sizes(images: Images) -> dict[str, int]:
    """How many images there are of each size."""
    count = Counter(f"{seen.width} x {seen.height}" for seen in images.seen.values() if seen.width)
    return dict(count.most_common())
