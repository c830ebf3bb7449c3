"""Settings of a build: one frozen value that, with the volumes and the seed, determines every byte."""

import dataclasses
import json
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import (
    ANSWER_TYPES,
    CONVENTIONS,
    INPUTS,
    OPTION_FORMS,
    PLANES,
    PROMPTS,
    REGISTERS,
    STATEMENTS,
    TERMINOLOGIES,
    VIEWS,
    AnswerType,
    Convention,
    Input,
    OptionForm,
    Plane,
    Prompt,
    Register,
    Statement,
    Terminology,
    View,
)
from dataset_builder.core.hashing import digest

MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 64, 4096
MIN_STACK_SIZE, MAX_STACK_SIZE = 4, 64


VISIBLE_MM2 = 100.0
"""A structure is visible in a slice from this area on."""
NAMED_MM2 = 150.0
"""It is asked which of four structures is visible from this area on."""


@dataclass(frozen=True)
class ClarityLimits:
    """The margins by which a fact must hold so that a careful reader of the image gets it right. All in one place.

    Args:
        min_area_mm2: a structure is visible from this area on.
        min_gap_mm: least distance of centroids along the asked axis, least difference of distances, and least distance
            of a centroid from the midline.
        min_marker_gap_mm: by this much at least, points and centres of boxes must say the same as the masks do.
        min_ratio: of areas, and of distances.
        min_contact_mm: structures are adjacent if their pixels share at least this much of their borders.
        apart_mm: structures are apart from this distance between their nearest pixels on.
        min_side_share: a structure lies on one side of the midline with at least this share of its area.
        min_between_deg: A is between B and C if it sees them at least this angle apart.
        min_marker_between_deg: the same for points and centres of boxes.
        max_box_overlap: a structure is not offered as an answer if its box covers the marked one's by more (shared area
            / joint area).
        min_contrast: a structure is visible if grey changes by this much across its border and along a third of it at
            least, in levels of 255, without what noise adds (:mod:`dataset_builder.pictures.contrast`); 6 are 9 HU in
            the soft tissue window.
        max_rival_share: nor if it covers more of the marked one's box than this share of what the marked one covers.
        min_box_fill: a structure is marked to be named if it fills its box at least so far.
        min_main_piece: a structure is marked if at least this share of it in the slice is one piece ...
        max_stray_mm: ... and if the box around all of it reaches at most so far beyond that piece.
        min_pair_share: A lies in a direction from B if that holds of at least this share of all pairs of their pixels.
        min_named_area_mm2: which of four structures is visible is asked of structures from this area on.
        min_visibility_ratio: of the volume's slices that show one of the four options only, each of the other three has
            at least so many times as many as the right one; else its name alone would tell it.
        min_image_voxels, min_image_mm: an image has at least so many voxels along both sides, and is so long.
        max_image_ratio: its longer side is at most so many times its shorter one.
        min_border_mm: the box of a structure is asked for if all of it lies at least so far from the edge of the scan.
        min_box_pixels: ... and if its box is so many pixels wide and high in the image as it is sent.
        min_largest_ratio: of a stack, the image in which a structure is largest shows so many times as much of it as
            any other; and of two lines through the body the one is so many times as long as the other.
        min_length_mm, min_length_pixels: lengths are measured from so much on, so that two pixels matter little.
        min_elongation: longest diameter / width at right angles to it, of structures whose axes are compared, and of
            which the width is measured.
        min_convexity: a diameter is measured of a structure that fills its convex hull at least so far.
        min_angle_deg: least angle between two lines that is measured.
        max_body_slack_mm: by so much at most the thickness of the body depends on where air is taken to end.
        min_host_share: a lesion lies in the structure that at least this share of its border is on.
        min_touched_share: with a structure that this share of its border is on, it is compared in no other way: it may
            lie there, or nearly so.
        max_facts: most facts about three structures of one kind in a slice; the seed decides which.
    """

    min_area_mm2: float = VISIBLE_MM2
    min_gap_mm: float = 8.0
    min_marker_gap_mm: float = 2.0
    min_ratio: float = 1.5
    min_contact_mm: float = 5.0
    apart_mm: float = 15.0
    min_side_share: float = 0.9
    min_between_deg: float = 135.0
    min_marker_between_deg: float = 120.0
    max_box_overlap: float = 0.3
    max_rival_share: float = 0.5
    min_box_fill: float = 0.25
    min_main_piece: float = 0.95
    max_stray_mm: float = 5.0
    min_pair_share: float = 0.9
    min_named_area_mm2: float = NAMED_MM2
    min_visibility_ratio: float = 0.25
    min_image_voxels: int = 16
    min_image_mm: float = 30.0
    max_image_ratio: float = 8.0
    min_contrast: float = 6.0
    min_border_mm: float = 2.0
    min_box_pixels: float = 6.0
    min_largest_ratio: float = 1.15
    min_length_mm: float = 20.0
    min_length_pixels: float = 10.0
    min_elongation: float = 1.5
    min_convexity: float = 0.85
    min_angle_deg: float = 15.0
    max_body_slack_mm: float = 4.0
    min_host_share: float = 0.5
    min_touched_share: float = 0.2
    max_facts: int = 200

    @property
    def image_limits(self) -> tuple[float, ...]:
        """What decides which planes give an image."""
        return self.min_image_voxels, self.min_image_mm, self.max_image_ratio

    def __post_init__(self) -> None:
        limits = {
            "min_ratio": (1.0, float("inf")),
            "min_side_share": (0.5, 1.0),
            "max_rival_share": (0.0, 1.0),
            "min_box_fill": (0.0, 1.0),
            "min_main_piece": (0.0, 1.0),
            "min_pair_share": (0.5, 1.0),
            "min_visibility_ratio": (0.0, 1.0),
            "min_host_share": (0.5, 1.0),
            "min_touched_share": (0.0, 1.0),
            "max_image_ratio": (1.0, float("inf")),
            "min_largest_ratio": (1.0, float("inf")),
            "min_elongation": (1.0, float("inf")),
            "min_convexity": (0.0, 1.0),
            "min_angle_deg": (0.0, 90.0),
            "min_between_deg": (90.0, 180.0),
            "min_marker_between_deg": (90.0, 180.0),
        }
        for limit in fields(self):
            low, high = limits.get(limit.name, (0.0, float("inf")))
            value = getattr(self, limit.name)
            if not low <= value <= high:
                raise BuildError(
                    f"The clarity limit '{limit.name}' must lie between {low:g} and {high:g}.", value=value
                )


