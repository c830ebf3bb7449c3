"""Mixtures of questions by name, for ``mis-ground build --preset``: they hold where no option says otherwise."""

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
        "answer_types": ("choice",),
    },
}


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
    return {**options, **{key: value for key, value in PRESETS[name].items() if key not in given}}
