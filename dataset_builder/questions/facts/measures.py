"""What can be measured in an image, and clearly enough that everyone who measures it gets the same.

All is measured in the image that is shown, in its pixels, which are squares; facts are found in the image as stored
(``ras``), and hold in every convention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from dataset_builder.core.settings import ClarityLimits
from dataset_builder.imaging.body import body_levels, body_mask, reach
from dataset_builder.imaging.diameters import Diameters, Line, angle_between, diameters, length
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES, DisplayTransform
from dataset_builder.imaging.measurements import Floats
from dataset_builder.pictures.placement import Placement, placements
from dataset_builder.questions.facts.directional import R_AXIS
from dataset_builder.questions.facts.fact import Fact, Kind
from dataset_builder.questions.facts.scene import Scene

BODY_LINES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""Where lines through the body are tried, as shares of its extent."""
MAX_WIDTH_DOUBT = 0.08
"""Width and longest chord at right angles to the longest diameter differ by this share at most: one width is meant."""
MAX_DIRECTION_DOUBT = 0.05
"""By this share at most, or by a pixel, the width depends on which of several lines is taken for the longest."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """The structures of a slice that can be measured, in the image as stored: one clear piece each."""

    scene: Scene
    image_size: int

    @property
    def clarity(self) -> ClarityLimits:
        """The margins."""
        return self.scene.clarity

    @cached_property
    def transform(self) -> DisplayTransform:
        """From the slice to the image."""
        record = self.scene.record
        return DisplayTransform(record.shape, record.spacing, "ras", self.image_size)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Canonical names: visible, one piece, larger than some pixels, and without a lesion in it."""
        where = self._where
        return tuple(
            name
            for name in self.scene.names
            if name not in self.scene.scattered | self.scene.with_lesions
            and min(where[name].box[2] - where[name].box[0], where[name].box[3] - where[name].box[1]) > 1
        )

    @cached_property
    def _where(self) -> dict[str, Placement]:
        return dict(placements(self.scene.record, "ras", self.image_size))

    @cached_property
    def _shown(self) -> npt.NDArray:
        return self.transform.show_labels(self.scene.record.labels)

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """A structure's pixels [S, S]."""
        return np.asarray(self._shown == self.scene.values[self.scene.names.index(name)])

    @cached_property
    def diameters(self) -> dict[str, Diameters]:
        """Of the structures that have a longest diameter and a width that leave no doubt."""
        found = {name: diameters(self.mask(name)) for name in self.names}
        return {name: shape for name, shape in found.items() if shape.convexity >= self.clarity.min_convexity}

    @cached_property
    def centres(self) -> Floats:
        """Centroid, centre of the box and point of each structure in pixels [n, 3, 2]."""
        found = np.zeros((len(self.names), 3, 2))
        for i, name in enumerate(self.names):
            rows, columns = np.nonzero(self.mask(name))
            x0, y0, x1, y1 = self._where[name].box
            x, y = self._where[name].point
            found[i] = (columns.mean() + 0.5, rows.mean() + 0.5), ((x0 + x1) / 2, (y0 + y1) / 2), (x + 0.5, y + 0.5)
        return found

    def is_long(self, pixels: float) -> bool:
        """Whether a length in pixels is long enough to be measured."""
        mm = pixels * self.transform.pixel_mm
        return bool(pixels >= self.clarity.min_length_pixels and mm >= self.clarity.min_length_mm)


def find_measures(scene: Scene, image_size: int) -> list[Fact]:
    """What can be measured in a slice, in a fixed order: a pure function of the slice, limits, seed and image size.

    ``structures`` are those that are marked, or (``angle``) whose longest diameters are drawn; ``axis`` and ``options``
    of ``body thickness`` are the axis along which the lines run and their indices along the other one.
    """
    shapes = Shapes(scene, image_size)
    return [*distances(shapes), *longest(shapes), *perpendicular(shapes), *angles(shapes), *thicknesses(shapes)]


def distances(shapes: Shapes) -> Iterator[Fact]:
    """Between the centres of two structures; and of three, A to B against A to C. At most ``max_facts`` of each."""
    names, draw = shapes.names, shapes.scene.random("distance")
    apart = np.linalg.norm(shapes.centres[:, None] - shapes.centres[None], axis=3).min(axis=2, initial=np.inf)
    far = [(i, j) for i, j in combinations(range(len(names)), 2) if shapes.is_long(apart[i, j])]
    for i, j in sorted(draw.sample(far, min(len(far), shapes.clarity.max_facts))):
        pair = (i, j) if draw.random() < 0.5 else (j, i)
        yield _measure("distance", shapes, [names[k] for k in pair], apart[i, j])
    partners = {i: [j for j in range(len(names)) if shapes.is_long(apart[i, j])] for i in range(len(names))}
    triples = [(i, *pair) for i, others in partners.items() for pair in combinations(others, 2)]
    for i, j, k in sorted(draw.sample(triples, min(len(triples), shapes.clarity.max_facts))):
        ends = (j, k) if draw.random() < 0.5 else (k, j)
        yield _measure("distance", shapes, [names[each] for each in (i, *ends)], min(apart[i, j], apart[i, k]))


def longest(shapes: Shapes) -> Iterator[Fact]:
    """The longest diameter of a structure; and of two structures, that of A against that of B."""
    long = {name: shape.longest for name, shape in shapes.diameters.items() if shapes.is_long(shape.longest)}
    for name, pixels in long.items():
        yield _measure("longest diameter", shapes, [name], pixels)
    draw = shapes.scene.random("longest diameter")
    pairs = list(combinations(long, 2))
    for pair in sorted(draw.sample(pairs, min(len(pairs), shapes.clarity.max_facts))):
        ordered = pair if draw.random() < 0.5 else pair[::-1]
        yield _measure("longest diameter", shapes, ordered, min(long[name] for name in pair))


