"""The explicit final answers of a reply: fields, boxes, tags, and the phrases that announce an answer."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FIELDS = (
    "final_answer",
    "finalanswer",
    "answer",
    "final",
    "prediction",
    "predicted_answer",
    "choice",
    "selected_option",
    "selection",
    "selected",
    "option",
    "result",
    "response",
    "output",
    "conclusion",
    "verdict",
    "label",
    "position",
    "relation",
    "side",
    "direction",
    "location",
    "structure",
    "image",
    "order",
    "relationship",
)
"""Names of fields that hold an answer, the most explicit first."""

_TAGS = r"final_?answer|answer|conclusion|result|response|output|choice|solution|final|verdict"
_TAG = re.compile(rf"<({_TAGS})>(.*?)(?:</\1>|\Z)", re.I | re.S)
_BOX = re.compile(
    r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|\Z)|<\|begin_of_solution\|>(.*?)(?:<\|end_of_solution\|>|\Z)", re.S
)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")


@dataclass(frozen=True)
class Field:
    """An answer that a reply marks as such: the text in it and where it ends in the reply."""

    text: str
    start: int
    end: int


def fields(reply: str) -> list[Field]:
    r"""Boxes, tags and JSON fields with an answer, in order.

    >>> [field.text for field in fields('{"answer": "left"} or \\boxed{right}')]
    ['left', 'right']
    """
    return _innermost([*_marked(reply), *_json_fields(reply)])


def marked(reply: str) -> list[Field]:
    """Boxes and tags with an answer, in order."""
    return _innermost(_marked(reply))


def _marked(reply: str) -> list[Field]:
    found = [Field(match[1], match.start(), match.end()) for match in _BOXED.finditer(reply)]
    found += [Field(match[2], match.start(), match.end()) for match in _TAG.finditer(reply)]
    return found + [Field(match[1] or match[2] or "", match.start(), match.end()) for match in _BOX.finditer(reply)]


def _innermost(found: list[Field]) -> list[Field]:
    """A box in a tag is the same answer."""
    inner = [one for one in found if not any(o is not one and one.start <= o.start and o.end <= one.end for o in found)]
    return sorted(inner, key=lambda one: one.start)


def _json_fields(reply: str) -> Iterator[Field]:
    for match in re.finditer(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*(?:\}|\Z)", reply):
        value = _parsed(match[0])
        if isinstance(value, dict):
            text = _chosen(value)
            if text is not None:
                yield Field(text, match.start(), match.end())


def _parsed(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    pairs = re.findall(r"[\"'](\w[\w ]*)[\"']\s*:\s*(?:[\"']([^\"']*)[\"']?|(-?[\d.]+|true|false|null))", text)
    return {name: text or bare for name, text, bare in pairs} if pairs else None


def _chosen(value: dict[str, Any]) -> str | None:
    by_name = {re.sub(r"[\s-]+", "_", str(name).casefold()): each for name, each in value.items()}
    for name in FIELDS:
        if name in by_name:
            each = by_name[name]
            while isinstance(each, (list, tuple)) and len(each) == 1:
                (each,) = each
            if isinstance(each, dict):
                return _chosen(each)
            if isinstance(each, (list, tuple)):
                return ", ".join(map(str, each))
            return "" if each is None else str(each)
    if by_name and all(isinstance(each, bool) for each in value.values()):
        true = [name for name, each in value.items() if each]
        return str(true[0]) if len(true) == 1 else ""
    if by_name and all(isinstance(each, str) for each in value.values()) and set(by_name) <= {"a", "b", "c"}:
        return "; ".join(f"{name}: {each}" for name, each in value.items())
    return None


_WORD = (
    r"(?:correct |right |final |initial |first |revised |corrected |refined |best |most likely |most appropriate |"
    r"short |my |overall |true |likely )*"
)
_NOUN = r"(?:answer|guess|estimate|option|choice|response|conclusion|solution|result|verdict)"
_CUE = re.compile(
    rf"(?:\b(?:the |my |so,? )?{_WORD}{_NOUN}(?: here| to (?:the|this|your) question|"
    rf" for this (?:image|question|case)| is)?\s*(?::\s*(?:is\b)?|\bis\b\s*:?|\bwould "
    rf"be\b:?|\bshould be\b:?|\bmust be\b:?|->|=)"
    r"|\b(?:i|i'd|i would|i will|i'll|we) (?:would )?(?:choose|select|pick|answer|go with|opt for)(?: with)?\b:?"
    r"|\b(?:correct|final) (?:side|direction|position|relation|location|term|word)\s*(?::|\bis\b)\s*:?"
    r"|\b(?:answer|conclusion|final answer)\s*\n|(?<![\w-])final(?: one| value| number)?\s*:(?!\s*\n))",
    re.I,
)
_SOFT = re.compile(r"\b(?:conclusion|summary)\s*:", re.I)


def announced(text: str) -> list[Field]:
    r"""What stands behind the phrases that announce an answer, each up to the end of its sentence, in order.

    Args:
        text: cleaned.

    >>> announced("Reasons.\nFinal answer: left. More.")[0].text
    'left.'
    """
    found = []
    cues = list(_CUE.finditer(text))
    for cue, following in zip(cues, [*cues[1:], None], strict=False):
        start = cue.end()
        stop = following.start() if following else len(text)
        rest = text[start:stop]
        lead = re.match(r"[\s:>-]*(?:is\b)?[\s:]*", rest)
        start += lead.end() if lead else 0
        sentence = re.match(r".*?(?:[.!?。](?=\s|$)|(?=\n)|$)", text[start:stop], re.S)
        body = sentence[0] if sentence else ""
        if body.strip():
            found.append(Field(body, cue.start(), start + len(body)))
    return found


_SETTLES = re.compile(r"\W*(?:(?:my|the|so),? )*(?:final|corrected|revised|refined)\b", re.I)


def settles(text: str, before: Field, last: Field) -> bool:
    """Whether the last of two answers takes the place of the one before: it is the final one, which that one was not.

    >>> one, other = announced("First guess: left. Final: right")
    >>> settles("First guess: left. Final: right", one, other)
    True
    """
    return bool(_SETTLES.match(text[last.start :])) and not _SETTLES.match(text[before.start :])
