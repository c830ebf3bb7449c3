"""The forms in which coordinates are written, and the conversion from and to pixels of the stored image.

A run declares one form (``coordinates``). Questions ask for it in words, text prompts use it, and answers are read in
it and in no other. The tables are in ``coordinates.yml``.

Pixels of the stored image: x to the right, y downward, from the upper left corner. A box is ``(x0, y0, x1, y1)``,
half-open: its numbers are the edges. A point is a pixel, and stands for that pixel's centre: in forms that are shares
of the image, pixel 0 of an image 512 pixels wide is at 0.5 / 512.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml

Form = Literal["pixel", "pixel28", "norm1000", "norm1", "percent", "yx1000", "loc1024"]
FORMS: tuple[Form, ...] = get_args(Form)
"""``pixel``: pixels of the image as sent. ``pixel28``: pixels of the image as Qwen2.5-VL sees it, resized to multiples
of 28. ``norm1000``, ``norm1``, ``percent``: shares of width and height, times 1000, 1 or 100. ``yx1000``: as norm1000,
y before x. ``loc1024``: location tokens, y before x."""

TEXT_PROMPTS = ("text_point", "text_box")
"""Prompts that state positions in the question."""

AUTO = "auto"
"""Takes the form from the model's name."""

PIXELS = (56 * 56, 16384 * 28 * 28)
"""Fewest and most pixels of an image that Qwen2.5-VL sees, by the preprocessor_config.json of its checkpoints."""

Box = tuple[float, float, float, float]
Point = tuple[float, float]


class CoordinatesError(ValueError):
    """No form is known for a model, or coordinates cannot be put into one."""


