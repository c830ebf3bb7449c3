"""What a model sees: slices as images with their markers and letters, and where a structure is in them.

May import ``slices`` and the rooms before it.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.pictures.placement import Placement, placements
    from dataset_builder.pictures.render import draw

__all__ = ["Placement", "draw", "placements"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"draw": "render", "Placement": "placement", "placements": "placement"},
)
