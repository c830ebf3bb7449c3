"""MIS-Ground's data set from Python: open a source, build, check, push.

    from dataset_builder import Settings, build, check_dataset, open_source

    summary = build([open_source("phantom:2")], "mis-ground", Settings(slices_per_volume=4))
    audit = check_dataset(summary.out)

What a name needs is imported when it is first used.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.building.builder import BuildSummary, build
    from dataset_builder.building.datasets_builder import MISGround
    from dataset_builder.building.recipe import rebuild, write_recipe
    from dataset_builder.check import Audit, check_dataset
    from dataset_builder.core.errors import MISGroundError
    from dataset_builder.core.settings import ClarityLimits, Settings
    from dataset_builder.gallery.gallery import write_gallery
    from dataset_builder.hub.push import Pushed, push
    from dataset_builder.imaging.volume import Volume
    from dataset_builder.sources import open_source
    from dataset_builder.sources.base import Case, Source

__all__ = [
    "Audit",
    "BuildSummary",
    "Case",
    "ClarityLimits",
    "MISGround",
    "MISGroundError",
    "Pushed",
    "Settings",
    "Source",
    "Volume",
    "build",
    "check_dataset",
    "open_source",
    "push",
    "rebuild",
    "write_gallery",
    "write_recipe",
]

__getattr__, __dir__ = handed_on(
    __name__,
    {
        "Audit": "check",
        "BuildSummary": "building.builder",
        "Case": "sources.base",
        "ClarityLimits": "core.settings",
        "MISGround": "building.datasets_builder",
        "MISGroundError": "core.errors",
        "Pushed": "hub.push",
        "Settings": "core.settings",
        "Source": "sources.base",
        "Volume": "imaging.volume",
        "build": "building.builder",
        "check_dataset": "check",
        "open_source": "sources",
        "push": "hub.push",
        "rebuild": "building.recipe",
        "write_gallery": "gallery.gallery",
        "write_recipe": "building.recipe",
    },
)
