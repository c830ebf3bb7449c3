"""Where the lesions of a slice lie: in which structure, and with what they can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.hosts import Foci, foci
from dataset_builder.imaging.pieces import Pieces, pieces
from dataset_builder.questions.facts.fact import ROUNDING_MM, Truth
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure


@dataclass(frozen=True, eq=False)
class Lesions:
    """Where lesions lie; n structures.

    Args:
        host: int [n]: row of the structure that a lesion lies in; -1 if none does, and for what is no lesion.
        compared: [n, n]: whether i and j can be compared as any two structures: not a lesion with what it lies in, or
            nearly so, nor two lesions that touch.
        whole: the slice's labels with every lesion counted as part of the structure that it lies in.
    """

    host: npt.NDArray[np.int64]
    compared: Truth
    whole: npt.NDArray

    @classmethod
    def of(
        cls, record: SliceRecord, values: Sequence[int], clarity: ClarityLimits, words: Mapping[str, Structure]
    ) -> "Lesions":
        """Find them.

        Args:
            values: label values of the n structures; one that does not occur lies nowhere.
            words: structures by canonical name.
        """
        host, compared = np.full(len(values), -1), np.ones((len(values),) * 2, bool)
        anatomy, lesions = _kinds(record, words)
        if not lesions:
            return cls(host, compared, record.labels)
        found = foci(record.labels, record.spacing, lesions)
        row = {value: i for i, value in enumerate(values)}
        masks = {row[value]: record.labels == value for value in values if value in lesions}
        focus = {i: _focus(found, mask) for i, mask in masks.items() if mask.any()}
        for i, number in focus.items():
            share = found.border_share[number - 1]
            surrounding = found.host(number, clarity.min_host_share)
            host[i] = row.get(surrounding, -1) if surrounding in anatomy else -1
            for value, j in row.items():
                touched = value < len(share) and share[value] >= clarity.min_touched_share - 1e-9
                if touched or (j != i and focus.get(j) == number):
                    compared[i, j] = compared[j, i] = False
        return cls(host, compared, _whole(record, found, anatomy, clarity))


def _kinds(record: SliceRecord, words: Mapping[str, Structure]) -> tuple[set[int], set[int]]:
    """Label values of anatomy, and of lesions."""
    known = {value: words[name] for value, name in record.names.items() if name in words}
    lesions = {value for value, structure in known.items() if structure.is_lesion}
    return set(known) - lesions, lesions


def _focus(found: Foci, mask: npt.NDArray[np.bool_]) -> int:
    """The focus that most of a lesion is in."""
    return int(np.bincount(found.numbers[mask]).argmax())


def _whole(record: SliceRecord, found: Foci, anatomy: set[int], clarity: ClarityLimits) -> npt.NDArray:
    hosts = [found.host(number + 1, clarity.min_host_share) for number in range(len(found.border_share))]
    values = np.array([0, *(host if host in anatomy else 0 for host in hosts)], record.labels.dtype)
    host_of = values[found.numbers]
    return np.where(host_of > 0, host_of, record.labels)


def can_be_named(record: SliceRecord, value: int, words: Mapping[str, Structure], clarity: ClarityLimits) -> bool:
    """Whether a structure can be called by its name: of several metastases none is *the* metastasis."""
    if not words[record.names[value]].is_lesion:
        return True
    found = pieces(record.labels, record.spacing, [value])
    return is_one_piece(found, clarity)[0]


def is_one_lesion(records: Sequence[SliceRecord], value: int, clarity: ClarityLimits) -> bool:
    """Whether the images of a stack show one lesion: one piece each, without a gap, each over the one before.

    Args:
        records: the slices, in order.
        value: label value of a lesion.
    """
    masks = [record.labels == value for record in records]
    shown = [image for image, mask in enumerate(masks) if mask.any()]
    if not shown or shown != list(range(shown[0], shown[-1] + 1)):
        return False
    if any((masks[one] & masks[other]).sum() == 0 for one, other in pairwise(shown)):
        return False
    return all(is_one_piece(pieces(records[i].labels, records[i].spacing, [value]), clarity)[0] for i in shown)


def is_one_piece(found: Pieces, clarity: ClarityLimits) -> list[bool]:
    """Of each structure whether a marker shows it and nothing else."""
    odd = (found.main_share < clarity.min_main_piece - 1e-9) | (found.stray_mm > clarity.max_stray_mm + ROUNDING_MM)
    return [not is_odd for is_odd in odd.tolist()]
