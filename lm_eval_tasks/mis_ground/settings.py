"""Settings of a run: those that ``--metadata`` gives to the tasks, checked, with their defaults.

They are a factor of the run and not of the data: style, lettered options, how a stack of images is sent, in which
form coordinates are written. The harness hands the model's arguments over in the same dictionary, so that names that
are not known are passed over, unless one is nearly a name of these.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from lm_eval_tasks.mis_ground.coordinates import AUTO, FORMS, PIXELS, CoordinatesError, Form, automatic_form, family_of

Style = Literal["direct", "reasoning", "native"]
Stack = Literal["images", "sheet"]

BUDGETS: dict[Style, int] = {"direct": 64, "reasoning": 4096, "native": 16384}
"""Tokens that an answer may take. ``direct``: a sentence. ``reasoning``: the prompt asks to think, and to end with the
answer. ``native``: the prompt is as in ``direct``, for models that think by themselves."""

NAMES = ("style", "letters", "stack", "coordinates")
"""Names of the settings."""

PLACE_TOKENS = 256
"""Tokens that a position or a number may take at least: models put them into objects with labels."""

DATASET = "dataset"
"""The setting that names the data set."""

ON_THE_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./+-]+))?(?::([\w-]+))?")
"""A data set on the Hub: its name, a revision, a config (all questions, if none is given)."""

_SECRET = re.compile(
    r"(^|_)(api_?key|key|secret|password|credentials?|authorization|headers?)$|^(hf_|auth_|api_|bearer_)?token$",
    re.IGNORECASE,
)


FROM = "coordinates_from"
"""Where the results say how the form of the coordinates was found."""

MODEL_NAMES = ("pretrained", "model", "path", "engine")
"""Arguments of models that hold the model's name; the harness hands them over with the metadata."""


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
        coordinates: the form in which points and boxes are written, in questions and answers.
        coordinates_from: where that form was taken from: "" if it was declared or is the default.
        pixels: fewest and most pixels that the model sees of an image; for the form ``pixel28``.
    """

    style: Style = "direct"
    letters: bool = False
    stack: Stack = "images"
    coordinates: Form = "pixel"
    coordinates_from: str = ""
    pixels: tuple[int, int] = PIXELS

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
        for name in given:
            near = difflib.get_close_matches(str(name), [*NAMES, DATASET], n=1, cutoff=0.8)
            if near and name not in (*NAMES, DATASET, FROM):
                raise RunSettingsError(f"--metadata has no setting {name!r}; did you mean {near[0]!r}?")
        form, source = _form(given)
        return cls(
            style=_one_of("style", given.get("style", cls.style), get_args(Style)),
            letters=_yes_or_no("letters", given.get("letters", cls.letters)),
            stack=_one_of("stack", given.get("stack", cls.stack), get_args(Stack)),
            coordinates=form,
            coordinates_from=source,
            pixels=_pixels(given),
        )

    def budget(self, answer_type: str) -> int:
        """Tokens that an answer of a type may take."""
        return self.max_gen_toks if answer_type == "choice" else max(self.max_gen_toks, PLACE_TOKENS)

    def as_dict(self) -> dict[str, Any]:
        """As recorded in the results."""
        return {name: getattr(self, name) for name in NAMES}

    def notes(self) -> dict[str, Any]:
        """What the results say beside the settings: how the form of the coordinates was found."""
        found: dict[str, Any] = {FROM: self.coordinates_from} if self.coordinates_from else {}
        return found | ({"coordinates_pixels": list(self.pixels)} if self.coordinates == "pixel28" else {})


def _form(given: Mapping[str, Any]) -> tuple[Form, str]:
    """The form of the coordinates, and where it was taken from."""
    wanted = given.get("coordinates", "pixel")
    if wanted != AUTO:
        return _one_of("coordinates", wanted, (*FORMS, AUTO)), str(given.get(FROM, ""))
    model = next((str(given[name]) for name in MODEL_NAMES if given.get(name)), None)
    try:
        form = automatic_form(model)
    except CoordinatesError as error:
        raise RunSettingsError(str(error)) from error
    family = family_of(model or "")
    assert family is not None
    return form, f"auto: {family.name}; {family.source}"


def _pixels(given: Mapping[str, Any]) -> tuple[int, int]:
    """Fewest and most pixels that a model sees, among its arguments."""
    try:
        fewest, most = (
            int(given.get(name) or usual) for name, usual in zip(("min_pixels", "max_pixels"), PIXELS, strict=True)
        )
    except (TypeError, ValueError) as error:
        raise RunSettingsError(f"min_pixels and max_pixels are whole numbers: {error}.") from error
    return fewest, most


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
