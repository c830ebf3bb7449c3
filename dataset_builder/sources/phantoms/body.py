"""Phantoms: an image, its labels and where they lie, and the same body as another scanner would have stored it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Modality, Side
from dataset_builder.sources.phantoms.anatomy import knee as knees
from dataset_builder.sources.phantoms.anatomy.individual import draw_individual, field_of_view
from dataset_builder.sources.phantoms.anatomy.torso import paint_torso
from dataset_builder.sources.phantoms.canvas import Canvas, Contrast, Warp
from dataset_builder.vocabulary import label_map

Coverage = Literal["trunk", "chest", "abdomen", "pelvis", "chest_abdomen", "abdomen_pelvis"]
COVERAGES: tuple[Coverage, ...] = get_args(Coverage)

ORIENTATIONS: tuple[str, ...] = tuple(
    "".join(letters) for axes in permutations(("RL", "AP", "SI")) for letters in product(*axes)
)
"""The 48 ways to store a volume; each letter is where that array axis leads: RAS, LPS, AIR ..."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic scan with its ground truth.

    Args:
        image: int16[I, J, K]; Hounsfield units for CT, signal from 0 up for MR.
        labels: uint8[I, J, K]; 0 is background.
        names: label value -> canonical structure name, for all structures that this kind of phantom labels.
        affine: float64[4, 4], index -> RAS+ world in mm.
        modality: ``ct`` or ``mri``.
        side: of a knee.
    """

    image: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    names: dict[int, str]
    affine: npt.NDArray[np.float64]
    modality: Modality
    side: Side | None = None

    @property
    def spacing(self) -> Spacing:
        """Voxel size in mm along the array's axes."""
        return tuple(float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))  # type: ignore[return-value]

    def value(self, structure: str) -> int:
        """The label value of a structure.

        Raises:
            KeyError: if this kind of phantom does not label it.
        """
        for value, name in self.names.items():
            if name == structure:
                return value
        raise KeyError(structure)


def torso(
    seed: int,
    modality: Modality = "ct",
    *,
    spacing: float | Spacing = 3.0,
    coverage: Coverage = "trunk",
    shape: tuple[int, int, int] | None = None,
) -> Phantom:
    """A torso, RAS+, from the upper thighs to the neck unless stated otherwise.

    CT has TotalSegmentator's CT structures (without the ribs, which are drawn but not labelled), MR has those of its MR
    task: lungs and vertebrae as wholes, discs.

    Args:
        seed: the individual; the same seed is the same body at any spacing, coverage and modality.
        modality: ``ct`` (with a random dose of contrast agent) or ``mri`` (T1 or T2 weighted, by the seed).
        spacing: mm, one for all axes or one an axis.
        coverage: part of the trunk that is scanned; labels outside it stay in ``names``.
        shape: (I, J, K) voxels, centred on what is covered; what the spacing needs for all of it if not given.

    Raises:
        ValueError: for a spacing that is not positive or an unknown coverage.
    """
    steps = _steps(spacing)
    if coverage not in COVERAGES:
        raise ValueError(f"coverage must be one of {', '.join(COVERAGES)}, not {coverage!r}")
    individual = draw_individual(_random(seed, "torso"))
    canvas, affine = _canvas(*field_of_view(individual, coverage), steps, shape, individual.scale, individual.warp)
    paint_torso(canvas, individual, couch=modality == "ct")
    look = _random(seed, "look", modality)
    agent = float(look.uniform(0, 1))
    contrast: Contrast = "ct" if modality == "ct" else ("t1", "t2")[int(look.integers(2))]
    image = canvas.scan(contrast, look, agent=agent)
    labels, names = _publish(
        canvas, label_map("totalsegmentator_v2_ct" if modality == "ct" else "totalsegmentator_mri")
    )
    return Phantom(image, labels, names, affine, modality)


def knee(
    seed: int,
    side: Side,
    *,
    spacing: float | Spacing = 1.0,
    shape: tuple[int, int, int] | None = None,
) -> Phantom:
    """A knee in MR (DESS contrast), RAS+, at its place beside the body's midline.

    Args:
        seed: the individual; left and right knee of one seed are mirror images but for the noise.
        side: the patient's side.
        spacing, shape: as for :func:`torso`.

    Raises:
        ValueError: for a spacing that is not positive or a side other than left and right.
    """
    if side not in get_args(Side):
        raise ValueError(f"side must be left or right, not {side!r}")
    individual = knees.draw_individual(_random(seed, "knee"))
    if side == "left":
        individual = replace(individual, warp=individual.warp.mirrored())
    scale = np.asarray(individual.scale)
    low, high = np.asarray(knees.LOW) * scale, np.asarray(knees.HIGH) * scale
    canvas, affine = _canvas(tuple(low), tuple(high), _steps(spacing), shape, individual.scale, individual.warp)
    knees.paint_knee(canvas, individual, side)
    image = canvas.scan("dess", _random(seed, "look", side))
    affine[0, 3] += knees.FROM_MIDLINE * (1 if side == "right" else -1)
    labels, names = _publish(canvas, None)
    return Phantom(image, labels, names, affine, "mri", side)