def perpendicular(shapes: Shapes) -> Iterator[Fact]:
    """The width of a structure at right angles to its longest diameter, if that has a clear direction."""
    for name, shape in shapes.diameters.items():
        is_long = shape.elongation >= shapes.clarity.min_elongation and shapes.is_long(shape.width)
        if is_long and has_one_width(shape):
            yield _measure("perpendicular diameter", shapes, [name], shape.width)


def has_one_width(shape: Diameters) -> bool:
    """Whether everyone who measures the width at right angles to the longest diameter gets the same."""
    doubt = max(abs(width - shape.width) for width in shape.widths)
    is_one_direction = doubt <= max(1.0, MAX_DIRECTION_DOUBT * shape.width)
    return is_one_direction and shape.chord >= (1 - MAX_WIDTH_DOUBT) * shape.width


def angles(shapes: Shapes) -> Iterator[Fact]:
    """Between the longest diameters of two long structures, which are drawn as lines."""
    lines = {
        name: axis_line(shape, shapes.image_size)
        for name, shape in shapes.diameters.items()
        if shape.elongation >= shapes.clarity.min_elongation and shapes.is_long(shape.longest)
    }
    draw = shapes.scene.random("angle")
    for pair in combinations(lines, 2):
        if angle_between(*(lines[name] for name in pair)) >= shapes.clarity.min_angle_deg:
            ordered = pair if draw.random() < 0.5 else pair[::-1]
            yield _measure("angle", shapes, ordered, min(length(lines[name]) for name in pair))


def axis_line(shape: Diameters, image_size: int) -> Line:
    """The longest diameter as a line between pixels: the corners are drawn half a pixel inward."""
    ends = np.array(shape.ends)
    toward = np.sign(ends.mean(axis=0) - ends)
    inward = np.floor(ends + 0.5 * toward).astype(int)
    (x0, y0), (x1, y1) = np.clip(inward, 0, image_size - 1).tolist()
    return (x0, y0), (x1, y1)


def thicknesses(shapes: Shapes) -> Iterator[Fact]:
    """How thick the body is along lines across the slice; and along one line against another."""
    scene, record = shapes.scene, shapes.scene.record
    masks = [body_mask(record.image, level) for level in body_levels(record.modality, record.intensity_range)]
    tissue = record.image > body_levels(record.modality, record.intensity_range)[1]
    if not all(mask.any() for mask in masks):
        return
    found: dict[str, list[tuple[int, float]]] = {}
    # Arms at the sides may touch the trunk or not: across both it is not clear what is meant.
    has_arms = any(scene.vocabulary[name].limb == "upper" for name in scene.present_known)
    for along in (0, 1):
        if has_arms and IN_PLANE_AXES[record.plane][along] == R_AXIS:
            continue
        across = 1 - along
        low, high = AXIS_DIRECTIONS[IN_PLANE_AXES[record.plane][along]]
        extent = reach(np.asarray(masks[1].any(axis=along)))
        assert extent is not None
        for share in BODY_LINES:
            index = int(extent[0] + share * (extent[1] - extent[0]))
            mm = _thickness([np.asarray(mask.take(index, axis=across)) for mask in (*masks, tissue)], shapes, along)
            if mm and shapes.is_long(mm / shapes.transform.pixel_mm):
                found.setdefault(f"{high}_{low}", []).append((index, mm))
    for axis, lines in found.items():
        for index, mm in lines:
            yield _measure("body thickness", shapes, [], mm / shapes.transform.pixel_mm, axis, (str(index),))
        for (one, first), (other, second) in combinations(lines, 2):
            if max(first, second) < shapes.clarity.min_largest_ratio * min(first, second):
                continue  # next to each other, and equal to the eye
            indices = (
                (str(one), str(other))
                if shapes.scene.random(f"{axis} {one} {other}").random() < 0.5
                else (
                    str(other),
                    str(one),
                )
            )
            yield _measure("body thickness", shapes, [], min(first, second) / shapes.transform.pixel_mm, axis, indices)


def _thickness(lines: list[npt.NDArray[np.bool_]], shapes: Shapes, along: int) -> float:
    """Thickness of the body along a line in mm; 0 if it is not clear.

    Args:
        lines: the body at the lowest, the middle and the highest level, and all that is not air at the middle one.
        along: the in-plane axis that the line runs along.
    """
    step = shapes.scene.record.spacing[along]
    ends = [reach(line) for line in lines]
    if any(end is None for end in ends):
        return 0.0
    low, middle, high, everything = (end for end in ends if end is not None)
    slack = max(abs(one - other) for end in (low, high) for one, other in zip(end, middle, strict=True)) * step
    room = min(middle[0], len(lines[1]) - middle[1]) * step
    clear = slack <= shapes.clarity.max_body_slack_mm and room >= shapes.clarity.min_border_mm and everything == middle
    return (middle[1] - middle[0]) * step if clear else 0.0


def _measure(
    kind: Kind,
    shapes: Shapes,
    names: list[str] | tuple[str, ...],
    pixels: float,
    axis: str | None = None,
    options: tuple[str, ...] = (),
) -> Fact:
    mm = float(pixels * shapes.transform.pixel_mm)
    return Fact("relational", kind, axis, tuple(names), kind, (), "", options, mm)
