"""What the sentences of a reply say about named structures."""

import re
from dataclasses import dataclass
from itertools import pairwise

from .names import mention_pattern, option_of_mention
from .question import Asked
from .text import clauses

_BESIDE = re.compile(
    r"(?:\b(?:below|above|beneath|underneath|under|over|beside|near|nearby|behind|"
    r"around|between|toward|towards|past|along|against|surrounding|than|within|abutting|"
    r"touching|bordering|overlying|lining"
    r"|(?:next|close|adjacent|lateral|medial|anterior|posterior|superior|inferior|"
    r"cranial|caudal|proximal|distal|due|similar|opposite|attached|connected|compared|"
    r"relative|leads?|belongs?) (?:to|with|of)"
    r"|(?:left|right|front|side|top|bottom|back|level|part|edge|border|hilum|tip|"
    r"pole|surface|wall|side|cartilage|portion|region|outside|inside|vicinity|shape|"
    r"size|location|position|rather than|instead) of|from|unlike|as opposed to|not|"
    r"rather than|instead of|with|by|to|of|for|like|on|onto|upon|atop)"
    r"(?: the| a| an| its| both| patient's| where the| where)*|-)\s*$"
)
_IS = re.compile(
    r"(?:\b(?:is|are|be|marks?|marked|labels?|labell?ed|shows?|showing|as|represents?|"
    r"called|identif(?:y|ies|ied) (?:it )?as|named?|depicts?|indicates?|highlights?|"
    r"outlines?|contains?|covers?|encloses?|ie|likely|probably|clearly|definitely|"
    r"drawn around|placed (?:on|over|around)|points? (?:to|at)|pointing (?:to|at)|cent(?:er|re)d on|"
    r"most likely|corresponds? (?:to|with)|consistent with|see|being|namely|include[sd]?)|"
    r"^)(?: the| a| an| most likely| likely| probably| clearly| definitely| indeed|"
    r" in fact| also| only| this| patient's)*\s*$"
)
_IS_IT = re.compile(
    r"^(?:\s|is|are|can be|the|clearly|indeed|also|both|be)*(?:structure marked a|"
    r"marked structure|marked|structure a|answer|visible|seen|shown|present|correct|"
    r"labell?ed|highlighted|depicted|displayed|in this slice|in view|yesmark)\b"
)
_SEEN = re.compile(
    r"^\s*(?:is|are|can be)(?: \w+)? (?:visible|seen|shown|present|depicted|displayed|in view|in this slice)\b"
)
_ELSEWHERE = re.compile(r"\b(?:outside|would be|would|lies|lie|located|too|elsewhere|behind|beside|sits|runs)\b")
_DENIED = re.compile(
    r"\b(?:not|isn't|aren't|no|nomark|never|cannot|can't|excluded|ruled out|rule "
    r"out|incorrect|wrong|absent|(?:less |un)likely|neither|nor|doesn't|don't|without|rather "
    r"than|instead of|as opposed to|unlike|nothing to do with)\b"
)
_PART_OF = re.compile(
    r"\b(?:tail|head|body|neck|part|portion|section|segment|dome|tissue|cross-section|outline|contour|pole|hilum|capsule|cortex)"
    r" of (?=(?:the )?$)"
)
_MAYBE = re.compile(r"\b(?:could|might|may|possibly|perhaps|either|if|whether|would|should be checked|expected)\b")


_ASKS = re.compile(r"\W*(?:is|are|could|can|would|might|may|what|which)\b")
_ASKED_WHAT_IS_SEEN = re.compile(r"visible|does this (?:slice|image) show|can be seen")
_AND = r"\s*(?:,|/|&|\band\b|\bor\b|\bnor\b|as well as|\balso\b|\bthe\b|\ba\b|\bboth\b|\s)+\s*"


@dataclass(frozen=True)
class NameVote:
    """What a clause says of an option: that it is the one (``strong``), names it (``weak``), or that it is not."""

    option: str
    strength: str
    leads: frozenset[str]
    sentence: int


def name_votes(sentence: str, number: int, asked: Asked) -> list[NameVote]:
    """The options that a sentence names.

    Args:
        sentence: in small letters, without markup.
        number: of the sentence.
        asked: the question.
    """
    if sentence.endswith("?") and (len(sentence) > 40 or _ASKS.match(sentence)):
        return []
    asks_what_is_seen = bool(_ASKED_WHAT_IS_SEEN.search(asked.text))
    sentence = re.sub(r"\bi(?:'d| would) (?:say|guess|go with)\b", "it is", sentence)
    found: list[NameVote] = []
    silent = bool(
        re.search(
            r"\b(?:cannot|can't|unable|not able|not possible)\b.*\b(?:identify|tell|determine|"
            r"say|decide|whether|if)\b",
            sentence,
        )
    )
    if silent:
        return []
    sentence = re.sub(r"\bi\.?e\.?,? ", "ie ", sentence).replace("it's ", "it is ")
    # A comma within a name ("left lung, upper lobe") is no end of a clause.
    sentence = re.sub(
        r"\b((?:left|right) lung|kidney|lung),? \(?((?:upper|middle|lower) lobe|left|right)\)?", r"\1 \2", sentence
    )
    pattern = mention_pattern(asked.options)
    # A list of names is one clause, too.
    spans = [match.span() for match in pattern.finditer(sentence)]
    for (_, end), (start, _) in reversed(list(pairwise(spans))):
        if re.fullmatch(r",? (?:and |or )?(?:the )?", sentence[end:start]) and "," in sentence[end:start]:
            sentence = f"{sentence[:end]} and the {sentence[start:]}"
    for leads, clause in clauses(sentence):
        mentions = list(pattern.finditer(clause))
        options = [option_of_mention(match["name"], asked.options) for match in mentions]
        if not any(options):
            continue
        chosen = {option for option in options if option}
        between = [clause[one.end() : following.start()] for one, following in pairwise(mentions)]
        listed = len(chosen) > 1 and any(re.fullmatch(_AND, words) for words in between)
        for match, option in zip(mentions, options, strict=True):
            before, after = _PART_OF.sub("", clause[: match.start()]), clause[match.end() :]
            if option is None:
                continue
            if re.match(
                r" (?:cyst|vein|veins|artery|arteries|wall|lobe|muscle|cartilage|duct|hilum|capsule|"
                r"fossa|bed|bronchus|shadow|window|contour|level)\b",
                after,
            ):
                continue
            strength = "listed" if listed else ""
            strength = _strength(before, after, clause, leads, strength, asks_what_is_seen)
            if strength:
                found.append(NameVote(option, strength, leads, number))
    return found


def _strength(before: str, after: str, clause: str, leads: frozenset[str], listed: str, asks_what_is_seen: bool) -> str:
    """How a clause names an option, by what stands before and behind it; "" if that says nothing."""
    ends = bool(re.match(r"\s*(?:,|\.|$)", after))
    is_it = bool(_IS.search(before.strip()))
    if _DENIED.search(before) or (_DENIED.search(after) and not ends and not is_it):
        return "not"
    if (_ELSEWHERE.search(after) and not ends and not is_it) or _MAYBE.search(clause):
        return ""
    if _BESIDE.search(before) and not _IS.search(before):
        return ""
    if listed:
        return listed
    if _SEEN.search(after) and not asks_what_is_seen:
        return "weak"
    return "strong" if is_it or _IS_IT.search(after) or leads & {"correction", "conclusion"} else "weak"
