"""A page with examples of a finished data set, and what all pages of this project share.

May import ``building`` and the rooms before it; not ``hub`` or ``check``.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.gallery.gallery import write_gallery

__all__ = ["write_gallery"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"write_gallery": "gallery"},
)
