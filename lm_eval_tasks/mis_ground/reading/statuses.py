"""Why a reply gives no answer: it refuses, it was cut off, or neither is known; and notes that are no part of it."""

import re

_CANNOT = (
    r"(?:can(?:no|')t|cannot|can not|could not|couldn't|am unable|are unable|is unable|"
    r"unable|am not able|not able|won't|will not|am not (?:qualified|comfortable)|"
    r"'m not (?:able|qualified|comfortable))"
)
_REFUSAL = re.compile(
    rf"\bi(?:'m| am)? (?:\w+ )?{_CANNOT}\b|\b(?:we|one) {_CANNOT}\b|^(?:\w+,? )?unable "
    rf"to\b|\bi {_CANNOT}|\bi don't (?:see|have|know)\b|\bi do not (?:see|have|know)\b|"
    rf"\bno (?:images?|pictures?|scan) (?:was|is|were|has been)\b"
    r"|\b(?:cannot|can't|can not|could not|not possible to|impossible to|not able "
    r"to|unable to) (?:be )?(?:reliably |accurately |definitively |be )*(?:determined?|"
    r"tell|told|say|said|identify|identified|decide|see|assess(?:ed)?|answer|provide|"
    r"interpret|help|assist|make out|give)\b"
    r"|\b(?:not enough|insufficient|no) information\b|\bas an ai\b|\bplease (?:provide|"
    r"upload|share|attach)\b|\b(?:i'm|i am) sorry\b|\bsorry,? (?:but )?i\b(?! mean)|"
    r"^sorry\b(?!,? (?:i mean|no\b|left|right))|\bi apologi[sz]e,? but\b|\bnot sure\b|\bno "
    r"idea\b|\bunsure\b"
    r"|\b(?:image|picture|scan) (?:is|was) (?:missing|not (?:visible|provided|attached|"
    r"shown|available))\b|\bnot (?:clearly )?(?:discernible|determinable)\b|\bcannot\b.*\bdetermine\b|"
    r"\bnot possible\b.*\b(?:determine|tell|say)\b|\bcannot (?:see|view|access|process)\b"
    r"|\bmedical advice\b.*\bconsult\b|\bcannot$",
)
_NOTE = re.compile(
    r"^(?:\(?(?:notes?|disclaimer|important|caution|warning|reminder|nb|n\.b\.)\s*[:!]|"
    r"please (?:note|consult|see|remember|be aware|seek)|this is not (?:a )?(?:medical|"
    r"professional)|i(?:'m| am) not a (?:doctor|radiologist|physician)"
    r"|(?:always |you should )?(?:consult|seek)\b|let me know|feel free|hope this "
    r"helps|i hope|if you (?:have|need|want|would like)|for (?:a )?(?:definitive|"
    r"professional)|confidence\s*[:=]|certainty\s*[:=]|it is (?:important|recommended|"
    r"advisable) to (?:consult|note|seek)|would you like|is there anything|do you "
    r"(?:want|need)|remember to|however, (?:please|this is not|i(?:'m| am) not|it "
    r"is important|a (?:radiologist|doctor))|keep in mind)"
)
_LAST_WORDS = re.compile(
    r"\b(?:the|a|an|of|to|is|are|and|or|so|which|that|in|on|at|with|from|because|"
    r"since|but|as|by|for|therefore|means|its|their|if|whether|we|i|let|structure|"
    r"marked|patient's|be|was|than|this|it|lies|from|toward|where)\W*$",
    re.I,
)
_THINKING = re.compile(
    r"^(?:okay|ok|hmm+|let me|let's|let us|first,? i|so,? (?:the|let|i)|alright|got "
    r"it|the user|i need to|we need to|we are (?:given|asked)|the question (?:asks|"
    r"is)|to (?:determine|answer|find|figure|solve|identify)|looking at|we have|i'll|"
    r"i will (?:look|analy|start)|well,|now,)",
    re.I,
)


def is_note(sentence: str) -> bool:
    """Whether a sentence (small letters) is a note or a courtesy and no part of the answer."""
    return bool(_NOTE.match(sentence.strip(" *_(-"))) and not re.search(r",? but\b", sentence)


def refuses(sentence: str) -> bool:
    """Whether a sentence (small letters) says that the model cannot or will not answer."""
    return bool(_REFUSAL.search(sentence))


def thinks_aloud(text: str) -> bool:
    """Whether a text begins as a thought does."""
    return bool(_THINKING.match(text.strip()))


def is_cut(text: str) -> bool:
    """Whether a text ends in the middle of a sentence.

    >>> is_cut("In the image, A is on the left, which means"), is_cut("left")
    (True, False)
    """
    text = text.strip()
    if not text or re.search(r"[.!?)\]}\"'»”’。！？|>]$", text):
        return False
    if text.endswith((",", ":", ";", "(", "-")):
        return True
    if _LAST_WORDS.search(text):
        return len(text.split()) > 2
    last = re.split(r"[\n]|(?<=[.!?])\s", text)[-1]
    # A short last line without a stop is a heading's answer; a long one was broken off.
    return len(last.split()) > 12 and len(text.split()) > 20
