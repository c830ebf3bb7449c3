"""What the values of known label maps mean: ``label_maps.yaml``."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from dataset_builder.core.errors import SourceError
from dataset_builder.files.strict_text import load_yaml


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
    text = resources.files(__package__).joinpath("label_maps.yaml").read_text(encoding="utf-8")
    return load_yaml(text)
