"""What could be said of places and numbers without looking: blind baselines for questions without options.

``mean`` says for a box (or a point) the mean box of the structure (or its centre) in the same kind of image of the
other volumes, for a number the mean of that measurement there; ``random`` draws a box. Of a stack both say the image
that it is in on average in the other volumes. They are scored as models are: a box is right if it shares at least half
of the joint area, a point if it lies on the structure, a number if it is within its tolerance, and nothing is right in
a wrong image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset_builder.check.items import Item, group
from dataset_builder.check.statistics import Share, accuracy
from dataset_builder.dataset.priors import COLUMNS, box_priors, image_priors, number_priors, random_box
from dataset_builder.imaging.masks import decode_mask

RIGHT_OVERLAP = 0.5
BASELINES = ("mean", "random")

Box = Sequence[float]


@dataclass(frozen=True)
class PlacePrior:
    """What the blind baselines get in questions of one kind.

    Args:
        name: modality and answer type or measurement.
        rows: how many.
        overlap: mean overlap (shared area / joint area) of the boxes of ``mean``; ``None`` for points and numbers.
        baselines: share of right answers of each that says something.
    """

    name: str
    rows: int
    overlap: float | None
    baselines: dict[str, Share]


def place_priors(items: Sequence[Item]) -> list[PlacePrior]:
    """Score the baselines on rows without options."""
    rows = [item for item in items if not item.is_choice]
    described = [{name: getattr(item, name) for name in COLUMNS} for item in rows]
    boxes, images, numbers = box_priors(described), image_priors(described), number_priors(described)
    said = list(zip(rows, boxes, images, numbers, strict=True))
    found = []
    for name, members in sorted(group((_kind(each[0]), each) for each in said).items()):
        credits: dict[str, list[tuple[float, str]]] = {baseline: [] for baseline in BASELINES}
        overlaps = []
        for item, box, image, number in members:
            volume = "/".join(item.volume)
            if item.answer_type == "number":
                if number is not None:
                    credits["mean"].append((float(abs(number - (item.value or 0)) <= (item.tolerance or 0)), volume))
                continue
            there = item.answer_image is None or (image is not None and round(image) == item.answer_image)
            if box is not None:
                overlaps.append(there * overlap(box, item.boxes[0]))
                credits["mean"].append((there * _credit(item, box), volume))
            height, width = item.masks[0]["size"]
            credits["random"].append((there * _credit(item, random_box(item.id, width, height)), volume))
        shares = {
            baseline: _share([credit for credit, _ in of], [volume for _, volume in of])
            for baseline, of in credits.items()
            if of
        }
        is_box = members[0][0].answer_type == "box"
        mean_overlap = float(np.mean(overlaps)) if overlaps and is_box else None
        found.append(PlacePrior(name, len(members), mean_overlap, shares))
    return found


def _share(credit: Sequence[float], volumes: Sequence[str]) -> Share:
    """A share of right answers with its standard error; there is no chance to compare it with."""
    return accuracy(credit, np.full(len(credit), np.mean(credit)), volumes)


def _kind(item: Item) -> str:
    what = item.relation if item.answer_type == "number" else item.answer_type
    return f"{item.modality}, {what}"


def _credit(item: Item, box: Box) -> float:
    """Whether a box, or for a point its centre, is right."""
    if item.answer_type == "box":
        return float(overlap(box, item.boxes[0]) >= RIGHT_OVERLAP)
    mask = decode_mask(item.masks[0])
    x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
    return float(0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x])


def overlap(one: Box, other: Box) -> float:
    """Shared area of two boxes / their joint area."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, wide) * max(0.0, high)
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(shared / (sum(areas) - shared))
