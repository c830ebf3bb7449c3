"""What the clauses of a reply say about the relation that a question asks for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .grammar import CONTRAST, FRONTED, UNSTATED, Said, find, meaning, to_line, with_poles
from .question import Asked
from .text import clauses


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


_IMAGE = re.compile(
    r"\b(?:images?|pictures?|screen|viewers?|viewer's|display(?:ed)?|figure|photo|"
    r"visually|image's|our perspective|our view|pixels?|as shown|as seen(?! from)|on-screen|"
    r"x-coordinates?|x)\b"
)
_PATIENT = re.compile(r"\b(?:patient|patients|patient's|patients'|anatomical(?:ly)?|body's|subject's|person's)\b")

HYPOTHETICAL = re.compile(
    r"\b(?:could|might|may|possibly|perhaps|can be(?! (?:seen|found|located))|"
    r"would need|would have to|should be checked|either(?! (?:side|half)))\b"
)
_CONDITION = re.compile(
    r"\b(?:if|unless|assuming|suppose|whether|in case|provided that|once you)\b(?! "
    r"(?:i|you) (?:had to|have to|must|were to) (?:guess|choose|pick|answer))"
)
_GUESS = re.compile(
    r"if (?:i|you) (?:had to|have to|must|were (?:to|forced to)) (?:guess|choose|"
    r"pick|answer)|(?:my )?(?:best )?guess|i'd (?:say|go|guess)|i would (?:say|go|"
    r"guess)|most likely|likely"
)


_ASKS = re.compile(r"\W*(?:is|are|was|does|do|did|could|would|can|should|might|may|what|which|where|how|why|or|and)\b")
_EVEN = re.compile(
    r"\b(?:(?<!or )less|hardly|scarcely|not exactly|equal(?:ly)?|same (?:distance|"
    r"level|size|height|area|depth)|about the same|"
    r"(?<!twice )(?<!times )(?<!half )(?<!much )as (?:large|big|near|close|far) as)\b"
)


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
    sentence = re.sub(r",? (?:isn't it|is it not|right|correct|no|doesn't it|is it)\?$", ".", sentence.strip())
    if sentence.endswith("?") and (len(sentence) > 24 or _ASKS.match(sentence)):
        return
    if re.search(r"\beither\b(?! (?:side|half)).*\bor\b|\bneither\b.*\bnor\b", sentence):
        return
    if _CONDITION.search(sentence) and re.search(r"\b(?:otherwise|else|if)\b(?!.*\b(?:guess|pick)\b)", sentence):
        return
    sentence = re.sub(
        r"^\W*(?:ah|oh|ok|okay)?,? ?right, (?=so let|let|okay|ok|now|well|i see|i'll|here)", "", sentence.strip()
    )
    sentence = re.sub(r"^right,? so (?=let|i |we )", "", sentence)
    sentence = sentence.replace("anything but", "not")
    frame, it, spoken, carried_object = "", previous_subject, False, -1
    silent = False
    for leads, clause in clauses(sentence):
        if leads & {"conclusion", "relative", "correction"}:
            frame = ""
        if leads & {"contrast", "correction", "conclusion"}:
            silent = False
        own_frame = _frame(clause)
        has_pole = bool(re.search(rf"(?<![\w-])(?:{axis.poles[0].words}|{axis.poles[1].words})(?!\w)", clause))
        references = re.findall(r"R(\d)", clause)
        if re.search(
            r"\bwhether\b|\bcannot\b|\bcan't\b|\bunable\b|\bnot (?:able|possible)\b|\bhard to\b|\bdifficult\b", clause
        ):
            silent = not _GUESS.search(clause) and not re.search(r"\b(?:sure|certain)\b", clause)
        if not has_pole:
            if own_frame:
                frame = own_frame
            spoken = spoken or bool(references) or bool(re.search(r"\bit\b", clause))
            if len(set(references)) == 1:
                fronted = FRONTED.search(clause)
                if fronted:
                    carried_object = int(fronted[1])
                elif re.match(r"(?:the |area of |so )*R\d", clause):
                    it = int(references[0])
            continue
        if silent or HYPOTHETICAL.search(clause) or _CONDITION.search(clause) or _EVEN.search(clause):
            continue
        if axis.kind in ("mutual", "enclosure") and re.search(r"\b(?:nearly|almost|not quite)\b", clause):
            continue
        vote, subject = _vote(
            clause, leads, own_frame or frame, bool(own_frame), it, spoken, carried_object, asked, number
        )
        if references or re.search(r"\bit\b|\bthey\b|\bboth\b", clause):
            spoken = True
        if subject >= 0:
            it = subject
        elif not vote and len(set(references)) == 1 and re.match(r"\s*R\d", clause):
            it = int(references[0])
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
    if axis.positional and frame == "image":
        clause = re.sub(rf"(?<![\w-])(?:{axis.positional})(?!\w)", "x", clause)
    text = with_poles(clause, axis)
    # What is set against the answer: "left, not right", "rather than right".
    denied = re.compile(
        rf"\b{CONTRAST} (?:(?:to|on|in|at|the|a|more|really|patient's|also|being|directly|"
        rf"necessarily|just|quite) )*P(\d)(?: (?:of|to|than) R\d)?"
    )
    if re.search(r"P(\d).*P(?!\1)\d", text) or re.search(rf"^{CONTRAST}\b", text.strip()):
        for match in denied.finditer(text):
            found.append(Vote(axis.poles[int(match[1])].option, True, leads, False, False, number))
        text = denied.sub(" w ", text)
    # "closer to the left edge of the image": of an image's edge or of its convention, not of the structures.
    text = re.sub(
        r"P\d (?:edge|border|margin|corner|side of the (?:image|picture) (?:is|shows|means|corresponds))\b", " w ", text
    )
    if axis.sided:
        text = _apply_frames(text, asked.frame, frame)
    poles = re.findall(r"P(\d)", text)
    if not poles:
        return found, -1
    if axis.kind == "opposed" and not re.search(r"R\d", text) and re.search(r"\b(?:both|they|each|neither)\b", text):
        return found, -1  # what both have in common tells nothing of one and the other
    paired = re.search(r"R([01]) and R([01])\b.*?P(\d) and (?:(?:on|to|the|patient's) )*P(\d)\b", text)
    if paired and axis.kind == "opposed" and paired[1] != paired[2] and paired[3] != paired[4]:
        of_first = int(paired[3] if paired[1] == "0" else paired[4])
        return [*found, Vote(axis.poles[of_first].option, False, leads, False, True, number)], 0
    if (
        re.search(
            r"P(\d)\s*(?:,|/|or|and|nor|vs|versus|as well as|\s)\s*(?:(?:to|on|in|the|not|"
            r"a|toward|patient's) )*P(?!\1)\d",
            text,
        )
        and axis.kind != "between"
    ):
        return found, -1
    if len(set(poles)) > 1 and axis.kind not in ("between", "mutual"):
        halves = re.split(r"\b(?:and|while|than it is|as well as)\b", text, maxsplit=1)
        if len(halves) != 2 or any(len(set(re.findall(r"P(\d)", half))) != 1 for half in halves):
            return found, -1
        given, last = [], it
        for half in halves:
            stated = find(to_line(half), axis)
            meant = meaning(stated, axis, last) if stated else None
            if stated and meant is None and 2 in stated.objects:
                continue  # said of another structure
            if stated is None or meant is None:
                return found, -1
            last = max(stated.subject, 0)
            given.append(Vote(meant, stated.negated, leads, False, stated.subject >= 0, number))
        return [*found, *given], last
    if axis.kind == "between" and len(set(poles)) > 1:
        text = re.sub(r"(P\d)(.*?)P\d", r"\1\2 w", text)
    fronted = FRONTED.search(text)
    objects: tuple[int, ...] = (carried_object,) if carried_object >= 0 else ()
    if (fronted and text.find("P") > fronted.start() and not re.search(r"R\d", text[: fronted.start()])) or (
        fronted and re.search(r"R\d", text[: fronted.start()]) and text.find("P") > fronted.start()
    ):
        objects = (int(fronted[1]),)
        text = text[: fronted.start()] + " " + text[fronted.end() :]
    line = to_line(text)
    if axis.kind == "mutual":
        said: Said | None = Said(int(poles[0]), -1, (), "NOT" in line) if len(set(poles)) == 1 else None
    else:
        said = find(line, axis)
    if said is None:
        return found, -1
    if said.subject == UNSTATED and not spoken and (leads & {"relative"} or (framed_here and "w" in line)):
        return found, -1
    said = Said(said.pole, said.subject, said.objects or tuple(o for o in objects if o != said.subject), said.negated)
    option = meaning(said, axis, it)
    if option is None:
        return found, said.subject
    wanted = asked.frame
    explicit = axis.sided and frame in (wanted, "mixed")
    found.append(Vote(option, said.negated, leads, explicit, said.subject >= 0 or "IT" in line, number))
    return found, said.subject


def _apply_frames(text: str, wanted: str, frame: str) -> str:
    """Drop the words that speak of the other frame."""
    image_near = (
        r"P\d(?= (?:side |hand side |hand |part |half |portion |area |region )*(?:of|"
        r"in|on) (?:the |this |our )?(?:image|picture|screen|display|figure|photo|viewer))|"
        r"(?<=image )P\d|(?<=image's )P\d|(?<=viewer's )P\d|(?<=picture's )P\d|(?<=screen "
        r")P\d"
    )
    patient_near = (
        r"(?<=patient's )P\d|(?<=patient )P\d|(?<=patients' )P\d|P\d(?= (?:side |half "
        r"|part )?(?:of|in|on) the (?:patient|body|person))"
    )
    text = re.sub(r" +", " ", text)
    if wanted == "patient":
        text = re.sub(image_near, "w", text)
        if frame == "image" and not re.search(patient_near, text):
            text = re.sub(r"P\d", "w", text)
        elif frame in ("image", "mixed") and re.search(patient_near, text):
            keep = [found.start() for found in re.finditer(patient_near, text)]
            text = "".join(
                part if not re.fullmatch(r"P\d", part) or position in keep else "w" for position, part in _parts(text)
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
    if re.search(r"\bone (?:\w+ ){0,8}?(?:left\b.*\bother\b.*\bright|right\b.*\bother\b.*\bleft)\b", text):
        return "opposite"
    both = re.search(r"\b(?:both|R0 and R1) (?:\w+ ){0,8}?(left|right)\b", text)
    if both and not re.search(r"left.*right|right.*left", both.string[both.start() :]):
        return "same"
    one = re.search(
        r"R0 (?:(?!R\d)\S+ ){0,8}?(left|right)\b(?:(?!left|right).)*?R1 (?:(?!R\d)\S+ ){0,8}?(left|right)\b", text
    )
    if one:
        return "same" if one[1] == one[2] else "opposite"
    return None
