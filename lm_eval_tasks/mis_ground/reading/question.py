"""What a question asks: which kind of options, about which structures, in which frame."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from .tables import table
from .text import plain

Kind = Literal["relation", "names", "images", "orders", "other"]

NUMBERED = re.compile(r"(?:image|slice|frame|picture|scan|section)s? (?:no\.? |number )?(\d+)")
_LETTER_LIST = re.compile(r"[a-z](?:, [a-z])+")


@dataclass(frozen=True)
class Pole:
    """One end of a relation: the option that stands for it, and a pattern of all words for it."""

    option: str
    words: str


@dataclass(frozen=True)
class Axis:
    """A pair of opposites as in relations.yml; ``poles`` in the order of the options."""

    name: str
    kind: str
    poles: tuple[Pole, Pole]
    complementary: bool = False
    sided: bool = False
    positional: str = ""
    nouns: bool = False


@dataclass(frozen=True)
class Asked:
    """What a question asks.

    Args:
        options: as listed.
        kind: of options.
        axis: of a question about a relation.
        references: the names by which the question calls its structures, the asked one first; empty if by letters.
        frame: whose right and left count.
        superlative: what is asked of images: first, last or largest.
        count: of the images.
        ends: from where to where an order is asked for.
        letters: option by the letter or number that the question gives it.
    """

    options: tuple[str, ...]
    kind: Kind
    axis: Axis | None = None
    references: tuple[str, ...] = ()
    frame: Literal["patient", "image"] = "patient"
    superlative: str = ""
    count: int = 0
    ends: tuple[str, str] = ("", "")
    letters: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@cache
def ask(question: str, options: tuple[str, ...]) -> Asked:
    """Understand a question, as far as the reading of its answers needs it."""
    text = plain(question)
    asked = _asked_sentence(text)
    axis = axis_of(options)
    kind: Kind = "relation" if axis else _kind(options)
    count = re.search(r"(\d+) (?:\w+ ){0,4}?(?:images|slices)|numbered 1 to (\d+)", text)
    ends = re.search(r"from (.+?) to (.+?)(?:[?,]|$)", asked)
    superlative = next((word for word in ("first", "last") if re.search(rf"\b{word}\b", asked)), "")
    return Asked(
        options=options,
        kind=kind,
        axis=axis,
        references=() if re.search(r"structures? (?:marked )?[abc]\b", text) else _references(asked, options, axis),
        frame="image" if _IMAGE_FRAME.search(asked) else "patient",
        superlative=superlative or ("largest" if re.search(r"largest|biggest", asked) else ""),
        count=int(count[1] or count[2]) if count else 0,
        ends=(ends[1], ends[2]) if ends else ("", ""),
        letters=lettered(question, options),
        text=text,
    )


_IMAGE_FRAME = re.compile(r"displayed|in the image|position in the image|only at the image|things are in the image")


def _asked_sentence(text: str) -> str:
    """The last sentence with a question mark; the whole text if there is none."""
    before = re.split(r"\boptions\s*:", text)[0]
    found = re.findall(r"[^.?]*\?", before)
    return found[-1].strip() if found else before


def _kind(options: Sequence[str]) -> Kind:
    texts = [plain(option) for option in options]
    if texts and all(NUMBERED.fullmatch(text) or text.isdigit() for text in texts):
        return "images"
    if (
        len(texts) > 1
        and all(", " in text for text in texts)
        and len({tuple(sorted(t.split(", "))) for t in texts}) == 1
    ):
        return "orders"
    return "names" if texts else "other"


@cache
def axis_of(options: tuple[str, ...]) -> Axis | None:
    """The pair of opposites that two options are; None if they are none."""
    if len(options) != 2:
        return None
    texts = [plain(option) for option in options]
    for name, row in table("relations").items():
        poles = row["poles"]
        order = [next((i for i, pole in enumerate(poles) if text in pole["options"]), None) for text in texts]
        if sorted(order, key=str) == [0, 1]:
            made = tuple(
                Pole(option, _words(poles[i])) for option, i in zip(options, order, strict=True) if i is not None
            )
            return Axis(
                name,
                row["kind"],
                (made[0], made[1]),
                complementary=row.get("complementary", False),
                sided=row.get("sided", False),
                positional="|".join(row.get("positional", [])),
                nouns=row.get("nouns", False),
            )
    return None


def _words(pole: Mapping[str, Any]) -> str:
    own = [re.escape(option).replace(r"\ ", r"[ _-]") for option in pole["options"]]
    own += [text.replace("toward", "towards?") for text in own if text.startswith("toward") and "towards?" not in text]
    own += [
        option.replace("nearer", "nearer to").replace(" ", "[ -]")
        for option in pole["options"]
        if option.startswith("nearer ")
    ]
    return "|".join(sorted([*pole.get("words", []), *own], key=len, reverse=True))


_STOP = (
    r"(?: (?:to the|on the|on which|lie|lies|appear|appears|more to|more|relate|have|"
    r"visible|in the patient|largest|the biggest|cover|look|first|nearer|farther|"
    r"closer|as the two ends|and|or|than|be)\b|[,:?]|$)"
)
_NO_NAMES = re.compile(
    r"the (?:patient|image|body|two|listed|structure|images|largest|biggest|distance|"
    r"first|last|same|area|size|order)\b"
)


def _references(asked: str, options: tuple[str, ...], axis: Axis | None) -> tuple[str, ...]:
    """The structures that a question names, the one that is asked about first."""
    from .names import known_names

    words = "|".join(re.escape(plain(option)) for option in options) or "(?!)"
    found: list[tuple[int, str]] = []
    position = 0
    while (at := asked.find("the ", position)) >= 0:
        position = at + 4
        if (at and asked[at - 1].isalpha()) or _NO_NAMES.match(asked, at):
            continue
        rest = asked[at + 4 :]
        if re.match(rf"(?:{words})(?: or| of|,|:|\?|$)", rest):
            continue
        name = next(
            (each for each in known_names() if rest.startswith(each) and not rest[len(each) :][:1].isalnum()), ""
        )
        if not name:
            other = re.match(rf"(\S+?(?: \S+?){{0,6}}?)(?= (?:{words})\b|{_STOP})", rest)
            name = other[1] if other else ""
        if not name:
            continue
        found.append((at, name))
        position = at + 4 + len(name)
    if not found:
        return ()
    third = next((n for at, n in found if re.search(r"(?:distance to|measured to) $", asked[:at])), "")
    first = next((n for at, n in found if n != third and re.search(r"\b(?:is|are|does|do) $", asked[:at])), "")
    rest_names = [n for _, n in found if n not in (first, third)]
    if not first:
        return tuple(dict.fromkeys(n for _, n in found))
    return tuple(dict.fromkeys([first, *rest_names, *([third] if third else [])]))


_ENUMERATED = r"(?:^|[\n;,(\s])\(?{label}\s*[).:]\s*{option}\s*(?=$|[\n;,]|\s\(?\w\s*[).:])"


def lettered(text: str, options: Sequence[str]) -> dict[str, str]:
    r"""Option by letter or number, where a text lists all options so ("A) right B) left"); else empty.

    >>> lettered("A) right\nB) left", ["right", "left"])
    {'a': 'right', 'b': 'left'}
    """
    text = text.casefold()
    found: dict[str, str] = {}
    for option in options:
        labels = {
            label
            for label in re.findall(r"(?:^|[\s(;,])\(?([a-z]|\d)\s*[).:]", text)
            if re.search(_ENUMERATED.format(label=label, option=re.escape(plain(option))), re.sub(r"[*`\"]", "", text))
        }
        if len(labels) != 1:
            return {}
        found[labels.pop()] = option
    return found if len(found) == len(options) else {}
