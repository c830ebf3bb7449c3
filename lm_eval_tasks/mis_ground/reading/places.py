"""The reading of boxes and points.

All usual notations are read: lists, JSON and Python objects, pairs of corners, tags of model families, location tokens,
names with numbers, plain numbers alone. Where numbers have names (x0, top, width ...) the names say what they are, else
they stand in the order of the declared form. Several different positions are no answer, unless one is announced as
the final one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lm_eval_tasks.mis_ground.coordinates import Space

from .result import Reading
from .staging import CONFLICT, Said, staged

Kind = Literal["box", "point"]

_NUMBER = r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?|null|none)"
_UNIT = r"(?:\s*(?:px\b|pixels?\b|%|per ?cent\b))?"
_MEASURE = rf"{_NUMBER}{_UNIT}(?!\w)"
_SEPARATOR = r"(?:\s*[,;]\s*|\s+)"
_LIST = re.compile(rf"[\[({{<]\s*({_MEASURE}(?:{_SEPARATOR}{_MEASURE})+)\s*,?\s*[\])}}>]", re.I)
_ALONE = re.compile(
    rf"[\W_]*(?:(?:the |its )?(?:final |bounding |normali[sz]ed |pixel )*(?:answer|box|bbox|coordinates?|coords?|point|"
    rf"position|location)(?:\s+(?:is|are))?\s*(?:at\s*)?[:=]?\s*)?(?:\(?image \d+\)?\s*[:,;-]?\s*)?"
    rf"({_MEASURE}(?:{_SEPARATOR}{_MEASURE})+)[\W_]*",
    re.I,
)
_TOKENS = re.compile(r"(?:<loc\d{4}>[\s,;]*)+")
_CORNER = (
    r"(?:the\s+)?(?:(?:top|upper|bottom|lower)(?:[-_ ]?most)?[-_ ]?(?:left|right)|corners?|end|max(?:imum)?|br|tl)"
)
_BETWEEN = re.compile(
    rf"[\s,;:)\]]*(?:{_CORNER}[\s,;:]*)*(?:->|-|–|to|and|until|through|x)?[\s,;:(\[]*(?:with\s+)?"
    rf"(?:(?:its|the)\s+)?(?:{_CORNER}[\s,;:]*)*(?:(?:is|at|being|pixels?|point|position|coordinates?)\s+)*(?:at\s*)?[\s:=(\[]*",
    re.I,
)
"""What may stand between the two corners of one box."""

_NAMES = {
    "x0": r"x[_ ]?0|x[_ ]?min(?:imum)?|min[_ ]?x|left(?:[_ ]?edge)?|x[_ ]?left|left[_ ]?x|x[_ ]?start",
    "y0": r"y[_ ]?0|y[_ ]?min(?:imum)?|min[_ ]?y|top(?:[_ ]?edge)?|upper(?: edge)?|y[_ ]?top|top[_ ]?y|y[_ ]?start",
    "x1": r"x[_ ]?1",
    "y1": r"y[_ ]?1",
    "x2": r"x[_ ]?2|x[_ ]?max(?:imum)?|max[_ ]?x|right(?:[_ ]?edge)?|x[_ ]?right|right[_ ]?x|x[_ ]?end",
    "y2": r"y[_ ]?2|y[_ ]?max(?:imum)?|max[_ ]?y|bottom(?:[_ ]?edge)?|lower(?: edge)?|y[_ ]?bottom|bottom[_ ]?y|"
    r"y[_ ]?end",
    "cx": r"c[_ ]?x|x[_ ]?c|x[_ ]?cent(?:er|re)|cent(?:er|re)[_ ]?x",
    "cy": r"c[_ ]?y|y[_ ]?c|y[_ ]?cent(?:er|re)|cent(?:er|re)[_ ]?y",
    "w": r"w(?:idth)?",
    "h": r"h(?:eight)?",
    "x": r"x(?:[-_ ]?coord(?:inate)?)?|col(?:umn)?",
    "y": r"y(?:[-_ ]?coord(?:inate)?)?|row",
}
_NAMED = re.compile(
    "|".join(rf"(?<![\w.])(?P<{name}>{words})" for name, words in _NAMES.items()).join(("(?:", ")"))
    + rf"(?:\s*(?:=|:|is\b|at\b)\s*(?:at\s*)?|\s+)[\"']?(?P<number>{_MEASURE})",
    re.I,
)
_RANGE = re.compile(
    rf"(?<![\w.])(?P<axis>[xy])(?:[-_ ]?(?:coordinates?|axis|range|values?))?\s*(?:[:=∈]|\b(?:ranges?|is|goes|runs|"
    rf"spans|extends|lies|in|from|between)\b|\s)*[\[(]?\s*(?P<low>{_MEASURE})\s*(?:to|-|–|and|until|\.\.+|,)\s*"
    rf"(?P<high>{_MEASURE})\s*[\])]?",
    re.I,
)
_TAGS = re.compile(
    r"<\|?/?(?:box|bbox|bounding_box|point|quad|ref|det|object_ref|grounding|p|coord)(?:_?(?:start|end))?\|?/?>", re.I
)
_SIZES = re.compile(
    r"\bx\s*,\s*y\s*,\s*w(?:idth)?\s*,\s*h(?:eight)?\b|\b(?:xywh|cxcywh|coco|yolo)\b|\bcx\s*,\s*cy\b|"
    r"\b(?:cent(?:er|re)[_ ]?x|x[_ ]?cent(?:er|re))\s*,",
    re.I,
)
"""A reply that says its list has sizes or a centre in it, which was not asked for."""
_X, _Y = (
    rf"\b(?:{letter}[_ ]?(?:min|0|1|start)?|{edge}|{line})"
    for letter, edge, line in (("x", "left", "col(?:umn)?s?"), ("y", "top", "rows?"))
)
_X_FIRST = re.compile(rf"{_X}\s*,\s*{_Y}\b", re.I)
_Y_FIRST = re.compile(rf"{_Y}\s*,\s*{_X}\b", re.I)
"""A reply that says in which order its numbers stand."""
_IMAGE = re.compile(
    r"\b(?:image|slice|frame|panel|picture)s?(?:[_ ]?(?:number|no|id|index|num))?\.?\s*(?:[:=#]|is\b|number\b)?\s*#?"
    r"\s*(\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b(?!\s*(?:x|×|pixels?|px)\b)",
    re.I,
)
_ORDINAL = re.compile(
    r"\b(?:the\s+)?(\d+(?:st|nd|rd|th)|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)\s+"
    r"(?:image|slice|frame|panel|picture)\b",
    re.I,
)
_COUNTED = (
    "one two three four five six seven eight nine ten",
    "first second third fourth fifth sixth seventh eighth ninth tenth",
)
_WORDS = {word: number for words in _COUNTED for number, word in enumerate(words.split(), 1)}


@dataclass(frozen=True)
class Mention:
    """A position in a reply: x0, y0, x1, y1 or x, y in the declared form; None if its numbers are of another form."""

    numbers: tuple[float, ...] | None
    start: int
    end: int


def read_place(reply: str, kind: Kind, space: Space, images: int = 1, finish_reason: str | None = None) -> Reading:
    """Read the box or the point that a reply gives.

    Args:
        reply: the generated text.
        kind: what was asked for.
        space: the form that was asked for.
        images: of how many images the reply has to name one; 1: none need be named.
        finish_reason: why the generation ended, where that is known.

    Returns:
        With the position in pixels of the stored image.
    """

    def take(text: str, announced: bool) -> Said | None:
        return _said(text, kind, space, images, announced)

    said = staged(reply, take, finish_reason, _prepared)
    if isinstance(said, Reading):
        return said
    assert said.values is not None
    image = said.image - 1 if said.image is not None else None  # questions count from 1
    if images > 1 and (image is None or not 0 <= image < images):
        return Reading(None, "unread", "image")
    values = (space.box if kind == "box" else space.point)(said.values, image or 0)
    if values is None:
        return Reading(None, "unread", "range")
    text = f"[{', '.join(f'{number:.1f}'.removesuffix('.0') for number in values)}]"
    if images == 1:
        return Reading(text, "read", "place", values)
    return Reading(f"image {(image or 0) + 1}: {text}", "read", "place", values, image)


def _prepared(answer: str) -> str:
    """Tags of model families as brackets or blanks; the others keep their names."""
    answer = re.sub(r"\\(?=[\[\]])", "", answer)
    answer = re.sub(r"\\(?:,|;|!| )", " ", answer)
    answer = re.sub(r"(?<=[xyXY])_\{(\w+)\}", r"_\1", answer)
    if len(re.findall(r"\d,\d+\s*;", answer)) > 0 and not re.search(r"\d\.\d|\d, ", answer):
        answer = re.sub(r"(?<=\d),(?=\d)", ".", answer)  # decimal commas: semicolons part the numbers
    opened = {"box": "[", "bbox": "[", "bounding_box": "[", "point": "["}

    def bracket(found: re.Match[str]) -> str:
        name = re.sub(r"[^a-z_]", "", found[0].lower())
        if name in opened and "|" not in found[0]:
            return " ] " if "/" in found[0] else f" {opened[name]} "
        return " "

    return _TAGS.sub(bracket, answer)


def _said(text: str, kind: Kind, space: Space, images: int, announced: bool) -> Said | None:
    """What one part of a reply says: one position, or several, or none."""
    found = list(_boxes(text, space) if kind == "box" else _points(text, space))
    if not found:
        alone = _ALONE.fullmatch(text.strip())
        found = [_of_list(alone, space)] if alone and len(_split(alone[1])) == (4 if kind == "box" else 2) else []
    if not found:
        return None
    of_this_form = [mention for mention in found if not _says_another_form(text, mention, space)]
    if not of_this_form:
        return Said(None, "form")
    found = of_this_form
    different = list(dict.fromkeys(repr(mention.numbers) for mention in found))
    if len(different) > 1:
        return CONFLICT
    if found[0].numbers is None or _says_another_order(text, space):
        return Said(None, "form")
    image = None
    if images > 1:
        named = set(_images(text))
        if len(named) > 1:
            return CONFLICT
        image = next(iter(named), None)
    return Said(found[0].numbers, "place", image)


def _says_another_order(text: str, space: Space) -> bool:
    """Whether the reply itself says that its list is in another order than was asked for."""
    stated, other = (_Y_FIRST, _X_FIRST) if space.is_y_first else (_X_FIRST, _Y_FIRST)
    return bool(_SIZES.search(text) or (other.search(text) and not stated.search(text)))


_IN_PIXELS = r"(?:absolute )?(?:pixels?|px)(?: (?:coordinates?|values?|space|units))?"
_IN_SHARES = (
    r"(?:normali[sz]ed|relative)(?: (?:coordinates?|values?|box|bbox))?|0 ?(?:-|to|\.\.) ?10{2,3}\b(?: scale| range)?"
)


def _says_another_form(text: str, mention: Mention, space: Space) -> bool:
    """Whether the words beside a position say that it is in another form than was asked for."""
    other = _IN_SHARES if space.form in ("pixel", "pixel28") else _IN_PIXELS
    before, behind = text[: mention.start], text[mention.end :]
    return bool(
        re.search(rf"\b(?:{other})\s*(?:[:=]|\bis\b|\bare\b)?\s*$", before, re.I)
        or re.match(rf"\s*,?\s*\(?(?:(?:in|as|on|given)\s+(?:an? |the )?)*(?:{other})(?!\w)", behind, re.I)
    )


def _images(text: str) -> Iterator[int]:
    for found in [*_IMAGE.finditer(text), *_ORDINAL.finditer(text)]:
        word = found[1].lower()
        yield _WORDS.get(word) or int(re.sub(r"\D", "", word))


# ----------------------------------------------------------------------------------------------------------- notation


def _boxes(text: str, space: Space) -> Iterator[Mention]:
    """The boxes in a text: lists of four, pairs of corners, named edges, four location tokens."""
    yield from _runs(text, space, 4)
    lists = [(found, _split(found[1])) for found in _LIST.finditer(text)]
    for found, numbers in lists:
        if len(numbers) == 4:
            yield _of_list(found, space)
    yield from _corners(text, [found for found, numbers in lists if len(numbers) == 2], space)
    for names, start, end in _named_groups(text):
        box = _box_of(names)
        if box:
            yield Mention(_checked([names[name] for name in names], box, space), start, end)
    yield from _ranges(text, space)


def _points(text: str, space: Space) -> Iterator[Mention]:
    """The points in a text: lists of two, a named x and y, two location tokens."""
    yield from _runs(text, space, 2)
    for found in _LIST.finditer(text):
        if len(_split(found[1])) == 2:
            yield _of_list(found, space)
    for names, start, end in _named_groups(text):
        for x, y in (("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")):
            others = set(names) - {x, y}
            if {x, y} <= set(names) and not others & {"w", "h", "x0", "y0"}:
                if (x, y) in (("x1", "y1"), ("x2", "y2")) and not re.search(r"<points?\b[^>]*$", text[:start]):
                    continue
                yield Mention(_checked([names[x], names[y]], (_float(names[x]), _float(names[y])), space), start, end)


def _runs(text: str, space: Space, count: int) -> Iterator[Mention]:
    """Location tokens; of another form than the declared one they are no position in it."""
    for found in _TOKENS.finditer(text):
        numbers = [float(number) for number in re.findall(r"\d{4}", found[0])]
        for start in range(0, len(numbers), count):
            part = numbers[start : start + count]
            if len(part) == count:
                right = space.form == "loc1024"
                yield Mention(_in_order(part, space) if right else None, found.start(), found.end())


def _of_list(found: re.Match[str], space: Space) -> Mention:
    measures = _split(found[1])
    numbers = _in_order([_float(measure) for measure in measures], space)
    return Mention(_checked(measures, numbers, space), found.start(), found.end())


def _corners(text: str, points: Sequence[re.Match[str]], space: Space) -> Iterator[Mention]:
    """Two points in a row that are the corners of a box; of three or more in a row none are."""
    chains: list[list[re.Match[str]]] = []
    for found in points:
        near = chains and _BETWEEN.fullmatch(text[chains[-1][-1].end() : found.start()])
        if near:
            chains[-1].append(found)
        else:
            chains.append([found])
    for chain in chains:
        if len(chain) == 2:
            measures = [measure for found in chain for measure in _split(found[1])]
            numbers = _in_order([_float(measure) for measure in measures], space)
            yield Mention(_checked(measures, numbers, space), chain[0].start(), chain[1].end())


def _named_groups(text: str) -> Iterator[tuple[dict[str, str], int, int]]:
    """Names with numbers that stand together, each name once."""
    group: dict[str, str] = {}
    start = end = 0
    for found in _NAMED.finditer(text):
        name = next(each for each in _NAMES if found[each])
        gap = text[end : found.start()]
        if group and (name in group or not re.fullmatch(r"[\W_]*(?:(?:and|with|its|the)\b[\W_]*)*", gap)):
            yield group, start, end
            group = {}
        if not group:
            start = found.start()
        group[name] = found["number"]
        end = found.end()
    if group:
        yield group, start, end


def _box_of(names: dict[str, str]) -> tuple[float, ...] | None:
    """x0, y0, x1 and y1 by their names: edges, or a corner or the centre with width and height."""
    known = {name: _float(number) for name, number in names.items()}
    for x0, y0, x1, y1 in (("x0", "y0", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2")):
        if set(known) == {x0, y0, x1, y1}:
            return known[x0], known[y0], known[x1], known[y1]
    for x, y in (("x", "y"), ("x0", "y0"), ("x1", "y1")):
        if set(known) == {x, y, "w", "h"}:
            return known[x], known[y], known[x] + known["w"], known[y] + known["h"]
    if set(known) == {"cx", "cy", "w", "h"}:
        half_width, half_height = known["w"] / 2, known["h"] / 2
        cx, cy = known["cx"], known["cy"]
        return cx - half_width, cy - half_height, cx + half_width, cy + half_height
    return None


def _ranges(text: str, space: Space) -> Iterator[Mention]:
    """An x and a y, each from one number to another."""
    spans = list(_RANGE.finditer(text))
    for one, other in pairwise(spans):
        if one["axis"].lower() != other["axis"].lower() and len(text[one.end() : other.start()].split()) < 6:
            by = {each["axis"].lower(): (each["low"], each["high"]) for each in (one, other)}
            measures = [by["x"][0], by["y"][0], by["x"][1], by["y"][1]]
            numbers = tuple(_float(measure) for measure in measures)
            yield Mention(_checked(measures, numbers, space), one.start(), other.end())


# ------------------------------------------------------------------------------------------------------------ numbers


def _split(text: str) -> list[str]:
    """The numbers of a list, with their units."""
    return [found[0] for found in re.finditer(_MEASURE, text, re.I)]


def _float(measure: str) -> float:
    found = re.match(_NUMBER, measure.strip(), re.I)
    word = found[0].lower() if found else "nan"
    return float("nan") if word.lstrip("+-") in ("null", "none") else float(word)


def _in_order(numbers: Sequence[float], space: Space) -> tuple[float, ...]:
    """The numbers with x before y."""
    if not space.is_y_first:
        return tuple(numbers)
    pairs = [numbers[start : start + 2] for start in range(0, len(numbers), 2)]
    return tuple(number for pair in pairs for number in pair[::-1])


def _checked(measures: Sequence[str], numbers: Sequence[float], space: Space) -> tuple[float, ...] | None:
    """The numbers, unless they have the unit of another form."""
    units = {re.sub(_NUMBER, "", measure, count=1, flags=re.I).strip().lower() for measure in measures} - {""}
    pixels = any(unit.startswith(("px", "pixel")) for unit in units)
    shares = any(unit.startswith(("%", "per")) for unit in units)
    if (pixels and space.form not in ("pixel", "pixel28")) or (shares and space.form != "percent"):
        return None
    return tuple(numbers)
