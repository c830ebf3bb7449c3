"""Settings by name, for ``mis-ground build --size`` and ``--preset``: they hold where no option says otherwise."""

from collections.abc import Collection, Mapping
from typing import Any

from dataset_builder.core.errors import BuildError

PUBLISHED_VOLUMES, PUBLISHED_SLICES, PUBLISHED_QUESTIONS = 1160, 2320, 33_864
"""Size of the published benchmark (arXiv 2603.14579)."""
PUBLISHED_CT_SHARE = 0.84
"""About this share of its volumes are CT."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Questions across slices and on blank canvases come on top: the paper does not say how many of its questions are
    # across slices. Rotated images, and answers other than options, are not
    # part of it.
    "paper": {
        "slices_per_volume": PUBLISHED_SLICES // PUBLISHED_VOLUMES,
        "questions_per_volume": PUBLISHED_QUESTIONS // PUBLISHED_VOLUMES,
        "ct_share": PUBLISHED_CT_SHARE,
        "views": ("plain",),
        "statements": ("edges",),
        "option_forms": ("listed",),
        "answer_types": ("choice",),
    },
}

SIZES: Mapping[str, Mapping[str, Any]] = {
    # Every volume has a slice in each plane and enough questions for all cells to choose from. Of each cell 8 questions
    # remain: two facts, each as a pair in two variants that differ in one factor.
    "small": {
        "volumes_per_modality": 24,
        "slices_per_volume": 3,
        "questions_per_volume": 252,
        "stacks_per_volume": 3,
        "stack_questions_per_volume": 108,
        "questions_per_cell": 8,
    },
    "paper": PRESETS["paper"],
    # Two slices and one stack along each plane, and three times the default questions about them, of all kinds.
    "full": {
        "slices_per_volume": 6,
        "questions_per_volume": 90,
        "stacks_per_volume": 3,
        "stack_questions_per_volume": 72,
        "answer_types": ("choice", "point", "box", "number"),
        "locate_questions_per_volume": 48,
        "measure_questions_per_volume": 36,
    },
}
"""From an answer within minutes to all that a study wants; docs/building.md states how many rows each makes."""


def with_preset(name: str | None, options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Settings by name: what was given counts, then the preset, then the defaults.

    Args:
        name: of the preset; ``None`` for none.
        options: every setting by name, given or default.
        given: names of those that were given.

    Raises:
        BuildError: if the preset does not exist.
    """
    if name is None:
        return dict(options)
    if name not in PRESETS:
        raise BuildError("This preset does not exist.", value=name, remedy=f"Presets: {', '.join(PRESETS)}.")
    return _filled(PRESETS[name], options, given)


def with_size(name: str | None, options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """As :func:`with_preset`, of a size: one of ``SIZES``."""
    if name is None:
        return dict(options)
    if name not in SIZES:
        raise BuildError("This size does not exist.", value=name, remedy=f"Sizes: {', '.join(SIZES)}.")
    return _filled(SIZES[name], options, given)


def _filled(named: Mapping[str, Any], options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    return {**options, **{key: value for key, value in named.items() if key not in given}}
