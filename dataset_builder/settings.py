"""What a build is asked to make: one frozen value that, with the volumes and the seed, decides every byte."""

import dataclasses
import json
from dataclasses import dataclass, field

from dataset_builder.errors import BuildError
from dataset_builder.factors import (
    CONVENTIONS,
    PLANES,
    PROMPTS,
    REGISTERS,
    TERMINOLOGIES,
    Convention,
    Plane,
    Prompt,
    Register,
    Terminology,
)
from dataset_builder.facts import Fairness
from dataset_builder.seeding import digest

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 64, 4096


@dataclass(frozen=True)
class Settings:
    """Settings of a build.

    Args:
        seed: every random choice is a function of this, the volume's identity and the settings.
        planes, prompts, terminologies, registers, conventions: which values of each factor to ask.
        slices_per_volume: slices cut from a volume in total, spread over the planes (2 as published).
        questions_per_volume: at most so many rows a volume, pairs kept whole; ``None`` for all that can be asked.
        image_size: side of the square pictures, in pixels.
        fairness: the margins that a question must keep.
    """

    seed: int = 0
    planes: tuple[Plane, ...] = PLANES
    prompts: tuple[Prompt, ...] = PROMPTS
    terminologies: tuple[Terminology, ...] = TERMINOLOGIES
    registers: tuple[Register, ...] = REGISTERS
    conventions: tuple[Convention, ...] = CONVENTIONS
    slices_per_volume: int = 2
    questions_per_volume: int | None = 30
    image_size: int = 512
    fairness: Fairness = field(default_factory=Fairness)

    def __post_init__(self) -> None:
        for name, legal in (
            ("planes", PLANES),
            ("prompts", PROMPTS),
            ("terminologies", TERMINOLOGIES),
            ("registers", REGISTERS),
            ("conventions", CONVENTIONS),
        ):
            chosen = getattr(self, name)
            bad = [value for value in chosen if value not in legal]
            if bad or not chosen or len(set(chosen)) != len(chosen):
                raise BuildError(
                    f"The setting '{name}' takes one or more of: {', '.join(legal)}, each once.",
                    value=", ".join(map(str, bad or chosen)) or "nothing",
                )
        for name, low, high in (
            ("slices_per_volume", 1, 10_000),
            ("image_size", MIN_IMAGE_SIZE, MAX_IMAGE_SIZE),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BuildError(f"The setting '{name}' must lie between {low} and {high}.", value=value)
        if self.questions_per_volume is not None and self.questions_per_volume < 1:
            raise BuildError(
                "The setting 'questions_per_volume' must be at least 1, or 'all'.", value=self.questions_per_volume
            )

    def fingerprint(self) -> str:
        """A short hash that changes whenever a setting does."""
        return digest(json.dumps(dataclasses.asdict(self), sort_keys=True))

    def slice_fingerprint(self) -> str:
        """As :meth:`fingerprint`, of the settings that decide which slices are cut."""
        return digest("slices", self.seed, self.planes, self.slices_per_volume, self.fairness.min_area_mm2)
