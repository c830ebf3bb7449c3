"""The reading of measurements: numbers with units.

Units are converted, a range of which the upper end is at most twice the lower counts as its middle, "about" changes
nothing, and a bound ("at least", "<") is no number. A number without a unit is taken in the unit that was asked for, if
it is all that is said. A quantity of another kind (pixels, an area, degrees for a length) is no answer, and of several
different ones none is, unless one is announced as the final one.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .number_words import in_figures
from .result import Reading
from .staging import CONFLICT, Said, staged

Unit = Literal["mm", "degree", "ratio"]

UNITS: dict[str, tuple[str, float]] = {
    r"mms?|mill?i?met(?:er|re)s?": ("mm", 1.0),
    r"cms?|centimet(?:er|re)s?": ("mm", 10.0),
    r"dm|decimet(?:er|re)s?": ("mm", 100.0),
    r"m|met(?:er|re)s?": ("mm", 1000.0),
    r"µm|μm|um|micromet(?:er|re)s?|microns?": ("mm", 0.001),
    r"inch(?:es)?|in\.?(?= *(?:$|[).,;=≈~(]))|''": ("mm", 25.4),
    r"feet|foot|ft": ("mm", 304.8),
    r"°|º|degrees?|degs?": ("degree", 1.0),
    r"radians?|rads?": ("degree", 180 / math.pi),
    r"times|x(?= *(?:$|[).,;]|(?:as|the|larger|longer|bigger|greater)\b))|-?fold": ("ratio", 1.0),
    r"%|per ?cent": ("ratio", 0.01),
}
"""Units as they are written: what they measure, and how many of the unit that is asked for they are."""

_OTHER = (
    r"px|pixels?|voxels?|slices?|images?|mm ?[23²³^]|cm ?[23²³^]|(?:square|cubic) \w+|ml|cc|litres?|liters?|hu|kg|mg|g|"
    r"seconds?|minutes?|hours?|years?|points?|units?|steps?|structures?|regions?|dpi|hz|mhz"
)
"""Units of what is never asked for."""

_DIGITS = (
    r"(?:\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:[,'’]\d{3})+(?:\.\d+)?|\d+,\d+(?![\d,])|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s*[x×·*]\s*10\s*\^?\s*\(?[-+]?\d+\)?|e[-+]?\d+)?"
)
_FRACTION = r"(?:\d+\s+)?\d+\s?[/⁄]\s?\d+"
_NUMBER = rf"(?:{_FRACTION}|{_DIGITS}|nan\b|inf(?:inity)?\b|∞)"
_IN_ENGLISH = {
    r"毫米|公厘|ミリ(?:メートル)?|밀리미터|мм|миллиметр\w*|mil+[ií]m[eè]tr[eio]s?": "mm",
    r"厘米|公分|センチ(?:メートル)?|센티미터|см|сантиметр\w*|cent[ií]m[eè]tr[eio]s?|zentimetern?": "cm",
    r"度|도|grad|grados?|gradi|graus?|degrés?|градус\w*": "degrees",
    r"倍|배|mal|veces|fois|volte|vezes|раза?": "times",
}
"""Units in other languages, behind a number."""
_BOUND_IN_ENGLISH = re.compile(
    r"(?<!\w)(?:mindestens|höchstens|weniger als|mehr als|unter|über|al menos|como máximo|menos de|más de|au moins|"
    r"au plus|moins de|plus de|almeno|meno di|più di|не менее|не более|至少|至多|不到|超过|少于|多于)\s*(?=\d)",
    re.I,
)
_UNIT = "|".join(rf"(?P<u{number}>{words})" for number, words in enumerate(UNITS))
_UNIT_ONLY = "|".join(f"(?:{words})" for words in UNITS)
_TO = r"\s*(?:-|–|—|to|and|up to|or|\.{2,})\s*"
_CJK = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_MORE_OR_LESS = r"(?:about |approximately |~ ?)?"
_BOUND = (
    r"(?:[<>≤≥]=?|\b(?:less|more|greater|fewer|smaller|larger|longer|shorter|higher|lower) than|\bat (?:least|most)|"
    r"\bup to|\b(?:over|under|below|above|exceed(?:s|ing)?|beyond|minimum of|maximum of|no more than|within))\s+"
    rf"{_MORE_OR_LESS}|[<>≤≥]=?\s*"
)
_UNIT_OF_THE_ERROR = "|".join(rf"(?P<v{number}>{words})" for number, words in enumerate(UNITS))
_ERROR = rf"\s*\(?(?:±|\+/-|\+-|plus or minus)\s*{_NUMBER}\)?(?:\s*(?:{_OTHER}|{_UNIT_OF_THE_ERROR})(?!\w))?\)?"
_QUANTITY = re.compile(
    rf"(?P<bound>{_BOUND})?(?P<between>\bbetween\s+|\bfrom\s+)?"
    rf"(?<![\w.,/])(?<!\d )(?P<sign>[-−+]\s?)?(?P<number>{_NUMBER})"
    rf"(?:(?P<ratio>:(?=\d)|\s:\s)(?P<second>{_NUMBER})|"
    rf"\s*(?:{_UNIT_ONLY})?\s*(?P<range>{_TO}){_MORE_OR_LESS}(?P<high>{_NUMBER}))?"
    rf"(?:\s*(?:-|\(\s*(?:in\s+)?|in\s+)?\s*(?:(?P<other>{_OTHER})(?!\w)|(?:{_UNIT})(?![\w²³^])))?"
    rf"(?:{_ERROR})?(?![\w/]|\.\d)",
    re.I,
)
_NOT_AN_ANSWER = re.compile(
    r"(?:\b(?:image|slice|figure|fig\.?|structure|line|option|step|level|panel|frame|vertebra|rib|letter|point|marker|"
    r"no\.?|number|x\d?|y\d?)\s*#?|"
    r"\b(?:1|one|a|each|per) ?(?:pixel|px)\b[^.;\n]{0,30}|"
    r"\b(?:pixel (?:size|spacing|width)|spacing|resolution|scale(?: bar)?|bar|field of"
    r" view|thickness of (?:a|each|the) slice|confidence|margin of error|tolerance|error)\b[^.;\n=]{0,30})$",
    re.I,
)
"""What stands before a number that is no answer."""
_OF_A_PIXEL = re.compile(
    r"\s*(?:per|/|a|each|for (?:each|every))\s*(?:px|pixel|voxel)|\s*(?:x|×|by)\s*\d|\s*(?:bar|scale)\b", re.I
)
"""What stands behind such a number."""
_TIMES_ANOTHER = re.compile(r"\d\s*(?:(?:mm|cm|m|in)\s*)?(?:x|×|\*|by)\s*$", re.I)
"""What stands before the second number of a size: "42 mm × 30 mm"."""
_DISMISSED = re.compile(r"\b(?:not|rather than|instead of)\s+(?:the |about )?$", re.I)
"""What stands before a number that is said not to be the answer ..."""
_ASIDE = re.compile(r"\(\s*(?:(?:range|between|95 ?% ci|ci)\b|(?:at )?first\b|initially\b|i first\b)[^()]*\)", re.I)
"""... and what is said of it in parentheses."""
LONGEST_MM = 3000.0
"""Nothing in a scan is longer, so that "12,345 mm" has decimals."""
_FIELD = r"[\"']?\s*:\s*[\"']?"
_UNIT_FIELD = re.compile(rf"({_DIGITS})[\"']?\s*[,;]\s*[\"']?units?{_FIELD}({_UNIT_ONLY}|{_OTHER})(?!\w)", re.I)
_UNIT_FIELD_FIRST = re.compile(
    rf"[\"']?units?{_FIELD}({_UNIT_ONLY}|{_OTHER})(?!\w)[\"']?\s*[,;]\s*[\"']?\w+{_FIELD}({_DIGITS})", re.I
)
_UNIT_IN_A_NAME = re.compile(
    rf"(?:([a-z])(?:_|\s*\(\s*(?:in\s+)?|\s+in\s+)|(?<=[\"']))({_UNIT_ONLY}|{_OTHER})(?!\w)\s*\)?[\"'*]*\s*[:=][\s\"'*]*"
    rf"({_DIGITS})(?![\d.]*\s*[a-z°])",
    re.I,
)
"""Where the unit stands in a name or a field of its own: "distance_cm": 4.2, "value": 4.2, "unit": "cm"."""
_OR_MORE = re.compile(r"\s*(?:or|and) (?:more|less|longer|larger|greater|smaller|shorter|above|below|over|up)\b", re.I)
"""What makes the number before it a bound."""
_RATIO_IS = re.compile(r"\b(?:ratio|factor|quotient)\b[^.;\d]{0,60}(?:\b(?:is|of|equals)|[=:≈])\s*$", re.I)
_MORE = re.compile(r"\s*(?:larger|longer|bigger|greater|more|wider|smaller|shorter|less|of the way)\b", re.I)
_LEADS_TO = re.compile(
    r"(?:\b(?:is|are|of|be|to|measures?|about|approximately|roughly|around|estimate|equals|says)|[=:≈~])\s*(?:the )?$",
    re.I,
)
_APPROXIMATE = re.compile(
    r"\b(?:about|approximately|approx|roughly|around|circa|ca|nearly|almost|some|close to|an estimated|"
    r"estimated(?: at)?|exactly|precisely)\b\.?\s*|[~≈]\s*|\s+or so\b",
    re.I,
)
_ALONE = re.compile(
    r"[\W_]*(?:(?:the |its |final |correct |estimated )*(?:answer|distance|diameter|length|thickness|angle|ratio|value|"
    r"result|measurement|factor)\s*(?:is|of|=|:)?\s*)?",
    re.I,
)


@dataclass(frozen=True)
class Quantity:
    """A number in a reply.

    Args:
        value: in the unit that is asked for; None if it cannot be an answer.
        kind: what it measures; "" if it has no unit, "other" if it is something else.
        unit: as it was written.
        start: where it stands.
        end: where it ends.
        why: why it cannot be an answer.
    """

    value: float | None
    kind: str
    unit: str
    start: int
    end: int
    why: str = "nothing"


def read_number(reply: str, unit: Unit, finish_reason: str | None = None) -> Reading:
    """Read the number that a reply gives, in the unit that was asked for.

    Args:
        reply: the generated text.
        unit: ``mm``, ``degree`` or ``ratio``.
        finish_reason: why the generation ended, where that is known.
    """

    def take(text: str, announced: bool) -> Said | None:
        return _said(text, unit, announced)

    said = staged(reply, take, finish_reason, _prepared)
    if isinstance(said, Reading):
        return said
    assert said.values is not None
    (value,) = said.values
    if not math.isfinite(value) or value < 0 or (unit == "degree" and value > 360):
        return Reading(None, "unread", "range")
    words = {"mm": " mm", "degree": " degrees", "ratio": ""}[unit]
    return Reading(f"{value:.6g}{words}", "read", "number", (value,))


def _prepared(answer: str) -> str:
    """Signs that would be lost with the markup: inches, fractions, thin blanks between digits."""
    answer = re.sub(r"(?<=\d)(?=[¼½¾⅐-⅞])", " ", answer)
    answer = re.sub(r"(?<=\d)\s*(?:…|\.{2,})\s*(?=\d)", "-", answer)
    answer = re.sub(rf"(?<={_CJK})(?=\d)", " ", answer)
    for words, unit in _IN_ENGLISH.items():
        answer = re.sub(
            rf"(?<=\d)(\s*-?)(?:{words})(?![^\W\d_a-z]|[a-z])|(?<=\d)(\s*)(?:{words})(?={_CJK})",
            rf" {unit} ",
            answer,
            flags=re.I,
        )
    answer = _BOUND_IN_ENGLISH.sub(" at least ", answer)
    # A dash behind a word or a line's beginning is no sign, unless it makes a range: "40 mm - 44 mm".
    answer = re.sub(
        r"(?m)(\d\s*)?(^|[^\W\d_]+[:*]*\s+)[-−–—]\s+(?=\d)", lambda dash: dash[0] if dash[1] else dash[2], answer
    )
    answer = re.sub("[º˚∘]", "°", answer)
    answer = _UNIT_IN_A_NAME.sub(r"\1: \3 \2", _UNIT_FIELD_FIRST.sub(r"\2 \1", _UNIT_FIELD.sub(r"\1 \2", answer)))
    answer = re.sub(r"(?<=\d)[\u2009\u202f\u00a0](?=\d{3}(?!\d))", "", answer)
    answer = re.sub(r"(?<=\d) (?=\d{3}\s?(?:mm|cm|µm)\b)", "", answer)
    answer = re.sub(r"(?<=\d)\s?\u2033", " inches", answer)
    answer = re.sub(r"\\(?:,|;|!| )", " ", answer)
    answer = re.sub(r"\\(?:approx|sim|simeq)\b", " ~ ", answer)
    answer = re.sub(r"\\(?:times|cdot)\b", " x ", answer)
    answer = re.sub(r"\\pm\b", " ± ", answer)
    answer = re.sub(r"\^?\s*\{?\s*\\(?:circ|degree)\b\s*\}?", "°", answer)
    answer = re.sub(r"\\d?frac\{(\d+)\}\{(\d+)\}", r" \1/\2", answer)
    lines = []
    for line in answer.split("\n"):
        # A quotation mark behind a number is inches only where it closes no quotation.
        lines.append(re.sub(r'(?<=\d)\s?"(?!\w)', " inches", line) if line.count('"') % 2 else line)
    return "\n".join(lines)


def _said(text: str, unit: Unit, announced: bool) -> Said | None:
    """What one part of a reply says: one number, or several, or none."""
    text = _ASIDE.sub(" ", _APPROXIMATE.sub("", in_figures(text)))
    found = list(_of_sentences(text, unit))
    right = [each for each in found if each.kind == unit]
    if not right:
        right = _without_unit(text, found, unit, announced)
    if not right:
        wrong = [each for each in found if each.kind != ""]
        return Said(None, "form") if wrong and announced else None
    values = [each for each in right if each.value is not None]
    if len(values) < len(right):
        return Said(None, next(each.why for each in right if each.value is None))
    return _one(values)


def _one(values: list[Quantity]) -> Said:
    """The one value that all name, each in its own unit, or a conflict."""
    first = next((each for each in values if each.unit.lower() in ("mm", "°", "degrees")), values[0])
    assert first.value is not None
    for each in values:
        assert each.value is not None
        if not math.isfinite(each.value):
            return Said(None, "range")
        share = 0.03 if each.unit.lower() != first.unit.lower() else 1e-9
        if not math.isclose(each.value, first.value, rel_tol=share):
            return CONFLICT
    return Said((first.value,), "number")


def _of_sentences(text: str, unit: Unit) -> Iterator[Quantity]:
    """The quantities of a text; of a chain of equations those behind its last sign."""
    offset = 0
    for sentence in re.split(r"(?<=[.!?;])(?=\s)|\n", text):
        start = text.find(sentence, offset)
        offset = start + len(sentence)
        last = max(sentence.rfind("="), sentence.rfind("≈"))
        behind = list(_quantities(sentence, unit, last + 1)) if last >= 0 else []
        for each in behind or _quantities(sentence, unit, 0):
            yield Quantity(each.value, each.kind, each.unit, start + each.start, start + each.end, each.why)


def _quantities(text: str, unit: Unit, begin: int) -> Iterator[Quantity]:
    for found in _QUANTITY.finditer(text, begin):
        start = found.start("number")
        before = text[:start]
        if _NOT_AN_ANSWER.search(before) or _OF_A_PIXEL.match(text[found.end() :]):
            continue
        if _TIMES_ANOTHER.search(before) or _DISMISSED.search(before):
            continue
        yield _quantity(found, unit, text[found.end() :])


def _quantity(found: re.Match[str], unit: Unit, behind: str) -> Quantity:
    kind, factor, written = "", 1.0, ""
    for group in "vu":  # the number's own unit counts, else that behind its error: "42 ± 3 mm"
        for number, (of_kind, times) in enumerate(UNITS.values()):
            name = found[f"{group}{number}"]
            if name and not (group == "v" and name in ("%", "per cent", "percent")):
                kind, factor, written = of_kind, times, name
    if found["other"]:
        kind = "other"
    if found["ratio"]:
        kind, written = ("ratio", ":") if not kind else ("other", "")
    place = (kind, written, found.start("number"), found.end())
    value = _float(found["number"]) * factor
    if unit == "mm" and value > LONGEST_MM and re.fullmatch(r"\d{1,3},\d{3}", found["number"].strip()):
        value = float(found["number"].strip().replace(",", ".")) * factor
    if found["bound"] or _OR_MORE.match(behind):
        return Quantity(None, *place, why="bound")
    if (found["sign"] or "").strip() in ("-", "−"):
        value = -value
    if found["ratio"]:
        second = _float(found["second"])
        value = value / second if second else math.nan
    if found["range"]:
        high = _float(found["high"]) * factor
        if unit == "ratio" and kind in ("", "ratio") and found["range"].strip() == "to" and high == 1:
            return Quantity(value, "ratio", *place[1:])
        if found["range"].strip() == "or" or (found["range"].strip() == "and" and not found["between"]):
            return Quantity(None, *place, why="conflict")
        if not 0 < value <= high <= 2 * value:
            return Quantity(None, *place, why="range")
        value = (value + high) / 2
    if kind == "ratio" and factor == 0.01 and _MORE.match(behind):
        return Quantity(None, *place, why="form")
    return Quantity(value, *place)


def _without_unit(text: str, found: list[Quantity], unit: Unit, announced: bool) -> list[Quantity]:
    """The one number without a unit, if it is all that is said, or what is announced."""
    bare = [each for each in found if each.kind == ""]
    if unit == "ratio":
        named = [each for each in bare if _RATIO_IS.search(text[: each.start])]
        if len(named) == 1:
            return named
    if len(bare) != 1 or len(found) != 1:
        return (
            [Quantity(None, unit, "", 0, 0, "conflict")]
            if announced and len(bare) > 1 and len(found) == len(bare)
            else []
        )
    (each,) = bare
    before, behind = text[: each.start], text[each.end :]
    alone = _ALONE.fullmatch(before) and not re.search(r"\w", behind)
    if alone or (_LEADS_TO.search(before) and (announced or not re.match(r"\s*[a-z]{2,}", behind))):
        return bare
    return bare if announced and not re.match(r"\s*[a-z]+", behind) else []


def _float(text: str) -> float:
    """The number that is written.

    >>> [_float(text) for text in ("1,234", "1,5", "1.234,5", "1 1/2", "2.5e1", "0,250")]
    [1234.0, 1.5, 1234.5, 1.5, 25.0, 0.25]
    """
    text = text.strip().lower()
    if text in ("∞", "inf", "infinity"):
        return math.inf
    if text == "nan":
        return math.nan
    fraction = re.fullmatch(r"(?:(\d+)\s+)?(\d+)\s?[/⁄]\s?(\d+)", text)
    if fraction:
        whole, above, below = (int(part or 0) for part in fraction.groups())
        return whole + above / below if below else math.nan
    power = re.fullmatch(r"(.*?)\s*[x×·*]\s*10\s*\^?\s*\(?([-+]?\d+)\)?", text)
    if power:
        return _float(power[1]) * 10.0 ** int(power[2])
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", text):
        return float(text.replace(".", "").replace(",", "."))
    if re.fullmatch(r"[1-9]\d{0,2}(?:[,'’]\d{3})+(?:\.\d+)?", text):
        return float(re.sub("[,'’]", "", text))
    return float(text.replace(",", "."))
