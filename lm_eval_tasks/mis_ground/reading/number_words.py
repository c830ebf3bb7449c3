"""Numbers in words as figures: "forty-two millimetres", "one and a half times", "twice"."""

import re

_FEW = "zero one two three four five six seven eight nine ten"
_TEENS = "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
ONES = dict(zip([*_FEW.split(), *_TEENS.split()], range(20), strict=True))
TENS = {
    word: 10 * number
    for number, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
SHARES = {"half": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fifth": 5, "fifths": 5}
MULTIPLES = {"twice": 2, "thrice": 3, "double": 2, "triple": 3}

_SMALL = "|".join(sorted({**ONES, **TENS}, key=len, reverse=True))
_PLAIN = rf"(?:{_SMALL})(?:[- ](?:{_SMALL}))?"
_WHOLE = rf"(?:(?:{_PLAIN}|an?)\s+)?(?:hundred|thousand)(?:\s+(?:and\s+)?{_PLAIN})?"
_DECIMALS = rf"\s+point\s+(?P<digits>(?:{_SMALL})(?:[\s-](?:{_SMALL}))*)"
_AND_A_SHARE = (
    r"\s+and\s+(?:(?:a|one)\s+(?P<share>half|third|quarter)|(?P<above>two|three)[- ](?P<below>thirds|quarters))"
)
_UNIT = r"(?=[\s-]*(?:mm\b|millimet|cm\b|centimet|inch|met(?:er|re)s?\b|degree|°|times\b|-?fold\b|$|[.)]\s*$))"
_NUMBER = re.compile(rf"\b(?P<whole>{_WHOLE}|{_PLAIN})(?:{_DECIMALS}|{_AND_A_SHARE})?{_UNIT}", re.I)
_FIGURE_AND_SHARE = re.compile(r"(?<![\d.,])(\d+) and (?:a|one) (half|third|quarter)\b", re.I)
_PART = re.compile(
    r"\b(?:(?:one|a)[- ](?P<one>half|third|quarter|fifth)|"
    r"(?P<count>two|three|four)[- ](?P<many>thirds|quarters|fifths))\b"
    r"(?=\s+(?:of|as|the|its|that|times)\b|\W*$)|\b(?P<half>half)\b(?=\s+(?:of|as|the|its|that)\b|\W*$)",
    re.I,
)
_MULTIPLE = re.compile(rf"\b(?:{'|'.join(MULTIPLES)})\b(?!\s+check)", re.I)


def in_figures(text: str) -> str:
    """A text with its numbers in figures, where a unit follows them or nothing does.

    >>> in_figures("The distance is forty-two millimetres, twice the other.")
    'The distance is 42 millimetres, 2 times the other.'
    """
    text = _FIGURE_AND_SHARE.sub(lambda found: f"{int(found[1]) + 1 / SHARES[found[2].lower()]:.6g}", text)
    text = _NUMBER.sub(_figure, text)
    text = _PART.sub(_share, text)
    return _MULTIPLE.sub(lambda found: f"{MULTIPLES[found[0].lower()]} times", text)


def _figure(found: re.Match[str]) -> str:
    value = float(whole_number(found["whole"]))
    if found["digits"]:
        value += float("0." + "".join(str(whole_number(word)) for word in re.split(r"[\s-]", found["digits"].lower())))
    if found["share"]:
        value += 1 / SHARES[found["share"].lower()]
    if found["above"]:
        value += ONES[found["above"].lower()] / SHARES[found["below"].lower()]
    return f"{value:.6g}"


def _share(found: re.Match[str]) -> str:
    if found["count"]:
        return f"{ONES[found['count'].lower()] / SHARES[found['many'].lower()]:.6g} times"
    return f"{1 / SHARES[(found['one'] or found['half']).lower()]:.6g} times"


def whole_number(words: str) -> int:
    """The value of a whole number in words.

    >>> whole_number("one hundred and twenty-three")
    123
    """
    total, group = 0, 0
    for word in re.split(r"[\s-]+", words.lower().strip()):
        if word in ("and", ""):
            continue
        if word in ("a", "an"):
            group = 1
        elif word == "hundred":
            group = max(1, group) * 100
        elif word == "thousand":
            total, group = total + max(1, group) * 1000, 0
        else:
            group += ONES.get(word, 0) + TENS.get(word, 0)
    return total + group
