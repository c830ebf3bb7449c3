"""Masks as COCO's run-length encoding: what the column ``masks`` holds, and ``pycocotools.mask.decode`` reads."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = Mapping[str, Any]
"""``{"size": [height, width], "counts": text}``: runs down the columns, off and on in turn, compressed."""


def encode_mask(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """A mask [height, width] in run-length encoding."""
    from pycocotools import mask as coco  # only where masks are needed

    found = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode("ascii")}


def decode_mask(encoded: Mask) -> npt.NDArray[np.bool_]:
    """The mask [height, width] of a run-length encoding."""
    from pycocotools import mask as coco

    height, width = encoded["size"]
    with warnings.catch_warnings():  # pycocotools 2.0.11 hands NumPy 2 an array in a form that it deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        mask = coco.decode({"size": [int(height), int(width)], "counts": str(encoded["counts"]).encode("ascii")})
    return np.asarray(mask, dtype=np.bool_)
