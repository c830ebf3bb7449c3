"""The grammar of subject, relation and object.

A clause is brought to a line of few symbols: R0 R1 R2 for the structures A, B and C, IT for a pronoun, P0 and P1 for
the words of the two options, NOT, BE for verbs that place something, OF for what joins a relation to its object, POSS
for a possessive, HAS, and w for any other word. Patterns on that line tell who is related to whom.
"""

import re
from dataclasses import dataclass

from .question import Axis

_DISCOURSE = re.compile(
    r"\b(?:(?:you're|you are|that's|that is|i'm|all|is that) right\b|^right(?=,? "
    r"(?:so|let|okay|ok|well|now|then|i|the)\b)|right,? so\b"
    r"|right(?= (?:next|above|below|behind|in front|at|away|here|there|now|before|"
    r"after|over|under|beside|on top|in the middle|near|by|angles?|where|on the (?:midline|"
    r"border)|up|down)\b)"
    r"|right(?=, (?:so|let|ok|well))|left over|leftover|left out|(?:what is|what's|"
    r"only (?:option|one|choice)) left|bright)"
)
_NOT = (
    r"\b(?:not|isn't|aren't|wasn't|doesn't|don't|does not|do not|cannot|can't|never|"
    r"no longer|by no means|far from|neither|nor|without|nowhere|no|couldn't|"
    r"won't|non)\b-?"
)
CONTRAST = (
    r"(?:rather than|instead of|as opposed to|unlike|opposed to|nor|not|without(?: "
    r"being)?|in contrast to|contrary to|excluding|ruling out|eliminating|except)"
)
_ASIDES = re.compile(
    r"\b(?:more or less|i think|i believe|i guess|i'd (?:say|guess)|i would (?:say|guess)|as well|after all|in fact|"
    r"of course|on balance|by and large|once the [\w ]+|taking [\w ]+ into account)\b"
)
_FILLERS = re.compile(
    r"\b(?:the|a|an|to|on|at|in|toward|towards|side|sides|hand|more|much|clearly|"
    r"slightly|directly|immediately|just|very|really|quite|rather|somewhat"
    r"|also|then|indeed|again|well|further|certainly|definitely|obviously|likely|"
    r"probably|most|presumably|apparently|relatively|both|two|of the two|of the pair"
    r"|half|halves|direction|position|location|one|actually|now|simply|mostly|entirely|"
    r"fully|completely|significantly|considerably|noticeably|anatomically|yes|yesmark"
    r"|structure|structures|object|objects|organ|organs|item|area|size|region|cross-sectional|"
    r"surface|neighbou?r|individual|marked|respectively|i think|i believe|i'd say|"
    r"i would say"
    r"|must be|answer|answers|overall|still|same level|visibly|body|his|her|slice|"
    r"this|that|they|them|person|spatially|being|part|place|each|other|another|together|"
    r"from each other|from one another|close)\b"
)
_BE = re.compile(
    r"\b(?:is|are|be|was|were|lies|lie|lying|sits|sit|appears|appear|seems?|looks?|"
    r"located|situated|positioned|placed|found|seen|resides?|stands?|remains?|projects?"
    r"|corresponds?|extends?|occupies|occupy|runs?|goes|comes|rests?|would|should|"
    r"must|will|does|do|relates?|shown|displayed|visible|considered|means?|has been|"
    r"turns out|can|ends up|winds up|falls|comes to lie|happens to)\b"
)
_OF = re.compile(
    r"\b(?:of|than|from|relative to|compared (?:with|to)|with respect to|in relation "
    r"to|in comparison (?:with|to)|versus|vs|as compared to|with regard to|with reference "
    r"to|by)\b"
)
FRONTED = re.compile(
    r"\b(?:relative to|compared (?:with|to)|with respect to|in relation to|in comparison "
    r"(?:with|to)|versus|starting from|as seen from|seen from|viewed from|with reference "
    r"to|with regard to|from)"
    r" (?:the )?(?:position of )?(?:the )?R(\d)(?! ?'s)"
)
_NOUN_FOLLOWERS = re.compile(
    r"(?:side|sides|hand|of|to|than|relative|compared|from|in|with|when|and|or|because|"
    r"since|as|for|by|half|direction|position|location|one|ones|structure|object"
    r"|neighbou?r|is|are|lies|lie|sits|appears|would|does|do|then|but|not|here|overall|"
    r"respectively|if|which|while|whereas|so|therefore|R\d|P\d|NOT|BE|OF|IT|the|rather|"
    r"instead|aspect|too|also|part|each|a|lateral|yesmark|nomark|end|ends|according|"
    r"likely|probably|it|that|per|based|given|due|on the|at all|once|after|before|"
    r"until|unless|although|though|even|considering|there|now|however|hence|thus|"
    r"anyway|again|about|within|inside|actually|"
    r"he|she)\b"
)


