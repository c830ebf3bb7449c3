"""What a model returned, as text: a reply with its finish reason, and the text of a reply in parts."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

THINKING = ("thinking", "reasoning", "redacted_thinking")
"""Types of content parts that do not belong to the answer."""


class Reply(str):
    """A model's answer.

    Args:
        text: the answer, without reasoning that the server returns separately.
        finish_reason: ``stop``, ``length`` (the budget was used up), ``content_filter``, ``refusal``; None: unknown.
        reasoning: the reasoning that the server returned separately, or None.
    """

    finish_reason: str | None
    reasoning: str | None

    def __new__(cls, text: str, finish_reason: str | None = None, reasoning: str | None = None) -> Self:
        """A text with its finish reason."""
        self = super().__new__(cls, text)
        self.finish_reason = finish_reason
        self.reasoning = reasoning
        return self

    def __getnewargs__(self) -> tuple[str, str | None, str | None]:  # type: ignore[override]
        return str(self), self.finish_reason, self.reasoning

    def note(self) -> dict[str, str]:
        """What is stored beside the reply in a sample file; empty if nothing is known."""
        known = {"finish_reason": self.finish_reason, "reasoning": self.reasoning}
        return {name: value for name, value in known.items() if value}


def as_text(content: object) -> str:
    """A message's content as text: of a list of parts the text parts, joined, without the thinking; "" for none.

    >>> as_text([{"type": "thinking", "thinking": "hm, left"}, {"type": "text", "text": "right"}])
    'right'
    """
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, Mapping):
        content = [content]
    if isinstance(content, Sequence):
        return "".join(_text_of(part) for part in content)
    return str(content)


def thinking_of(content: object) -> str:
    """The thinking in a list of content parts; "" where there is none."""
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, Mapping) and part.get("type") in THINKING]
    return "\n".join(_flat(part.get("thinking") or part.get("reasoning") or part.get("text")) for part in parts)


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or part.get("type") in THINKING:
        return ""
    return _flat(part.get("text") or part.get("refusal") or part.get("content"))


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return _flat(value.get("text") or value.get("value"))
    return "".join(map(_flat, value)) if isinstance(value, list) else ""
