"""A model that does not look and does not read: what any other must beat."""

from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model


@register_model("mis-ground-constant")
class ConstantAnswer(LM):
    """Always gives the first option that the question lists.

    The two items of a pair list the same options in the same order, so that it gets one of them right and never both.
    """

    MULTIMODAL = True  # takes images, and ignores them

    def __init__(self, **_: Any) -> None:  # the harness passes batch size and device to every model
        super().__init__()

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The first option of each request's question; nothing where none are listed."""
        return [first_option(request.args[0]) for request in requests]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> Any:
        """Not for this model: it has no probabilities."""
        raise NotImplementedError("mis-ground-constant only generates answers; it has no probabilities.")

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> Any:
        """Not for this model: it has no probabilities."""
        raise NotImplementedError("mis-ground-constant only generates answers; it has no probabilities.")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as plain text."""
        return "\n".join(turn["content"] for turn in chat_history)

    @property
    def tokenizer_name(self) -> str:
        """Name under which the harness caches requests."""
        return "mis-ground-constant"


def first_option(prompt: str) -> str:
    r"""The first option on the last line "Options: a; b" of a prompt.

    >>> first_option("Where?\nOptions: left; right\nAnswer:")
    'left'
    """
    lines = [line for line in prompt.splitlines() if line.startswith("Options: ")]
    return lines[-1].removeprefix("Options: ").split(";")[0].strip() if lines else ""
