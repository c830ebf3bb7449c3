"""Scans as arrays: NIfTI and gzip reading, label volumes, volumes in RAS+, geometry, measurements, laterality.

May import ``core``, ``files`` and ``vocabulary``.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.imaging.geometry import DisplayTransform
    from dataset_builder.imaging.volume import Volume, read_masks, read_volume, volume_from_arrays

__all__ = ["DisplayTransform", "Volume", "read_masks", "read_volume", "volume_from_arrays"]

__getattr__, __dir__ = handed_on(
    __name__,
    {
        "Volume": "volume",
        "read_volume": "volume",
        "read_masks": "volume",
        "volume_from_arrays": "volume",
        "DisplayTransform": "geometry",
    },
)