def store_as(phantom: Phantom, orientation: str, rotation_deg: Sequence[float] = (0.0, 0.0, 0.0)) -> Phantom:
    """The same body as a scanner with other habits would store it; no voxel's value changes.

    Args:
        phantom: as made here, or as stored already.
        orientation: where each array axis leads, one of ``ORIENTATIONS``: ``LPS``, ``AIR`` ...
        rotation_deg: turns of the whole body in the scanner about the world's x, y and z axis through the volume's
            centre, in this order: slices that lie obliquely.

    Raises:
        ValueError: for an unknown orientation.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation must be three letters, one each of R/L, A/P and S/I, not {orientation!r}")
    leads = _leads(phantom.affine)
    order, flips = [], []
    for letter in orientation:
        axis = next(i for i, lead in enumerate(leads) if letter in _opposites(lead))
        order.append(axis)
        flips.append(leads[axis] != letter)
    stored_to_old = np.eye(4)
    stored_to_old[:3, :3] = 0
    turn = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        stored_to_old[old, new] = -1 if flip else 1
        stored_to_old[old, 3] = phantom.image.shape[old] - 1 if flip else 0
    affine = phantom.affine @ stored_to_old
    image = np.ascontiguousarray(phantom.image.transpose(order)[turn])
    labels = np.ascontiguousarray(phantom.labels.transpose(order)[turn])
    if any(rotation_deg):
        centre = (affine @ np.append((np.array(image.shape) - 1) / 2, 1))[:3]
        rotation = np.eye(4)
        rotation[:3, :3] = _rotation(rotation_deg)
        rotation[:3, 3] = centre - rotation[:3, :3] @ centre
        affine = rotation @ affine
    return replace(phantom, image=image, labels=labels, affine=affine)


def _leads(affine: npt.NDArray[np.float64]) -> str:
    """Where each array axis leads, by its longest world component."""
    letters = []
    for direction in affine[:3, :3].T:
        axis = int(np.argmax(np.abs(direction)))
        letters.append("RAS"[axis] if direction[axis] > 0 else "LPI"[axis])
    return "".join(letters)


def _opposites(letter: str) -> str:
    return next(pair for pair in ("RL", "AP", "SI") if letter in pair)


def _rotation(degrees: Sequence[float]) -> npt.NDArray[np.float64]:
    turned = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def _random(seed: int, *purpose: str) -> np.random.Generator:
    """A stream of its own for each purpose, so that the body does not change with the image size."""
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    return np.random.default_rng([seed, *(int.from_bytes(word.encode(), "big") for word in purpose)])


def _steps(spacing: float | Spacing) -> Spacing:
    steps = (spacing,) * 3 if isinstance(spacing, int | float) else spacing
    if len(steps) != 3 or not all(np.isfinite(step) and step > 0 for step in steps):
        raise ValueError(f"spacing must be one or three positive numbers in mm, not {spacing!r}")
    return (float(steps[0]), float(steps[1]), float(steps[2]))


def _canvas(
    low: Sequence[float],
    high: Sequence[float],
    steps: Spacing,
    shape: tuple[int, int, int] | None,
    scale: Spacing,
    warp: Warp,
) -> tuple[Canvas, npt.NDArray[np.float64]]:
    """The grid that covers a box of the world, or one of the given shape around its centre, and its affine."""
    size = shape or tuple(max(1, int(np.ceil((high[i] - low[i]) / steps[i]))) for i in range(3))
    if len(size) != 3 or min(size) < 1:
        raise ValueError(f"shape must be three positive whole numbers, not {shape!r}")
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = [(low[i] + high[i]) / 2 - (size[i] - 1) / 2 * steps[i] for i in range(3)]
    origin = (float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3]))
    return Canvas((int(size[0]), int(size[1]), int(size[2])), steps, origin, scale, warp), affine


def _publish(canvas: Canvas, published: dict[int, str] | None) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Labels under the names and values of a published label map; structures that it lacks are dropped.

    Without a map, the painted names are the published ones, numbered in alphabetical order.
    """
    painted = canvas.names
    if published is None:
        published = dict(enumerate(sorted(painted.values()), start=1))
    values = {name: value for value, name in published.items()}
    lookup = np.zeros(256, dtype=np.uint8)
    names = {}
    for number, name in painted.items():
        for whole in (name, name.split("_")[0], f"lung_{name.rsplit('_', 1)[-1]}" if name.startswith("lung_") else ""):
            if whole in values:
                lookup[number] = values[whole]
                names[values[whole]] = whole
                break
    return lookup[canvas.labels], dict(sorted(names.items()))