QUOTAS = (
    "questions_per_volume",
    "stack_questions_per_volume",
    "locate_questions_per_volume",
    "measure_questions_per_volume",
)
"""Settings that say how many questions of a kind a volume gets at most; ``None`` for all."""

Trust = Literal["affine", "values", "labels", "orientation"]
TRUST: tuple[Trust, ...] = get_args(Trust)
"""What a user can vouch for, where a check of the scans would refuse them."""


@dataclass(frozen=True)
class Settings:
    """Settings of a build.

    Args:
        seed: every random choice is a function of this, the volume's identity and the settings.
        planes, prompts, terminologies, registers, conventions: which values of each factor to ask.
        inputs: ``slice``; ``stack``; ``blank``, the controls on an empty canvas.
        answer_types: ``choice``: one of several options; ``point``, ``box``: where something is; ``number``: a
            measurement.
        views: ``plain`` always; others are controls that show the image of a slice mirrored or rotated.
        statements: ``edges`` always; others are controls that say less of how the image is shown.
        option_forms: ``listed`` always; others are controls that offer the options in other orders, or as yes and no.
        slices_per_volume: slices cut from a volume in total, spread over the planes (2 as published).
        questions_per_volume: at most this many rows per volume about its slices; pairs are kept whole, controls not
            counted; ``None`` for all that can be asked.
        stacks_per_volume: stacks cut from a volume, each along one plane.
        stack_size: images of a stack; of 4, none is asked to be the first or the last: three could be.
        stack_questions_per_volume: as ``questions_per_volume``, about its stacks.
        locate_questions_per_volume: as ``questions_per_volume``, of questions for a point or box about its slices and
            stacks; controls not counted.
        measure_questions_per_volume: as ``questions_per_volume``, of questions for a number.
        volumes_per_modality: so many volumes of each modality, drawn by their names; ``None`` for all.
        questions_per_cell: so many rows of each cell (modality, plane, terminology, prompt), see
            :mod:`dataset_builder.building.balance`; ``None`` for all that were chosen by volume.
        ct_share: share of the questions that are about CT: volumes of the modality in excess get fewer, see
            :mod:`dataset_builder.questions.quotas`; ``None`` to treat all volumes alike.
        image_size: side of the square images, in pixels.
        clarity: the margins that a question must keep.
        trust: what is not checked of the scans, since the user vouches for it.
        exclude: facts (``fact_id``) of which nothing is asked; see :mod:`dataset_builder.building.exclusions`.
    """

    seed: int = 0
    planes: tuple[Plane, ...] = PLANES
    prompts: tuple[Prompt, ...] = PROMPTS
    terminologies: tuple[Terminology, ...] = TERMINOLOGIES
    registers: tuple[Register, ...] = REGISTERS
    conventions: tuple[Convention, ...] = CONVENTIONS
    inputs: tuple[Input, ...] = INPUTS
    answer_types: tuple[AnswerType, ...] = ANSWER_TYPES
    views: tuple[View, ...] = VIEWS
    statements: tuple[Statement, ...] = STATEMENTS
    option_forms: tuple[OptionForm, ...] = OPTION_FORMS
    slices_per_volume: int = 2
    questions_per_volume: int | None = 30
    stacks_per_volume: int = 1
    stack_size: int = 8
    stack_questions_per_volume: int | None = 24
    locate_questions_per_volume: int | None = 16
    measure_questions_per_volume: int | None = 12
    volumes_per_modality: int | None = None
    questions_per_cell: int | None = None
    ct_share: float | None = None
    image_size: int = 512
    clarity: ClarityLimits = field(default_factory=ClarityLimits)
    trust: tuple[Trust, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, legal in (
            ("planes", PLANES),
            ("prompts", PROMPTS),
            ("terminologies", TERMINOLOGIES),
            ("registers", REGISTERS),
            ("conventions", CONVENTIONS),
            ("inputs", INPUTS),
            ("answer_types", ANSWER_TYPES),
            ("views", VIEWS),
            ("statements", STATEMENTS),
            ("option_forms", OPTION_FORMS),
        ):
            chosen = getattr(self, name)
            bad = [value for value in chosen if value not in legal]
            if bad or not chosen or len(set(chosen)) != len(chosen):
                raise BuildError(
                    f"The setting '{name}' takes one or more of: {', '.join(legal)}, each once.",
                    value=", ".join(map(str, bad or chosen)) or "nothing",
                )
        if any(value not in TRUST for value in self.trust) or len(set(self.trust)) != len(self.trust):
            raise BuildError(f"The setting 'trust' takes any of: {', '.join(TRUST)}, each once.", value=self.trust)
        for name, low, high in (
            ("slices_per_volume", 1, 10_000),
            ("stacks_per_volume", 0, 100),
            ("stack_size", MIN_STACK_SIZE, MAX_STACK_SIZE),
            ("image_size", MIN_IMAGE_SIZE, MAX_IMAGE_SIZE),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise BuildError(f"The setting '{name}' must lie between {low} and {high}.", value=value)
        for name in QUOTAS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BuildError(f"The setting '{name}' must be at least 1, or 'all'.", value=value)
        for name, low in (("volumes_per_modality", 1), ("questions_per_cell", 2)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise BuildError(f"The setting '{name}' must be at least {low}.", value=value)
        if self.ct_share is None:
            return
        if not 0 < self.ct_share < 1:
            raise BuildError("The setting 'ct_share' must lie between 0 and 1.", value=self.ct_share)
        if any(getattr(self, name) is None for name in QUOTAS):
            raise BuildError(
                "The setting 'ct_share' cannot be combined with 'all'.",
                value="all questions per volume",
                remedy="Give a number of questions per volume, or leave out the share of CT.",
            )

    def fingerprint(self) -> str:
        """A short hash that changes whenever a setting does."""
        return digest(json.dumps(dataclasses.asdict(self), sort_keys=True))

    def slice_fingerprint(self) -> str:
        """As :meth:`fingerprint`, of the settings that decide which slices are cut."""
        stacks = (self.stacks_per_volume, self.stack_size) if "stack" in self.inputs else None
        made = (self.seed, self.planes, self.slices_per_volume, stacks, self.clarity.min_area_mm2)
        # What was vouched for once is looked at again without that.
        return digest("slices", *made, *self.clarity.image_limits, *self.trust)