def with_poles(clause: str, axis: Axis) -> str:
    """A clause with P0 and P1 for the words of the options, where they say a relation."""
    text = re.sub(r"\bthe only (?:option|one|choice) left\b", "it", clause)
    text = _DISCOURSE.sub(" w ", text)
    text = re.sub(r"\bof the two\b" if axis.kind == "between" else r"\b(?:of|between) the two\b", " ", text)
    words0, words1 = (pole.words for pole in axis.poles)
    # Longest first over both: "outside" before "side", "enclosed by" before "enclosed".
    either = re.compile(rf"(?<![\w-])(?:(?P<p0>{words0})|(?P<p1>{words1}))(?!\w|-(?!hand|sided|most|ward))")
    text = either.sub(lambda found: " P0 " if found["p0"] is not None else " P1 ", text)
    if not axis.nouns:
        text = re.sub(
            r"(P\d) +([a-z][\w-]*)",
            lambda f: f[0] if _NOUN_FOLLOWERS.match(f[2]) or axis.kind != "opposed" else "w",
            text,
        )
    text = re.sub(r" +", " ", text)
    text = re.sub(r"(P\d) (?:side )?to(?= (?!the (?:patient|body|viewer)))", r"\1 of", text)
    return re.sub(r"P\d\s*(?:and|or|/|nor|,|vs|versus)\s*(?:to |on |the |toward |patient's )*w\b", " w ", text)


def to_line(text: str) -> str:
    """A clause with marked structures and poles as a line of symbols."""
    text = _ASIDES.sub(" ", text)
    text = re.sub(_NOT, " NOT ", text)
    text = re.sub(r"\band\b", " AND ", text)
    text = re.sub(r"\b(?:patient's|patients'|body's|person's|image's|viewer's)(?!\w)", " ", text)
    text = re.sub(r"\b(?:has|have|having)\b|\bwith (?=R\d)", " HAS ", text)
    text = re.sub(r"'s\b", " POSS ", text)
    text = re.sub(
        r"\b(?:it|its|this structure|the structure|the former|the first (?:structure|one))\b(?! POSS)", " IT ", text
    )
    text = re.sub(r"\b(?:the latter|the second (?:structure|one)|the other one)\b", " R1 ", text)
    text = _OF.sub(" OF ", text)
    text = _BE.sub(" BE ", text)
    text = _FILLERS.sub(" ", text)
    text = re.sub(
        r"\b(?:patient|patients|patient's|left edge|image|images|picture|frame|perspective|viewpoint|point|view)\b",
        " ",
        text,
    )
    tokens = re.findall(r"R\d|P\d|NOT|BE|OF|AND|IT|POSS|HAS|\w[\w'-]*", text)
    known = {"NOT", "BE", "OF", "AND", "IT", "POSS", "HAS"}
    line = [token if token in known or re.fullmatch(r"[RP]\d", token) else "w" for token in tokens]
    return re.sub(r"(?:\bBE )+", "BE ", " ".join(line) + " ").strip()


UNSTATED, PRONOUN = -1, -2


@dataclass(frozen=True)
class Said:
    """A relation found in a line: which pole, of whom to whom, and whether denied.

    The subject is the number of a structure, `UNSTATED`, or `PRONOUN`.
    """

    pole: int
    subject: int
    objects: tuple[int, ...]
    negated: bool


