"""Lesions in a label map, by the audit's own way: what surrounds them, and where organs are with their lesions.

A lesion's voxels are cut out of its organ's label. The pixels that touch a lesion say what it lies in; here they are
counted, where the builder measures the length of borders.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.check.maps import Map
from dataset_builder.check.phrases import is_lesion
from dataset_builder.vocabulary import Structure

MIN_SURROUNDING = 0.35
"""Share of the pixels around a lesion that are of its organ; the builder asks for half of the border."""
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

Centre = tuple[float, float]


def lesions_of(names: Collection[str], words: Mapping[str, Structure]) -> frozenset[str]:
    """Those of the structures that are lesions."""
    return frozenset(name for name in names if is_lesion(name, words.get(name)))


@lru_cache(maxsize=4)
def surrounding(here: Map, lesions: frozenset[str]) -> list[tuple[npt.NDArray[np.bool_], dict[str, float]]]:
    """Each focus of lesions, and the share of the pixels around it that each structure has."""
    inside = np.isin(here.labels, [here.values[name] for name in lesions if name in here.values]).astype(np.uint8)
    count, numbers = cv2.connectedComponents(inside, connectivity=8)
    called = {value: name for name, value in here.values.items()}
    found = []
    for number in range(1, count):
        focus = numbers == number
        around = (cv2.dilate(focus.astype(np.uint8), CROSS) > 0) & (inside == 0)
        values, counts = np.unique(here.labels[around], return_counts=True)
        total = max(1, int(counts.sum()))
        shares = {called[v]: c / total for v, c in zip(values.tolist(), counts.tolist(), strict=True) if v in called}
        found.append((focus, shares))
    return found


def shares_around(here: Map, name: str, lesions: frozenset[str]) -> dict[str, float]:
    """What surrounds the focus that most of a lesion is in."""
    mask = here.of(name)
    return max(surrounding(here, lesions), key=lambda focus: int((focus[0] & mask).sum()))[1]


def host_of(here: Map, name: str, lesions: frozenset[str]) -> str | None:
    """The structure that a lesion lies in; ``None`` if nothing labelled surrounds it."""
    shares = shares_around(here, name, lesions)
    best = max(shares, key=lambda other: shares[other], default=None)
    return best if best is not None and shares[best] >= MIN_SURROUNDING else None


def centre_of(here: Map, name: str, lesions: frozenset[str]) -> Centre:
    """The centre of a structure with the lesions that lie in it, in mm from the corner of the stored slice."""
    whole = here.of(name).copy()
    for focus, shares in surrounding(here, lesions):
        if shares and max(shares, key=lambda other: shares[other]) == name and shares[name] >= MIN_SURROUNDING:
            whole |= focus
    rows, columns = np.nonzero(whole)
    return (float(columns.mean()) + 0.5) * here.spacing[0], (float(rows.mean()) + 0.5) * here.spacing[1]


def centres(here: Map, names: Collection[str], words: Mapping[str, Structure]) -> list[Centre]:
    """Centres of the structures of a row: of a lesion and the organ that it lies in, the organ's with the lesion."""
    lesions = lesions_of(here.structures, words)
    asked = [name for name in names if name in lesions]
    hosts = {host_of(here, name, lesions) for name in asked}
    return [centre_of(here, name, lesions) if name in hosts else here.structures[name].centre for name in names]
