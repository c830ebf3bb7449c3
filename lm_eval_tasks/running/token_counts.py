"""How many tokens prompts have: by a model's own processor, or, where that is not at hand, as its family counts."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil, sqrt
from pathlib import Path
from typing import Any, Protocol

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.prompts import PLACE
from lm_eval_tasks.running.images import fingerprint, images_of

Request = Any
Piece = tuple[Hashable, float]
"""A part of a prompt by which it is known, and how many tokens it has."""
Size = tuple[int, int]
"""Width and height in pixels."""

CHAT_TOKENS = 10.0
"""Of a conversation with one turn, beside its text, where no template is at hand."""


class TokenCounter(Protocol):
    """Counts tokens."""

    @property
    def source(self) -> str:
        """Who counts, for the user."""

    def pieces(self, requests: Sequence[Request]) -> Iterable[list[Piece]]:
        """Of each request, what its prompt consists of, images first."""

    def text(self, text: str) -> float:
        """Tokens of a text."""


def floor(prompts: Iterable[Sequence[Piece]]) -> float:
    """How many tokens an engine must compute that computes no beginning of a prompt twice.

    Args:
        prompts: each a sequence of pieces.
    """
    seen: set[int] = set()
    total = 0.0
    for prompt in prompts:
        beginning = 0
        for piece, tokens in prompt:
            beginning = hash((beginning, piece))
            if beginning not in seen:
                seen.add(beginning)
                total += tokens
    return total


# ------------------------------------------------------------------------------------------------- a model's processor


@dataclass
class ProcessorCounter:
    """Counts with a model's processor; images of one size take it once.

    Args:
        processor: of a model with images, or a tokenizer.
        source: who counts.
    """

    processor: Any
    source: str
    _images: dict[tuple[Size, ...], float] = field(default_factory=dict)

    @property
    def tokenizer(self) -> Any:
        """For texts."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def image_token(self) -> str:
        """The text that stands for an image in a prompt."""
        holders = (self.processor, self.tokenizer)
        names = ("boi_token", "image_token")  # a processor with both takes the first
        return next((t for n in names for h in holders if isinstance(t := getattr(h, n, None), str) and t), PLACE)

    def text(self, text: str) -> float:
        """Tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def pieces(self, requests: Sequence[Request]) -> Iterable[list[Piece]]:
        """Of each request, its images and its tokens."""
        for start in range(0, len(requests), 256):
            some = requests[start : start + 256]
            texts = [str(request.args[0]).replace(PLACE, self.image_token) for request in some]
            # Other tokenizers of a processor add their special tokens by themselves, too.
            for request, text, ids in zip(some, texts, self.tokenizer(texts)["input_ids"], strict=True):
                images = images_of(request)
                more = self._of_images(text, images, len(ids)) if images else 0.0
                yield [(fingerprint(image), more / len(images)) for image in images] + [(token, 1.0) for token in ids]

    def _of_images(self, text: str, images: Sequence[Any], length: int) -> float:
        """Tokens of images beyond those that stand for them in the text."""
        from PIL import Image

        sizes = tuple(image.size for image in images)
        if sizes not in self._images:
            blank = [Image.new("RGB", size) for size in sizes]
            made = self.processor(text=[text], images=_nested(self.processor, blank), return_tensors="pt")
            self._images[sizes] = made["input_ids"].shape[1] - length
        return self._images[sizes]


def _nested(processor: Any, images: list[Any]) -> list[Any]:
    """As processors take the images of one prompt: LLaVA's in one list, others' in a list of lists."""
    return images if type(processor).__name__ == "LlavaProcessor" else [images]


def processor_counter(name: str, arguments: Mapping[str, Any], images: bool) -> ProcessorCounter:
    """A counter with the processor, or the tokenizer, of a model in a folder or on the Hub; weights are not read.

    Args:
        name: of the model.
        arguments: of the model, as the harness takes them.
        images: whether prompts have images.

    Raises:
        Exception: whatever transformers raises if it cannot be loaded.
    """
    from transformers import AutoProcessor, AutoTokenizer

    given = {key: arguments[key] for key in ("revision", "trust_remote_code") if key in arguments}
    if not images:
        return ProcessorCounter(AutoTokenizer.from_pretrained(name, **given), "the model's tokenizer")
    limits = {key: int(arguments[key]) for key in ("min_pixels", "max_pixels") if key in arguments}
    processor = AutoProcessor.from_pretrained(name, **given, **limits)
    if not hasattr(processor, "image_processor"):
        raise ValueError("it takes no images")
    return ProcessorCounter(processor, "the model's processor")


# -------------------------------------------------------------------------------------------------- a family's formula


@dataclass(frozen=True)
class FamilyCounter:
    """Counts as a family of models does.

    Args:
        name: of the family.
        rule: of its images.
        characters_per_token: of its texts.
    """

    name: str
    rule: Mapping[str, float]
    characters_per_token: float

    @property
    def source(self) -> str:
        """Who counts."""
        return f"estimate for the family {self.name}"

    def text(self, text: str) -> float:
        """Tokens of a text, about."""
        return len(text) / self.characters_per_token

    def pieces(self, requests: Sequence[Request]) -> Iterable[list[Piece]]:
        """Of each request, its images and its words."""
        for request in requests:
            words = re.findall(r"\S+\s*|\s+", str(request.args[0]).replace(PLACE, ""))
            images: list[Piece] = [(fingerprint(each), self.image(each.size)) for each in images_of(request)]
            yield [*images, *((word, self.text(word)) for word in words), (None, CHAT_TOKENS)]

    def image(self, size: Size) -> float:
        """Tokens of an image of this size."""
        width, height = size
        rule = self.rule
        if "fixed" in rule:
            return rule["fixed"]
        if "patches" in rule:
            return _patches(size, rule) + rule.get("around", 0)
        scale = min(1.0, rule["longest"] / max(size)) if "longest" in rule else 1.0
        if "area" in rule:
            return ceil(width * scale * height * scale / rule["area"])
        if max(size) <= rule.get("small", 0):
            return rule["base"] + rule["each"]
        if "shortest" in rule:
            scale *= min(1.0, rule["shortest"] / (min(size) * scale))
        return rule["base"] + rule["each"] * ceil(width * scale / rule["tiles"]) * ceil(height * scale / rule["tiles"])


def _patches(size: Size, rule: Mapping[str, float]) -> float:
    """Patches of an image whose sides are rounded to whole ones, and scaled where they are too many or too few."""
    side = rule["patches"]
    width, height = (max(side, round(each / side) * side) for each in size)
    if width * height > rule["most"]:
        scale = sqrt(size[0] * size[1] / rule["most"])
        width, height = (max(side, each / scale // side * side) for each in size)
    elif width * height < rule["least"]:
        scale = sqrt(rule["least"] / (size[0] * size[1]))
        width, height = (ceil(each * scale / side) * side for each in size)
    return width * height / side**2


@cache
def families() -> dict[str, dict[str, Any]]:
    """The table of families."""
    import yaml

    text = Path(__file__).with_name("token_families.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def family_counter(model: str, family: str | None = None) -> FamilyCounter:
    """A counter for a model by its name.

    Args:
        model: its name.
        family: as given by the user, in place of the one that the name tells.

    Raises:
        MISGroundError: if the family is unknown.
    """
    table = families()
    found = family or next((key for key, row in table.items() if re.search(row["names"], model, re.IGNORECASE)), None)
    if found not in table:
        raise MISGroundError(
            "There is no such family of models." if family else "It is not known how this model counts tokens.",
            value=family or model or None,
            remedy=f"Give --family, one of {', '.join(table)}; or a model whose processor is at hand.",
        )
    return FamilyCounter(found, table[found]["image"], table[found]["characters_per_token"])
