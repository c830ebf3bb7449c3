"""Settings of a run: those that ``--metadata`` gives to the tasks, checked, with their defaults.

They are a factor of the run and not of the data: style, lettered options, how a stack of images is sent. The
harness hands the model's arguments over in the same dictionary, so that names it does not know are passed over, unless
one is nearly a name of these.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

Style = Literal["direct", "reasoning", "native"]
Stack = Literal["images", "sheet"]

BUDGETS: dict[Style, int] = {"direct": 64, "reasoning": 4096, "native": 16384}
"""Tokens that an answer may take. ``direct``: a sentence. ``reasoning``: the prompt asks to think, and to end with the
answer. ``native``: the prompt is as in ``direct``, for models that think by themselves."""

DATASET = "dataset"
"""The setting that names the data set."""

ON_THE_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./+-]+))?(?::([\w-]+))?")
"""A data set on the Hub: its name, a revision, a config (all questions, if none is given)."""

_SECRET = re.compile(
    r"(^|_)(api_?key|key|secret|password|credentials?|authorization|headers?)$|^(hf_|auth_|api_|bearer_)?token$",
    re.IGNORECASE,
)


class RunSettingsError(ValueError):
    """A setting given with ``--metadata`` is unknown or has an illegal value."""


@dataclass(frozen=True)
class RunSettings:
    """How questions are asked.

    Args:
        style: of the prompt; decides how many tokens an answer may take, see `BUDGETS`.
        letters: whether options are listed as "A. right; B. left", and the letter is asked for.
        stack: ``images``: a stack's images go to the model one by one; ``sheet``: all on one contact sheet, for models
            that take one image.
    """

    style: Style = "direct"
    letters: bool = False
    stack: Stack = "images"

    @property
    def max_gen_toks(self) -> int:
        """Tokens that an answer may take, unless ``--gen_kwargs`` says otherwise."""
        return BUDGETS[self.style]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any] | None) -> Self:
        """The settings among all that the harness hands over.

        Raises:
            RunSettingsError: if a value is illegal, or a name is a misspelt setting.
        """
        given = dict(metadata or {})
        known = [field.name for field in fields(cls)]
        for name in given:
            near = difflib.get_close_matches(str(name), [*known, DATASET], n=1, cutoff=0.8)
            if near and name not in (*known, DATASET):
                raise RunSettingsError(f"--metadata has no setting {name!r}; did you mean {near[0]!r}?")
        return cls(
            style=_one_of("style", given.get("style", cls.style), get_args(Style)),
            letters=_yes_or_no("letters", given.get("letters", cls.letters)),
            stack=_one_of("stack", given.get("stack", cls.stack), get_args(Stack)),
        )

    def as_dict(self) -> dict[str, Any]:
        """As recorded in the results."""
        return asdict(self)


def _one_of(name: str, value: object, legal: tuple[str, ...]) -> Any:
    if value not in legal:
        raise RunSettingsError(f"The setting {name!r} is {value!r}, but takes one of: {', '.join(legal)}.")
    return value


def _yes_or_no(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    texts = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in texts:
        return texts[value.lower()]
    raise RunSettingsError(f"The setting {name!r} is {value!r}, but takes true or false.")


def is_secret(name: str) -> bool:
    """Whether an argument of this name may be a key or a password, and must not be written to a file."""
    return bool(_SECRET.search(name))


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings fit for a file: what may be a key or a password is replaced by "(hidden)"."""
    return {
        name: "(hidden)" if is_secret(name) else without_secrets(value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }
