"""What the clauses of a reply say about a relation: a small grammar of subject, relation and object.

A clause is brought to a line of few symbols: R0 R1 R2 for the structures A, B and C, IT for a pronoun, P0 and P1 for the
words of the two options, NOT, BE for verbs that place something, OF for what joins a relation to its object, POSS for a
possessive, HAS, and w for any other word. Patterns on that line tell who is related to whom.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from .names import aliases
from .question import Asked, Axis
from .text import clauses, plain


@dataclass(frozen=True)
class Vote:
    """What one clause says.

    Args:
        option: as listed.
        negated: whether it says that this is not so.
        leads: kinds of words that lead the clause in.
        explicit: whether it names the frame that the question asks about.
        full: whether it has a subject.
        sentence: number of its sentence.
    """

    option: str
    negated: bool = False
    leads: frozenset[str] = frozenset()
    explicit: bool = False
    full: bool = False
    sentence: int = 0


# ------------------------------------------------------------------------------------------------------- structures

_KINDS = r"(?:structure|object|region|organ|area|box|point|dot|mask|label|marker|letter|overlay|item|mark)s?"
_MARKED = r"(?:(?:that is |which is )?(?:marked|labell?ed|annotated|denoted|indicated|tagged|called) )?(?:with |as |by |in )?(?:the )?(?:letter )?"
_LETTERED = re.compile(rf"(?i:(?:the )?(?:(?:marked|labell?ed) )?{_KINDS} {_MARKED})['\"(]*(?P<letter>[ABC])\b['\")]*")
_LETTERED_SMALL = re.compile(rf"(?i:(?:the )?{_KINDS} (?:(?:marked|labell?ed) )?)(?P<letter>[abc])(?= (?:is|lies|and|appears)\b|[,.:;?!)]|'s|$)")
_VERB_BEHIND_A = r"(?=\s*(?:'s\b|is\b|isn't\b|lies\b|sits\b|was\b|has\b|have\b|does\b|appears\b|seems\b|looks\b|and (?:the structure marked )?[BC]\b|or B\b|and\b|to B\b|encloses\b|surrounds\b|contains\b|touches\b|also\b|being\b|marks\b|would\b|must\b|should\b|will\b|can(?:not)?\b|could\b|might\b|may\b|are\b|compared\b|relative\b|with respect\b|covers\b|occupies\b|spans\b|projects\b|located\b|situated\b|not\b|versus\b|vs\b|rather\b|really\b|clearly\b|itself\b|then\b|left\b|right\b|larger\b|smaller\b|\W|$))"
_BARE_A = re.compile(rf"(?<![\w'])A{_VERB_BEHIND_A}")
_BARE_A_INSIDE = re.compile(r"(?<=[\w,;:(] )A(?![\w'-])|(?<=[\w,;:(] )A(?='s)|(?<=\()A(?![\w'-])")
_BARE_BC = re.compile(r"(?<![\w'])([BC])(?![\w])")


def mark_references(text: str, asked: Asked) -> str:
    """The text in small letters, with R0, R1 and R2 for the structures that are asked about."""
    if asked.references:
        marked = re.sub(r"\b(it|that|there)'s\b", r"\1 is", text.casefold())
        for pattern, symbol in _reference_patterns(asked.references):
            marked = pattern.sub(symbol, marked)
        return marked
    number = {"A": "\x00R0 ", "B": "\x00R1 ", "C": "\x00R2 "}
    text = _LETTERED.sub(lambda found: number[found["letter"]], text)
    text = _LETTERED_SMALL.sub(lambda found: number[found["letter"].upper()], text)
    text = _BARE_BC.sub(lambda found: number[found[1]], text)
    text = _BARE_A_INSIDE.sub(number["A"], text)
    text = _BARE_A.sub(number["A"], text)
    if "\x00R" not in text and re.search(r"\bb\b", text):
        text = re.sub(r"(?<![\w'])a(?= (?:is|lies|appears|sits|has)\b|[:'])", number["A"], text)
        text = re.sub(r"(?<![\w'])b(?![\w'.)])", number["B"], text)
    text = re.sub(r"\b(it|that|there|what|he|she)'s\b", r"\1 is", text.casefold())
    return re.sub(r"\x00r(\d)\s*", r" R\1 ", text).replace(" 's", "'s")


@cache
def _reference_patterns(references: tuple[str, ...]) -> list[tuple[re.Pattern[str], str]]:
    found = []
    heads = [reference.split(" ")[-1] for reference in references]
    for number, reference in enumerate(references):
        names = {reference, *aliases().get(reference, ())}
        names |= {re.sub(r"^(?:left|right) ", "", reference)} if heads.count(heads[number]) == 1 else set()
        if heads.count(heads[number]) == 1 and heads[number] not in ("body", "brain", "side", "chest", "back", "neck", "lung"):
            names.add(heads[number])
        found += [(name, number) for name in names]
    patterns = []
    for name, number in sorted(found, key=lambda each: -len(each[0])):
        spelled = r"[ -]".join(map(re.escape, re.split("[ -]", name)))
        spelled = re.sub(r"^(left|right)\b", r"\1(?:-sided)?", spelled)
        either = rf"(?:{spelled})"
        sided = r"(?:patient's )?(?:(?:left|right)(?:-sided)? )?" if not re.match(r"(left|right)", name) else r"(?:patient's )?"
        patterns.append((re.compile(rf"(?<![\w-]){sided}{either}(?:s|es)?(?![\w-])"), f" R{number} "))
    return patterns


# --------------------------------------------------------------------------------------------------------- symbols

_IMAGE = re.compile(r"\b(?:images?|pictures?|screen|viewers?|viewer's|display(?:ed)?|figure|photo|visually|image's|our perspective|our view|pixels?|as shown|as seen|on-screen|x-coordinates?|x)\b")
_PATIENT = re.compile(r"\b(?:patient|patients|patient's|patients'|anatomical(?:ly)?|body's|subject's|person's)\b")
_DISCOURSE = re.compile(
    r"\b(?:(?:you're|you are|that's|that is|i'm|all|is that) right\b|^right(?=,? (?:so|let|okay|ok|well|now|then|i|the))|right,? so\b"
    r"|right(?= (?:next|above|below|behind|in front|at|away|here|there|now|before|after|over|under|beside|on top|in the middle|near|by|angles?|where|on the (?:midline|border)|up|down)\b)"
    r"|right(?=, (?:so|let|ok|well))|left over|leftover|left out|(?:what is|what's|only (?:option|one|choice)) left|bright)"
)
_NOT = r"\b(?:not|isn't|aren't|wasn't|doesn't|don't|does not|do not|cannot|can't|never|no longer|by no means|far from|neither|nor|without|hardly|nowhere|no|couldn't|won't|non)\b-?"
_CONTRAST = r"(?:rather than|instead of|as opposed to|unlike|opposed to|nor|not|without(?: being)?|in contrast to|contrary to)"
_FILLERS = re.compile(
    r"\b(?:the|a|an|to|on|at|in|toward|towards|side|sides|hand|more|much|clearly|slightly|directly|immediately|just|very|really|quite|rather|somewhat"
    r"|also|then|indeed|again|well|further|certainly|definitely|obviously|likely|probably|most|presumably|apparently|relatively|both|two|of the two|of the pair"
    r"|half|halves|direction|position|location|one|actually|now|simply|mostly|entirely|fully|completely|significantly|considerably|noticeably|anatomically|yes|yesmark"
    r"|structure|structures|object|objects|organ|organs|item|area|size|region|cross-sectional|surface|neighbou?r|individual|marked|respectively|i think|i believe|i'd say|i would say"
    r"|must be|answer|answers|overall|still|same level|visibly|body|his|her|slice|this|that|they|them|person|spatially|being|part|place|each|other|another|together|from each other|from one another|close)\b"
)
_BE = re.compile(
    r"\b(?:is|are|be|was|were|lies|lie|lying|sits|sit|appears|appear|seems?|looks?|located|situated|positioned|placed|found|seen|resides?|stands?|remains?|projects?"
    r"|corresponds?|extends?|occupies|occupy|runs?|goes|comes|rests?|would|should|must|will|does|do|relates?|shown|displayed|visible|considered|means?|has been|turns out)\b"
)
_OF = re.compile(r"\b(?:of|than|from|relative to|compared (?:with|to)|with respect to|in relation to|in comparison (?:with|to)|versus|vs|as compared to|with regard to|with reference to|and|by)\b")
_OBJECT = re.compile(
    r"\b(?:relative to|compared (?:with|to)|with respect to|in relation to|in comparison (?:with|to)|versus|starting from|as seen from|seen from|viewed from|with reference to|with regard to|from|with)"
    r" (?:the )?(?:position of )?(?:the )?R(\d)(?! ?'s)"
)
_NOUN_FOLLOWERS = re.compile(
    r"(?:side|sides|hand|of|to|than|relative|compared|from|in|with|when|and|or|because|since|as|for|by|half|direction|position|location|one|ones|structure|object"
    r"|neighbou?r|is|are|lies|lie|sits|appears|would|does|do|then|but|not|here|overall|respectively|if|which|while|whereas|so|therefore|R\d|P\d|NOT|BE|OF|IT|the|rather|instead|aspect|too|also|part|each|a|lateral|yesmark|nomark|end|ends|according|likely|probably|it|that|per|based|given|due|on the|at all|within|inside|actually|he|she)\b"
)


def _symbols(clause: str, axis: Axis) -> str:
    """A clause with marked structures as a line of symbols."""
    text = _DISCOURSE.sub(" w ", clause)
    text = re.sub(r"\b(?:of|between) the two\b", " ", text)
    words0, words1 = (pole.words for pole in axis.poles)
    # Longest first over both: "outside" before "side", "enclosed by" before "enclosed".
    either = re.compile(rf"(?<![\w-])(?:(?P<p0>{words0})|(?P<p1>{words1}))(?![\w]|-(?:kidney|lung|lobe))")
    text = either.sub(lambda found: " P0 " if found["p0"] is not None else " P1 ", text)
    if not axis.nouns:
        text = re.sub(r"(P\d) +([a-z][\w-]*)", lambda f: f[0] if _NOUN_FOLLOWERS.match(f[2]) or axis.kind != "opposed" else "w", text)
    text = re.sub(r" +", " ", text)
    text = re.sub(r"P\d\s*(?:and|or|/|nor|,|vs|versus)\s*(?:to |on |the |toward |patient's )*w\b", " w ", text)
    return text


def _to_line(text: str) -> str:
    text = re.sub(_NOT, " NOT ", text)
    text = re.sub(r"\b(?:patient's|patients'|body's|person's|image's|viewer's)(?!\w)", " ", text)
    text = re.sub(r"\b(?:has|have|having)\b", " HAS ", text)
    text = re.sub(r"'s\b", " POSS ", text)
    text = re.sub(r"\b(?:it|its|this structure|the structure|the former|the first structure)\b(?! POSS)", " IT ", text)
    text = re.sub(r"\b(?:the latter|the second structure|the other one)\b", " R1 ", text)
    text = _OF.sub(" OF ", text)
    text = _BE.sub(" BE ", text)
    text = _FILLERS.sub(" ", text)
    text = re.sub(r"\b(?:patient|patients|patient's|left edge|image|images|picture|frame|perspective|viewpoint|point|view)\b", " ", text)
    tokens = re.findall(r"R\d|P\d|NOT|BE|OF|IT|POSS|HAS|\w[\w'-]*", text)
    known = {"NOT", "BE", "OF", "IT", "POSS", "HAS"}
    line = [token if token in known or re.fullmatch(r"[RP]\d", token) else "w" for token in tokens]
    return re.sub(r"(?:\bBE )+", "BE ", " ".join(line) + " ").strip()


# ------------------------------------------------------------------------------------------------------- the grammar


@dataclass(frozen=True)
class Said:
    """A relation found in a line: which pole, of whom to whom, and whether denied. A subject of -1 is not stated."""

    pole: int
    subject: int
    objects: tuple[int, ...]
    negated: bool


_WITH_OBJECTS = r"P(?P<p>\d)(?P<objects>(?: (?:OF |w )?(?:OF )?R\d(?! POSS)(?: BE)?)*)"
_INVERTED = re.compile(r"^(?:OF )?(?:w )*P(?P<p>\d)(?: OF)?(?: R(?P<o>\d))?(?: w)* BE (?:IT POSS )?R(?P<s>\d)(?: w)*$")
_INVERTED_OWN = re.compile(r"^(?:OF )?R(?P<o>\d) POSS P(?P<p>\d) BE (?:w )*R(?P<s>\d)$")
_OWNER = re.compile(r"R(?P<s>\d) (?:BE )?(?P<not>NOT )?(?:OF |w )*R(?P<o>\d) POSS (?:w )?P(?P<p>\d)")
_OWNER_IT = re.compile(r"^(?:BE )?(?:OF )?R(?P<o>\d) POSS P(?P<p>\d)$")
_HAS = re.compile(r"R(?P<o>\d) HAS (?:w )*R(?P<s>\d) (?:w |OF )*(?:IT )?(?:POSS )?P(?P<p>\d)")
_REGULAR = re.compile(rf"(?P<subject>R\d|IT)(?P<between>(?: (?!R\d|IT\b|P\d)\w+)*?) {_WITH_OBJECTS}")
_OF_OTHER = re.compile(r"(?:R(\d) (?:OF|w) )+R(\d) BE")
_FRAGMENT = re.compile(rf"^(?:BE |OF |NOT )*(?:IT POSS )?{_WITH_OBJECTS}(?: OF)?(?: w)?$")


def _find(line: str, axis: Axis) -> Said | None:
    """The relation that a line of symbols states; None if it states none that is understood."""
    outer = int(re.findall(r"R(\d)", line)[0]) if re.search(r"R\d", line) else -1
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
    if fragment:
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
        subject = -1 if found["subject"] == "IT" else int(found["subject"][1])
        before = line[: found.start()]
        earlier = [int(number) for number in re.findall(r"R(\d)", before)]
        if earlier and re.search(r"(?:OF|w|R\d) ?$", before + " ".strip()) and axis.kind in ("opposed", "enclosure"):
            # "the part of A next to B is left": the first structure is what is spoken of.
            if len({*earlier, subject} - {-1}) > 1:
                return None
            subject = earlier[0]
        if axis.kind == "distance" and earlier:
            both = {*earlier, subject} - {-1}
            subject = 0 if 0 in both and 1 not in both else 1 if 1 in both and 0 not in both else -2
            if subject == -2:
                return None
        return Said(int(found["p"]), subject, objects, negated or outer == -2)
    return None


def _option(said: Said, axis: Axis, it: int) -> str | None:
    """What a statement means for A, the structure asked about; None if that does not follow."""
    poles = (axis.poles[0].option, axis.poles[1].option)
    here, other = poles[said.pole], poles[1 - said.pole]
    subject, objects = said.subject, said.objects
    if axis.kind == "mutual":
        return here
    if axis.kind == "between":
        if subject < 0 and 0 in objects:
            return None
        return here if subject in (-1, 0) else None
    if axis.kind == "distance":
        if subject < 0:
            return here if it == 0 and (not objects or objects[0] == 2) and 0 not in objects else None
        if subject == 2:
            return here if objects[:1] == (0,) else other if objects[:1] == (1,) else None
        if objects and objects[0] != 2 and 2 in objects:
            return None
        return here if subject == 0 else other
    if subject < 0:
        if 0 in objects:
            return None
        return here if it == 0 else None
    if subject in objects or 2 in (subject, *objects):
        return None
    return here if subject == 0 else other


# ---------------------------------------------------------------------------------------------------------- sentences

HYPOTHETICAL = re.compile(r"\b(?:could|might|may|possibly|perhaps|can be|would need|would have to|should be checked|either)\b")
_CONDITION = re.compile(r"\b(?:if|unless|assuming|suppose|whether|in case|provided that|once you)\b(?! (?:i|you) (?:had to|have to|must|were to) (?:guess|choose|pick|answer))")
_GUESS = re.compile(r"if (?:i|you) (?:had to|have to|must|were (?:to|forced to)) (?:guess|choose|pick|answer)|(?:my )?(?:best )?guess|i'd (?:say|go|guess)|i would (?:say|go|guess)|most likely|likely")


def votes(sentence: str, number: int, asked: Asked, previous_subject: int = 0) -> Iterator[Vote]:
    """What the clauses of a sentence with marked structures say about a question's relation.

    Args:
        sentence: without markup, in small letters, with structures marked by `mark_references`.
        number: of the sentence.
        asked: the question.
        previous_subject: the structure that "it" means at the beginning.
    """
    axis = asked.axis
    assert axis is not None
    if sentence.endswith("?") and not re.fullmatch(r"[\w' ]{1,24}\?", sentence):
        return
    if _CONDITION.search(sentence) and re.search(r"\b(?:otherwise|else|if)\b(?!.*\b(?:guess|pick)\b)", sentence):
        return
    sentence = re.sub(r"^\W*(?:ah|oh|ok|okay)?,? ?right, (?=so let|let|okay|ok|now|well|i see|i'll|here)", "", sentence.strip())
    sentence = re.sub(r"^right,? so (?=let|i |we )", "", sentence)
    frame, it, spoken, carried_object = "", previous_subject, False, -1
    silent = False
    for leads, clause in clauses(sentence):
        if leads & {"conclusion", "relative", "correction"}:
            frame = ""
        if leads & {"contrast", "correction"}:
            silent = False
        own_frame = _frame(clause)
        has_pole = bool(re.search(rf"(?<![\w-])(?:{axis.poles[0].words}|{axis.poles[1].words})(?!\w)", clause))
        references = re.findall(r"R(\d)", clause)
        if re.search(r"\bwhether\b|\bcannot\b|\bcan't\b|\bunable\b|\bnot (?:able|possible)\b|\bhard to\b|\bdifficult\b", clause):
            silent = not _GUESS.search(clause)
        if not has_pole:
            if own_frame:
                frame = own_frame
            spoken = spoken or bool(references) or bool(re.search(r"\bit\b", clause))
            if len(set(references)) == 1:
                fronted = _OBJECT.search(clause)
                if fronted:
                    carried_object = int(fronted[1])
                elif re.match(r"(?:the |area of |so )*R\d", clause):
                    it = int(references[0])
            continue
        if silent or HYPOTHETICAL.search(clause) or _CONDITION.search(clause):
            continue
        vote, subject = _vote(clause, leads, own_frame or frame, bool(own_frame), it, spoken, carried_object, asked, number)
        masked = re.search(r"(?:edge|border|margin|convention)", clause)
        if references or re.search(r"\bit\b|\bthey\b|\bboth\b", clause):
            spoken = True
        elif masked or own_frame == "image":
            spoken = spoken or False
        if subject >= 0:
            it = subject
        if own_frame:
            frame = own_frame
        yield from vote


def _frame(clause: str) -> str:
    image, patient = _IMAGE.search(clause), _PATIENT.search(clause)
    if image and patient:
        return "mixed"
    return "image" if image else "patient" if patient else ""


def _vote(
    clause: str,
    leads: frozenset[str],
    frame: str,
    framed_here: bool,
    it: int,
    spoken: bool,
    carried_object: int,
    asked: Asked,
    number: int,
) -> tuple[list[Vote], int]:
    axis = asked.axis
    assert axis is not None
    found: list[Vote] = []
    text = _symbols(clause, axis)
    # What is set against the answer: "left, not right", "rather than right".
    denied = re.compile(rf"\b{_CONTRAST} (?:(?:to|on|in|at|the|a|more|really|patient's|also|being|directly|necessarily|just|quite) )*P(\d)(?: (?:of|to|than) R\d)?")
    if re.search(r"P(\d).*P(?!\1)\d", text) or re.search(rf"^{_CONTRAST}\b", text.strip()):
        for match in denied.finditer(text):
            found.append(Vote(axis.poles[int(match[1])].option, True, leads, False, False, number))
        text = denied.sub(" w ", text)
    # "closer to the left edge of the image": of an image's edge or of its convention, not of the structures.
    text = re.sub(r"P\d (?:edge|border|margin|corner|side of the (?:image|picture) (?:is|shows|means|corresponds))\b", " w ", text)
    if axis.sided:
        text = _apply_frames(text, asked.frame, frame)
    poles = re.findall(r"P(\d)", text)
    if not poles:
        return found, -1
    if re.search(r"P(\d)\s*(?:,|/|or|and|nor|vs|versus|as well as|\s)\s*(?:(?:to|on|in|the|not|a|toward|patient's) )*P(?!\1)\d", text) and axis.kind != "between":
        return found, -1
    if len(set(poles)) > 1 and axis.kind not in ("between", "mutual"):
        halves = re.split(r"\b(?:and|while|than it is|as well as)\b", text, maxsplit=1)
        if len(halves) != 2 or any(len(set(re.findall(r"P(\d)", half))) != 1 for half in halves):
            return found, -1
        given, last = [], it
        for half in halves:
            said = _find(_to_line(half), axis)
            option = said and _option(said, axis, last)
            if said is None or option is None:
                return found, -1
            last = max(said.subject, 0)
            given.append(Vote(option, said.negated, leads, False, said.subject >= 0, number))
        return [*found, *given], last
    if axis.kind == "between" and len(set(poles)) > 1:
        text = re.sub(r"(P\d)(.*?)P\d", r"\1\2 w", text)
    fronted = _OBJECT.search(text)
    objects: tuple[int, ...] = (carried_object,) if carried_object >= 0 else ()
    if fronted and text.find("P") > fronted.start() and not re.search(r"R\d", text[: fronted.start()]):
        objects = (int(fronted[1]),)
        text = text[: fronted.start()] + " " + text[fronted.end() :]
    elif fronted and re.search(r"R\d", text[: fronted.start()]) and text.find("P") > fronted.start():
        objects = (int(fronted[1]),)
        text = text[: fronted.start()] + " " + text[fronted.end() :]
    line = _to_line(text)
    if axis.kind == "mutual":
        said: Said | None = Said(int(poles[0]), -1, (), "NOT" in line) if len(set(poles)) == 1 else None
    else:
        said = _find(line, axis)
    if said is None:
        return found, -1
    if said.subject == -1 and "IT" not in line and not spoken and (leads & {"relative"} or (framed_here and "w" in line)):
        return found, -1
    said = Said(said.pole, said.subject, said.objects or tuple(o for o in objects if o != said.subject), said.negated)
    option = _option(said, axis, it)
    if option is None:
        return found, said.subject
    wanted = asked.frame
    explicit = axis.sided and frame in (wanted, "mixed")
    found.append(Vote(option, said.negated, leads, explicit, said.subject >= 0 or "IT" in line, number))
    return found, said.subject


def _apply_frames(text: str, wanted: str, frame: str) -> str:
    """Drop the words that speak of the other frame."""
    image_near = r"P\d(?= (?:side |hand side |hand |part |half |portion |area |region )*(?:of|in|on) (?:the |this |our )?(?:image|picture|screen|display|figure|photo|viewer))|(?<=image )P\d|(?<=image's )P\d|(?<=viewer's )P\d|(?<=picture's )P\d|(?<=screen )P\d"
    patient_near = r"(?<=patient's )P\d|(?<=patient )P\d|(?<=patients' )P\d|P\d(?= (?:side |half |part )?(?:of|in|on) the (?:patient|body|person))"
    text = re.sub(r" +", " ", text)
    if wanted == "patient":
        text = re.sub(image_near, "w", text)
        if frame == "image" and not re.search(patient_near, text):
            text = re.sub(r"P\d", "w", text)
        elif frame in ("image", "mixed") and re.search(patient_near, text):
            keep = [found.start() for found in re.finditer(patient_near, text)]
            text = "".join(
                part if not re.fullmatch(r"P\d", part) or position in keep else "w"
                for position, part in _parts(text)
            )
    else:
        text = re.sub(patient_near, "w", text)
        if frame == "patient" and not re.search(image_near, text):
            text = re.sub(r"P\d", "w", text)
    return text


def _parts(text: str) -> Iterator[tuple[int, str]]:
    position = 0
    for part in re.split(r"(P\d)", text):
        yield position, part
        position += len(part)


def sides_named(text: str) -> str | None:
    """``same`` or ``opposite``, where a text puts A and B on sides by name; None if it does not.

    >>> sides_named("R0 is on the left side and R1 on the right side")
    'opposite'
    """
    both = re.search(r"\b(?:both|R0 and R1) (?:\w+ ){0,8}?(left|right)\b", text)
    if both and not re.search(r"left.*right|right.*left", both.string[both.start() :]):
        return "same"
    one = re.search(r"R0 (?:(?!R\d)\S+ ){0,8}?(left|right)\b(?:(?!left|right).)*?R1 (?:(?!R\d)\S+ ){0,8}?(left|right)\b", text)
    if one:
        return "same" if one[1] == one[2] else "opposite"
    return None


def same_text(first: str, second: str) -> bool:
    """Whether two texts are the same but for markup, case and hyphens."""
    return plain(first).replace("-", " ") == plain(second).replace("-", " ")


def only(options: Sequence[str]) -> str | None:
    """The one option among several votes; None if they differ or there is none."""
    return options[0] if options and len(set(options)) == 1 else None