@cache
def table() -> dict[str, Any]:
    """The content of ``coordinates.yml``."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    return found


# ------------------------------------------------------------------------------------------------------ one image's


@dataclass(frozen=True)
class Space:
    """How positions in the image or images of a question are written.

    Args:
        form: in which numbers are given.
        width: of a stored image, in pixels.
        height: of a stored image, in pixels.
        sent: width and height of the image as sent, if several stored images were put on one.
        origins: the upper left corners of the stored images on that one.
        pixels: fewest and most pixels that the model sees; for ``pixel28``.
    """

    form: Form
    width: int
    height: int
    sent: tuple[int, int] | None = None
    origins: tuple[tuple[int, int], ...] = ()
    pixels: tuple[int, int] = PIXELS

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """As `to_json` wrote it."""
        return cls(
            given["form"],
            given["width"],
            given["height"],
            tuple(given["sent"]) if given.get("sent") else None,
            tuple((x, y) for x, y in given.get("origins") or ()),
            tuple(given.get("pixels") or PIXELS),
        )

    def to_json(self) -> dict[str, Any]:
        """For a sample file; what is as usual is left out."""
        found: dict[str, Any] = {"form": self.form, "width": self.width, "height": self.height}
        if self.sent:
            found |= {"sent": list(self.sent), "origins": [list(origin) for origin in self.origins]}
        return found | ({"pixels": list(self.pixels)} if self.form == "pixel28" else {})

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image as the model counts its pixels."""
        width, height = self.sent or (self.width, self.height)
        return resized28(width, height, *self.pixels) if self.form == "pixel28" else (width, height)

    @property
    def reach(self) -> tuple[float, float]:
        """What the whole width and height of the image as sent are in this form."""
        known = dict(zip(("width", "height"), self.size, strict=True))
        x, y = (known.get(each, each) for each in table()["forms"][self.form]["reach"])
        return float(x), float(y)

    @property
    def is_y_first(self) -> bool:
        """Whether y stands before x."""
        return bool(table()["forms"][self.form]["order"] == "yx")

    # ------------------------------------------------------------------------------------------------------- writing

    def write_box(self, box: Sequence[float], image: int = 0) -> str:
        """A box of a stored image in this form.

        >>> Space("norm1000", 512, 512).write_box((0, 128, 256, 512))
        '[0, 250, 500, 1000]'
        """
        return self._written([*self._outward(box[0], box[1], image), *self._outward(box[2], box[3], image)])

    def write_point(self, point: Sequence[float], image: int = 0) -> str:
        """A pixel of a stored image in this form.

        >>> Space("percent", 512, 512).write_point((255, 0))
        '[49.9, 0.1]'
        """
        return self._written([*self.point_numbers(point, image)])

    def point_numbers(self, point: Sequence[float], image: int = 0) -> tuple[float, float]:
        """Numbers x and y of a pixel in this form, not yet rounded."""
        x, y = self._outward(point[0] + 0.5, point[1] + 0.5, image)
        return (math.floor(x), math.floor(y)) if self.form in ("pixel", "pixel28") else (x, y)

    def box_numbers(self, box: Sequence[float], image: int = 0) -> tuple[float, ...]:
        """Numbers x0, y0, x1 and y1 of a box in this form, not yet rounded."""
        return (*self._outward(box[0], box[1], image), *self._outward(box[2], box[3], image))

    def _outward(self, x: float, y: float, image: int) -> tuple[float, float]:
        width, height = self.sent or (self.width, self.height)
        left, top = self.origins[image] if self.origins else (0, 0)
        across, down = self.reach
        return (x + left) * across / width, (y + top) * down / height

    def _written(self, numbers: Sequence[float]) -> str:
        pairs = [numbers[start : start + 2] for start in range(0, len(numbers), 2)]
        ordered = [number for pair in pairs for number in (pair[::-1] if self.is_y_first else pair)]
        words = table()["forms"][self.form]
        digits = words["digits"]
        if "token" in words:
            return "".join(words["token"].format(number=round(number)) for number in ordered)
        return f"[{', '.join(format(number, f'.{digits}f') for number in ordered)}]"

    # ------------------------------------------------------------------------------------------------------- reading

    def box(self, numbers: Sequence[float], image: int = 0) -> Box | None:
        """The box in pixels of a stored image, from x0, y0, x1 and y1 in this form; swapped corners are mended.

        None if a number is no number or lies outside the image, or the box has no area.
        """
        if not self._inside(numbers):
            return None
        xs, ys = sorted(numbers[0::2]), sorted(numbers[1::2])
        if xs[0] == xs[1] or ys[0] == ys[1]:
            return None
        return (*self._inward(xs[0], ys[0], image), *self._inward(xs[1], ys[1], image))

    def point(self, numbers: Sequence[float], image: int = 0) -> Point | None:
        """The pixel of a stored image, from x and y in this form; None if it lies outside the image."""
        if not self._inside(numbers):
            return None
        half = 0.5 if self.form in ("pixel", "pixel28") else 0.0
        x, y = self._inward(numbers[0] + half, numbers[1] + half, image)
        if self.origins:
            return math.floor(x), math.floor(y)
        return min(math.floor(x), self.width - 1), min(math.floor(y), self.height - 1)

    def _inside(self, numbers: Sequence[float]) -> bool:
        across, down = self.reach
        limits = [across, down] * (len(numbers) // 2)
        return all(math.isfinite(n) and 0 <= n <= limit for n, limit in zip(numbers, limits, strict=True))

    def _inward(self, x: float, y: float, image: int) -> tuple[float, float]:
        width, height = self.sent or (self.width, self.height)
        left, top = self.origins[image] if self.origins else (0, 0)
        across, down = self.reach
        return x * width / across - left, y * height / down - top

    # --------------------------------------------------------------------------------------------------------- words

    def scale_words(self) -> str:
        """The sentence that says what the numbers in a question count."""
        width, height = self.size
        return str(table()["forms"][self.form]["scale"].format(width=width, height=height))

    def counts_words(self) -> str:
        """What the numbers of an answer count."""
        width, height = self.size
        return str(table()["forms"][self.form]["counts"].format(width=width, height=height))

    def pattern(self, answer_type: str) -> str:
        """How an answer is to be written, with names in place of the numbers.

        >>> Space("yx1000", 512, 512).pattern("box")
        '[y0, x0, y1, x1]'
        """
        names = ["y", "x"] if self.is_y_first else ["x", "y"]
        numbers = names if answer_type == "point" else [f"{name}{end}" for end in (0, 1) for name in names]
        if "token" in table()["forms"][self.form]:
            return "".join(f"<loc{name.upper()}>" for name in numbers)
        return f"[{', '.join(numbers)}]"


def resized28(
    width: int, height: int, fewest: int = PIXELS[0], most: int = PIXELS[1], factor: int = 28
) -> tuple[int, int]:
    """Width and height of an image as Qwen2.5-VL sees it: multiples of 28, with no more and no fewer pixels than set.

    As ``smart_resize`` in the model's own image processor, and in transformers (image_processing_qwen2_vl.py).

    >>> resized28(512, 512)
    (504, 504)
    """
    across, down = round(width / factor) * factor, round(height / factor) * factor
    if across * down > most:
        shrink = math.sqrt(width * height / most)
        across = max(factor, math.floor(width / shrink / factor) * factor)
        down = max(factor, math.floor(height / shrink / factor) * factor)
    elif across * down < fewest:
        grow = math.sqrt(fewest / (width * height))
        across = math.ceil(width * grow / factor) * factor
        down = math.ceil(height * grow / factor) * factor
    return across, down


# -------------------------------------------------------------------------------------------------- the model's form


@dataclass(frozen=True)
class Family:
    """A family of models, the form that it was trained with (None: not documented), and where that is said."""

    name: str
    form: Form | None
    source: str
    remedy: str = ""


def family_of(model: str) -> Family | None:
    """The family of a model by its name, or by the type that its folder's ``config.json`` names; None if unknown.

    Args:
        model: a name on the Hub or of a server, or a folder.
    """
    name = "/".join(part for part in re.split(r"[/\\]", model.rstrip("/\\").lower())[-2:])
    kind = _model_type(Path(model).expanduser())
    for row in table()["families"]:
        if re.search(row["pattern"], name):
            return Family(row["name"], row["form"], row["source"], row.get("remedy", ""))
    for row in table()["families"]:
        if kind and kind in row["types"]:
            return Family(row["name"], row["form"], row["source"], row.get("remedy", ""))
    return None


def _model_type(folder: Path) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("model_type", "")) if isinstance(config, dict) else ""


