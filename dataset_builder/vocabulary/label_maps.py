"""What the values of known label maps mean: ``label_maps_*.yaml``."""

from collections.abc import Mapping
from functools import cache

from dataset_builder.core.errors import SourceError
from dataset_builder.vocabulary.packaged import packaged_table


def label_map_names() -> tuple[str, ...]:
    """Names of the known label maps."""
    return tuple(_label_maps())


def label_map(name: str) -> dict[int, str]:
    """Canonical name of the structure behind each value of a known label map; of FreeSurfer's, several mean one.

    Raises:
        SourceError: if there is no such map.
    """
    if name not in _label_maps():
        raise SourceError(
            "This label map does not exist.", value=name, remedy=f"Known label maps: {', '.join(label_map_names())}."
        )
    return dict(_label_maps()[name])


@cache
def _label_maps() -> Mapping[str, Mapping[int, str]]:
    return packaged_table("label_maps")