_WITH_OBJECTS = r"P(?P<p>\d)(?P<objects>(?: (?:AND w )?(?:OF |AND |w )?(?:OF )?R\d(?! POSS)(?: BE)?)*)"
_INVERTED = re.compile(r"^(?:OF )?(?:w )*P(?P<p>\d)(?: OF)?(?: R(?P<o>\d))?(?: w)* BE (?:IT POSS )?R(?P<s>\d)(?: w)*$")
_INVERTED_OWN = re.compile(r"^(?:OF )?R(?P<o>\d) POSS P(?P<p>\d) BE (?:w )*R(?P<s>\d)$")
_OWNER = re.compile(r"R(?P<s>\d) (?:BE |NOT |OF |w )*R(?P<o>\d) POSS (?:w )?P(?P<p>\d)")
_OWNER_IT = re.compile(r"^(?:BE )?(?:OF )?R(?P<o>\d) POSS P(?P<p>\d)$")
_HAS = re.compile(r"R(?P<o>\d) (?:BE )?HAS (?:w )*R(?P<s>\d) (?:w |OF )*(?:IT )?(?:POSS )?P(?P<p>\d)")
_REGULAR = re.compile(rf"(?P<subject>R\d|IT)(?P<between>(?: (?!R\d|IT\b|P\d)\w+)*?) {_WITH_OBJECTS}")
_FRAGMENT = re.compile(rf"^(?:BE |OF |NOT )*(?:IT POSS )?{_WITH_OBJECTS}(?: OF)?(?: w)?$")
_UNKNOWN_OBJECT = re.compile(r"^ (?:OF|NOT) (?:OF )?w\b")


def find(line: str, axis: Axis) -> Said | None:
    """The relation that a line of symbols states; None if it states none that is understood."""
    negated = "NOT" in line
    line = re.sub(r"(P\d(?: OF)?) IT\b(?! POSS)", r"\1", line)
    for pattern in (_INVERTED, _INVERTED_OWN, _HAS, _OWNER):
        found = pattern.search(line)
        if found:
            other = found.groupdict().get("o")
            return Said(int(found["p"]), int(found["s"]), (int(other),) if other else (), negated)
    found = _OWNER_IT.search(line)
    if found:
        return Said(int(found["p"]), 1 - int(found["o"]), (int(found["o"]),), negated)
    fragment = _FRAGMENT.match(line)
    if fragment and not _UNKNOWN_OBJECT.match(line[fragment.end("objects") :]):
        objects = tuple(int(number) for number in re.findall(r"R(\d)", fragment["objects"]))
        return Said(int(fragment["p"]), -1, objects, negated)
    for found in _REGULAR.finditer(line):
        between = found["between"].split()
        active = axis.kind == "enclosure"
        if not active and "BE" not in between and "HAS" not in between and "w" in between:
            continue
        if "POSS" in between and between[0] != "POSS":
            continue
        objects = tuple(int(number) for number in re.findall(r"R(\d)", found["objects"]))
        if not objects and _UNKNOWN_OBJECT.match(line[found.end() :]):
            return None  # "right of the spine"
        subject = PRONOUN if found["subject"] == "IT" else int(found["subject"][1])
        before = line[: found.start()]
        earlier = [int(number) for number in re.findall(r"R(\d)", before)]
        if earlier and re.search(r"(?:OF|AND|w|R\d) ?$", before) and axis.kind in ("opposed", "enclosure"):
            # "the part of A next to B is left": the first structure is what is spoken of.
            if len({*earlier, subject} - {PRONOUN}) > 1:
                return None
            subject = earlier[0]
        if axis.kind == "distance" and earlier:
            both = {*earlier, subject} - {PRONOUN}
            if len(both & {0, 1}) != 1:
                return None
            (subject,) = both & {0, 1}
        return Said(int(found["p"]), subject, objects, negated)
    return None


def meaning(said: Said, axis: Axis, it: int) -> str | None:
    """What a statement means for A, the structure asked about; None if that does not follow."""
    poles = (axis.poles[0].option, axis.poles[1].option)
    here, other = poles[said.pole], poles[1 - said.pole]
    subject, objects = said.subject, said.objects
    if axis.kind == "mutual":
        return here
    if axis.kind == "between":
        if subject < 0 and 0 in objects:
            return None
        return here if subject <= 0 else None
    if axis.kind == "distance":
        if subject < 0:
            return here if it == 0 and (not objects or objects[0] == 2) and 0 not in objects else None
        if subject == 2:
            return here if objects[:1] == (0,) else other if objects[:1] == (1,) else None
        if objects and objects[0] != 2 and 2 in objects:
            return None
        return here if subject == 0 else other
    if subject < 0:
        if 0 in objects:  # "it is left of A" is said of B
            return other if (subject == PRONOUN or it == 1) and 1 not in objects else None
        return here if it == 0 else None
    if subject in objects or 2 in (subject, *objects):
        return None
    return here if subject == 0 else other
