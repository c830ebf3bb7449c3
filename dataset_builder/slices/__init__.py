"""Choosing slices and stacks of a volume, and the slice store that keeps them.

May import ``dataset`` and the rooms before it.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.slices.selection import SliceRecord
    from dataset_builder.slices.store import StoredVolume, store_volume, volumes_in

__all__ = ["SliceRecord", "StoredVolume", "store_volume", "volumes_in"]

__getattr__, __dir__ = handed_on(
    __name__,
    {"SliceRecord": "selection", "StoredVolume": "store", "store_volume": "store", "volumes_in": "store"},
)
