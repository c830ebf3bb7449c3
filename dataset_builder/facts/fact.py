"""What a fact is, and how clear it must be to be asked."""

from dataclasses import dataclass, fields
from typing import Literal

from dataset_builder.errors import BuildError
from dataset_builder.factors import Terminology
from dataset_builder.slices import VISIBLE_MM2

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
    # of stacks
    "largest",
    "low_end",
    "high_end",
    "order",
]


@dataclass(frozen=True)
class Fairness:
    """The margins that a fact must keep, so that a careful reader of the picture gets it right. All in one place.

    Args:
        min_area_mm2: a structure is visible from this area on.
        min_gap_mm: least distance of centroids along the asked axis, least difference of distances, and least distance
            of a centroid from the midline.
        min_marker_gap_mm: by this much at least, points and centres of boxes must say the same as the masks do.
        min_ratio: of areas, and of distances.
        min_contact_mm: structures are adjacent if their pixels share at least so much of their borders.
        apart_mm: structures are apart from this distance between their nearest pixels on.
        min_side_share: a structure lies on one side of the midline with at least this share of its area.
        min_between_deg: A is between B and C if it sees them at least this angle apart.
        min_marker_between_deg: the same for points and centres of boxes.
        max_box_overlap: a structure is not offered as an answer if its box covers the marked one's by more (shared area
            / joint area).
        max_facts: most facts of three structures of one kind in a slice; which, the seed decides.
    """

    min_area_mm2: float = VISIBLE_MM2
    min_gap_mm: float = 8.0
    min_marker_gap_mm: float = 2.0
    min_ratio: float = 1.5
    min_contact_mm: float = 5.0
    apart_mm: float = 15.0
    min_side_share: float = 0.9
    min_between_deg: float = 135.0
    min_marker_between_deg: float = 120.0
    max_box_overlap: float = 0.5
    max_facts: int = 200

    def __post_init__(self) -> None:
        limits = {
            "min_ratio": (1.0, float("inf")),
            "min_side_share": (0.5, 1.0),
            "min_between_deg": (90.0, 180.0),
            "min_marker_between_deg": (90.0, 180.0),
        }
        for field in fields(self):
            low, high = limits.get(field.name, (0.0, float("inf")))
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise BuildError(
                    f"The fairness limit '{field.name}' must lie between {low:g} and {high:g}.", value=value
                )


@dataclass(frozen=True)
class Fact:
    """One thing that is true of a slice, and the paired one whose answer is the opposite.

    Args:
        axis: for the kind ``direction`` one of ``right_left``, ``anterior_posterior``, ``superior_inferior``,
            ``medial_lateral``, ``proximal_distal``; else ``None``.
        structures: canonical names, A first.
        relation: clinical term, what A is to B (``between``, ``nearer``: to B and C); ``naming`` and ``visible``:
            the canonical name asked for; ``largest``, ``low_end`` and ``high_end``: the position in the stack, counted
            from 0 in ascending order, where A is largest, or lies at the low or high end of what is seen of it;
            ``order``: the direction in which A, B and C, brought in order, follow each other.
        inverse_structures, inverse_relation: of the paired item. A and B swapped; where a swap would not change the
            answer (``adjacency``, ``side``), A with another structure; ``naming``: another structure with the same four
            options, as ``largest``, ``low_end`` and ``high_end``; ``visible``: none, ``()`` and ``""``.
        options: ``naming`` and ``visible``: four canonical names, sorted; ``largest``, ``low_end``, ``high_end``: four
            positions in the stack, ascending; ``order``: the three structures from the low end of the axis to the high
            end; else ``()``.
        margin_mm: how clear the less clear item of the pair is. Direction: distance of the centroids along the axis;
            between: the lesser of the two; nearer: the lesser difference of distances; size: difference of the
            areas' square roots; adjacency: the lesser of shared border and distance; side: least distance of a
            centroid from the midline; enclosure: least thickness around the inner structure; naming: least depth of the
            marked point; visible: square root of the area; largest: as size; low_end, high_end: as visible; order: the
            lesser distance of neighbours.
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
