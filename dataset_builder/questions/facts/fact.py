"""What a fact is; :class:`dataset_builder.core.settings.ClarityLimits` says how clear it must be to be asked."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Terminology

Truth: TypeAlias = npt.NDArray[np.bool_]
"""[n, n]: whether something holds of structure i to structure j."""

ROUNDING_MM = 1e-6
"""Distances are products of indices and spacings; what equals a limit must not fail it by a rounding error."""

Kind = Literal[
    "naming",
    "visible",
    "direction",
    "adjacency",
    "between",
    "nearer",
    "size",
    "side",
    "enclosure",
    # about lesions
    "belonging",
    "inside",
    "centre",
    "body_side",
    "image_half",
    # of stacks
    "largest",
    "low_end",
    "high_end",
    "order",
    # of questions for a point or a box
    "place",
    "place by side",
    "place by size",
    "place beside",
    "place by neighbour",
    "place in stack",
    # of questions for a number
    "distance",
    "longest diameter",
    "perpendicular diameter",
    "body thickness",
    "angle",
]


@dataclass(frozen=True)
class Fact:
    """One thing that is true of a slice, and the paired one whose answer is the opposite.

    Args:
        axis: for the kind ``direction`` one of ``right_left``, ``anterior_posterior``, ``superior_inferior``,
            ``medial_lateral``, ``proximal_distal``; as well for ``centre`` and ``image_half``; else ``None``.
        structures: canonical names, A first.
        relation: clinical term, what A is to B (``between``, ``nearer``: to B and C); ``naming`` and ``visible``:
            the canonical name asked for; ``largest``, ``low_end`` and ``high_end``: the position in the stack, counted
            from 0 in ascending order, where A is largest, or lies at the low or high end of what is seen of it;
            ``order``: the direction in which A, B and C, brought in order, follow each other.
        inverse_structures, inverse_relation: of the paired item. A and B swapped; where a swap would not change the
            answer (``adjacency``, ``side``, ``inside``), A with another structure; ``naming``, ``belonging``: another
            structure with the same four options, as ``largest``, ``low_end`` and ``high_end``; ``body_side``,
            ``image_half``: another structure, on the other side; ``visible``: none, ``()`` and ``""``.
        options: ``naming``, ``belonging`` and ``visible``: four canonical names, sorted; ``largest``, ``low_end``,
            ``high_end``: four positions in the stack, ascending; ``order``: the three structures from the low end of
            the axis to the high end; else ``()``.
        margin_mm: how clear the less clear item of the pair is. Direction: distance of the centroids along the axis;
            between: the lesser of the two; nearer: the lesser difference of distances; size: difference of the
            areas' square roots; adjacency: the lesser of shared border and distance; side: least distance of a
            centroid from the midline; enclosure: least thickness around the inner structure; naming: least depth of the
            marked point; visible: square root of the area; largest: as size; low_end, high_end: as visible; order: the
            lesser distance of neighbours; place: least depth of the structure's point; place by ...: as the relation by
            which it is told; place in stack: as largest; of numbers the shortest length that was measured; belonging:
            as naming; inside: distance from what it does not lie in; centre: as direction; body_side, image_half: least
            distance of a centroid from the midline, or from the middle of the image.
        markable: whether each structure is one piece, so that a marker shows it and nothing else.
        nameable: whether it can be asked by name: not if the names alone say the answer.
    """

    terminology: Terminology
    kind: Kind
    axis: str | None
    structures: tuple[str, ...]
    relation: str
    inverse_structures: tuple[str, ...]
    inverse_relation: str
    options: tuple[str, ...]
    margin_mm: float
    markable: bool = field(default=True, repr=False)
    nameable: bool = field(default=True, repr=False)


def apart_enough(fact: Fact, close: Collection[Collection[str]]) -> Fact:
    """The fact, not to be asked with markers if those of two structures of a question could not be told apart."""
    if any(set(pair) <= set(names) for pair in close for names in (fact.structures, fact.inverse_structures)):
        return replace(fact, markable=False)
    return fact


def without_markers(fact: Fact, scattered: Collection[str]) -> Fact:
    """The fact, not to be asked with markers if one of its structures is scattered."""
    if scattered and not {*fact.structures, *fact.inverse_structures}.isdisjoint(scattered):
        return replace(fact, markable=False)
    return fact