def automatic_form(model: str | None) -> Form:
    """The form that a model was trained with.

    Raises:
        CoordinatesError: if it is not known, with the remedy.
    """
    declare = f'Declare one: --metadata \'{{"coordinates": "norm1000"}}\' (or {", ".join(FORMS)}).'
    if not model:
        raise CoordinatesError(f"The coordinates are set to 'auto', but the model has no name. {declare}")
    family = family_of(model)
    if family is None:
        raise CoordinatesError(
            f"The coordinates are set to 'auto', but coordinates.yml has no family for the model {model!r}. {declare}"
        )
    if family.form is None:
        hint = f" You may try {family.remedy}." if family.remedy else ""
        raise CoordinatesError(
            f"The coordinates are set to 'auto', but the makers of {family.name} document no form of coordinates "
            f"(model {model!r}). {declare}{hint}"
        )
    return family.form


# ------------------------------------------------------------------------------------------------------ the questions


def in_form(question: str, prompt: str, boxes: Sequence[Box], points: Sequence[Point], space: Space) -> str:
    """A question with the positions of its text prompt in another form; any other question as it is.

    Args:
        question: as stored: positions in pixels.
        prompt: the factor's value.
        boxes: of the structures whose positions it states, in pixels.
        points: the same.
        space: how they are to be written.

    Raises:
        CoordinatesError: if the question does not have the sentences that the data set's wording makes of them.
    """
    if space.form == "pixel" or prompt not in TEXT_PROMPTS:
        return question
    from dataset_builder.questions.wording import coordinate_phrase, coordinate_scale

    found = _replaced(question, coordinate_scale(space.width), space.scale_words())
    written = stated = 0
    for letter in "ABCDEFGH":
        stated += question.count(coordinate_phrase(prompt, letter, (0, 0, 0, 0), (0, 0)).split("0")[0])
        phrases = {
            coordinate_phrase(prompt, letter, box, point): (box, point)
            for box, point in zip(boxes, points, strict=True)
        }
        here = [phrase for phrase in phrases if phrase in question]
        if not here:
            continue
        if len(here) > 1:
            raise CoordinatesError(f"The question has several positions of structure {letter}: {question!r}.")
        box, point = phrases[here[0]]
        found = _replaced(found, here[0], _phrase(prompt, letter, box, point, space))
        written += 1
    if not written or not written == stated == len(boxes):
        raise CoordinatesError(f"The question does not state the positions that its row has: {question!r}.")
    return found


def _phrase(prompt: str, letter: str, box: Box, point: Point, space: Space) -> str:
    if space.form == "pixel28":  # the very sentence, with the numbers of the other size
        from dataset_builder.questions.wording import coordinate_phrase

        numbers = [round(number) for number in space.box_numbers(box)]
        return coordinate_phrase(prompt, letter, numbers, [round(n) for n in space.point_numbers(point)])
    if prompt == "text_point":
        return f"Structure {letter} is at {space.write_point(point)}."
    return f"Structure {letter} lies in the box {space.write_box(box)}, written as {space.pattern('box')}."


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise CoordinatesError(f"The sentence {old!r} stands {text.count(old)} times in the question {text!r}.")
    return text.replace(old, new)
