"""What is asked about a lesion: in which structure it lies, in which part of it, of the body and of the image.

A lesion's answers cannot be balanced by chance: nearly all lesions of a data set may lie in one organ, and on one side.
So each fact is a pair of rows with the same text but for names or markers, and with opposite answers: the lesion and
the organ swapped, or the lesion and another structure that lies elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES
from dataset_builder.imaging.measurements import Floats, contact_lengths, shares_above
from dataset_builder.imaging.pieces import pieces
from dataset_builder.questions.facts.anatomical import OPTIONS, can_be_marked, rivals, tell_apart
from dataset_builder.questions.facts.directional import R_AXIS, S_AXIS, sides, sides_of_midline
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Kind
from dataset_builder.questions.facts.lesions import is_one_piece
from dataset_builder.questions.facts.scene import Scene, slice_to_world
from dataset_builder.vocabulary import confusable

OF_LESIONS = frozenset({"belonging", "inside", "centre", "body_side", "image_half"})
"""The kinds of fact that are about a lesion; anatomy alone has no answer to any of them."""
NEAREST = 3
"""What a lesion does not lie in is asked of one of so many structures nearest to it."""


def lesion_facts(scene: Scene) -> Iterator[Fact]:
    """Facts about the lesions of a slice that are one piece."""
    if not scene.is_lesion.any():
        return
    yield from belonging(scene)
    yield from inside(scene)
    yield from centres(scene)
    yield from body_sides(scene)
    yield from image_halves(scene)


def _hosted(scene: Scene) -> list[tuple[int, int]]:
    """Lesions and what they lie in; a lesion whose name says that it lies elsewhere is mislabelled."""
    found = []
    for i in np.flatnonzero(scene.lesions.host >= 0).tolist():
        host = int(scene.lesions.host[i])
        said = scene.visible[i].part_of
        if said is None or confusable(scene.names[host], said, scene.vocabulary):
            found.append((i, host))
    return found


# In which structure --------------------------------------------------------------------------------------------------


def belonging(scene: Scene) -> Iterator[Fact]:
    """In which of four structures the centre of what is marked lies.

    Four rows belong together: the lesion, in one of the four, and the other three themselves. So each of the four is
    right once, wherever lesions mostly lie.
    """
    rival = rivals(scene)
    markable = [
        i
        for i in range(len(scene.visible))
        if can_be_marked(scene, i) and not scene.is_lesion[i] and _centre_value(scene, i) == scene.values[i]
    ]
    asked: set[tuple[frozenset[int], tuple[str, ...]]] = set()  # two lesions may share the other three
    for lesion, host in _hosted(scene):
        if _centre_value(scene, lesion) != scene.values[host]:
            continue
        draw = scene.random(f"belonging {scene.names[lesion]}")
        chosen = [lesion]
        for i in draw.sample(markable, len(markable)):
            beside = [*chosen, host]
            if i != host and scene.lesions.compared[lesion, i] and all(_apart(scene, rival, i, j) for j in beside):
                chosen.append(i)
            if len(chosen) == OPTIONS:
                break
        if len(chosen) < OPTIONS:
            continue
        right = {i: scene.names[host if i == lesion else i] for i in chosen}
        options = tuple(sorted(right.values()))
        for one, other in (chosen[:2], chosen[2:]):
            about = frozenset((one, other)), options
            if about in asked:
                continue
            asked.add(about)
            items = (((scene.names[one],), right[one]), ((scene.names[other],), right[other]))
            margin = min(scene.depth[one], scene.depth[other])
            yield scene.pair("anatomical", "belonging", None, items, margin, options)


def _apart(scene: Scene, rival: npt.NDArray[np.bool_], i: int, j: int) -> bool:
    """Whether two structures can be options of one question, with a marker at either."""
    return bool(not rival[i, j] and not rival[j, i] and tell_apart(scene.names[i], scene.names[j], scene.vocabulary))


def _centre_value(scene: Scene, i: int) -> int:
    """The label value at a structure's centre, lesions counted as what they lie in."""
    at = np.rint(scene.centroid[i] / np.asarray(scene.record.spacing)).astype(int)
    return int(scene.lesions.whole[tuple(at)])


def inside(scene: Scene) -> Iterator[Fact]:
    """The lesion lies within A, and elsewhere than in B, which is near; point and box do not say otherwise."""
    contact = contact_lengths(scene.record.labels, scene.record.spacing, scene.values)
    for lesion, host in _hosted(scene):
        name, of_host = scene.names[lesion], scene.names[host]
        others = [
            j
            for j in range(len(scene.visible))
            if not scene.is_lesion[j]
            and contact[lesion, j] == 0
            and scene.distances[lesion, j] >= scene.clarity.min_gap_mm - ROUNDING_MM
            and not _in_box(scene, lesion, j).any()
            and not confusable(scene.names[j], of_host, scene.vocabulary)
        ]
        if not others or not _in_box(scene, lesion, host).all():
            continue
        near = sorted(others, key=lambda j: (float(scene.distances[lesion, j]), j))[:NEAREST]
        other = scene.random(f"inside {name}").choice(near)
        items = (((name, of_host), "within"), ((name, scene.names[other]), "elsewhere"))
        fact = scene.pair("relational", "inside", None, items, scene.distances[lesion, other])
        # By name it could be guessed: in most data sets nearly all lesions lie in one organ.
        yield replace(fact, nameable=False)


def _in_box(scene: Scene, i: int, j: int) -> npt.NDArray[np.bool_]:
    """Whether the centre, the point and the box's centre of i lie in the box of j [3]."""
    places = np.stack([scene.centroid[i], scene.point[i], scene.box[i]])
    return np.all((places >= scene.box_low[j]) & (places <= scene.box_high[j]), axis=1)


# In which part of it -------------------------------------------------------------------------------------------------


def centres(scene: Scene) -> Iterator[Fact]:
    """On which side of the centre of its organ, the lesion counted in, a lesion lies: in which half."""
    in_plane = IN_PLANE_AXES[scene.record.plane]
    for lesion, host in _hosted(scene):
        whole = scene.lesions.whole == scene.values[host]
        if not is_one_piece(pieces(whole.astype(np.uint8), scene.record.spacing, [1]), scene.clarity)[0]:
            continue
        is_arm = scene.visible[host].limb == "upper"
        for position, axis in enumerate(in_plane):
            low, high = AXIS_DIRECTIONS[axis]
            gap = _beyond_centre(scene, lesion, host, whole, position)
            if gap and not (is_arm and axis == S_AXIS):
                yield _halves(scene, lesion, host, f"{high}_{low}", high if gap > 0 else low, low, high, abs(gap))
            if gap and axis == R_AXIS and not is_arm and not scene.visible[host].midline:
                for sign, _, group in sides(scene, scene.along(position), [lesion, host]):
                    if {lesion, host} <= set(group):
                        word = "lateral" if gap * sign > 0 else "medial"
                        yield _halves(scene, lesion, host, "medial_lateral", word, "medial", "lateral", abs(gap))


def _halves(scene: Scene, lesion: int, host: int, axis: str, relation: str, low: str, high: str, margin: float) -> Fact:
    a, b = scene.names[lesion], scene.names[host]
    items = (((a, b), relation), ((b, a), low if relation == high else high))
    return scene.pair("directional", "centre", axis, items, margin)


def _beyond_centre(scene: Scene, lesion: int, host: int, whole: npt.NDArray[np.bool_], position: int) -> float:
    """How far a lesion lies beyond the centre of its organ along an in-plane axis in mm, with its sign; 0 if unclear.

    Clear: its centroid by the margin, nearly all of its pixels, beyond the middle of the organ's extent too; and the
    markers of the two do not say otherwise. In a tilted scan also along the world's axis.
    """
    clarity, step = scene.clarity, np.asarray(scene.record.spacing)
    mine, of_whole = np.argwhere(scene.record.labels == scene.values[lesion]) * step, np.argwhere(whole) * step
    at = [(mine[:, position], of_whole[:, position])]
    if scene.record.oblique:
        across, origin = slice_to_world(scene.record, IN_PLANE_AXES[scene.record.plane][position])
        at.append((mine @ across + origin, of_whole @ across + origin))
    gaps = [float(pixels.mean() - organ.mean()) for pixels, organ in at]
    sign = 1 if gaps[0] > 0 else -1
    for gap, (pixels, organ) in zip(gaps, at, strict=True):
        middle = (organ.min() + organ.max()) / 2
        if (
            sign * gap < clarity.min_gap_mm - ROUNDING_MM
            or sign * (pixels.mean() - middle) < clarity.min_gap_mm - ROUNDING_MM
            or (sign * (pixels - organ.mean()) > 0).mean() < clarity.min_side_share - 1e-9
        ):
            return 0.0
    markers = [float(place[lesion, position] - place[host, position]) for place in (scene.point, scene.box)]
    if min(sign * marker for marker in markers) < clarity.min_marker_gap_mm - ROUNDING_MM:
        return 0.0
    return sign * min(abs(gap) for gap in gaps)


# In which part of the body and of the image --------------------------------------------------------------------------


def body_sides(scene: Scene) -> Iterator[Fact]:
    """On which side of the body's midline a lesion lies, and another structure on the opposite one."""
    found = sides_of_midline(scene)
    if found is None:
        return
    on_side, off = found
    low, high = AXIS_DIRECTIONS[R_AXIS]
    for fact in _opposite(scene, "body_side", None, on_side, off, (low, high)):
        # A name that says its side answers the question by itself.
        names = (*fact.structures, *fact.inverse_structures)
        yield replace(fact, nameable=not any(scene.vocabulary[name].side for name in names))


def image_halves(scene: Scene) -> Iterator[Fact]:
    """In which half of the image a lesion lies, and another structure in the opposite one."""
    clarity = scene.clarity
    for position, axis in enumerate(IN_PLANE_AXES[scene.record.plane]):
        size, step = scene.record.shape[position], scene.record.spacing[position]
        middle = (size - 1) / 2 * step
        share = shares_above(scene.profiles[position], step, middle)
        places = np.stack([part[:, position] - middle for part in (scene.centroid, scene.point, scene.box)])
        margins = (clarity.min_gap_mm, clarity.min_marker_gap_mm, clarity.min_marker_gap_mm)
        least = np.array(margins)[:, None] - ROUNDING_MM
        above = (share >= clarity.min_side_share - 1e-9) & (places >= least).all(axis=0)
        below = (1 - share >= clarity.min_side_share - 1e-9) & (-places >= least).all(axis=0)
        low, high = AXIS_DIRECTIONS[axis]
        half = above.astype(int) - below
        yield from _opposite(scene, "image_half", f"{high}_{low}", half, np.abs(places[0]), (low, high))


def _opposite(
    scene: Scene,
    kind: Kind,
    axis: str | None,
    side: npt.NDArray[np.int64],
    off: Floats,
    words: Sequence[str],
) -> Iterator[Fact]:
    """For each lesion that lies on one side (-1 or 1), a pair with a drawn structure that lies on the other."""
    for lesion in np.flatnonzero(scene.is_lesion & (side != 0)).tolist():
        others = np.flatnonzero(~scene.is_lesion & (side == -side[lesion]) & scene.lesions.compared[lesion])
        if len(others):
            other = scene.random(f"{kind} {axis} {scene.names[lesion]}").choice(others.tolist())
            toward, away = (words[1], words[0]) if side[lesion] > 0 else (words[0], words[1])
            items = (((scene.names[lesion],), toward), ((scene.names[other],), away))
            yield scene.pair("directional", kind, axis, items, min(off[lesion], off[other]))


# Facts about organs --------------------------------------------------------------------------------------------------


def holds_with_lesions(scene: Scene, facts: Sequence[Fact]) -> list[Fact]:
    """The facts that are also true where organs are taken with the lesions in them, as a reader sees them.

    Of the organs' own labels lesions are cut out: an organ looks smaller, and farther from what its lesion touches.
    """
    organs = scene.with_lesions
    if not organs:
        return list(facts)
    labels = scene.lesions.whole.astype(scene.record.labels.dtype)
    whole = Scene.of(replace(scene.record, labels=labels), scene.clarity, scene.seed, scene.vocabulary)
    kept = []
    for fact in facts:
        names = {*fact.structures, *fact.inverse_structures}
        if fact.kind in ("naming", "visible") or names.isdisjoint(organs) or _still_true(fact, scene, whole):
            kept.append(fact)
    return kept


def _still_true(fact: Fact, scene: Scene, whole: Scene) -> bool:
    """Whether both items of a fact about organs hold, by their sign, in the slice with lesions counted in."""
    for names, relation in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation)):
        found = [place for name in names if (place := _place(scene, whole, name)) is not None]
        if len(found) < len(names):
            return False
        (of, i), (other, j) = found[:2]
        if relation == "larger" and of.area[i] < scene.clarity.min_ratio * other.area[j] - ROUNDING_MM:
            return False
        if relation == "apart" and not _far(whole, names, scene):
            return False
        if relation in ("nearer", "between"):
            centres = [one.centroid[k] for one, k in found]
            if relation == "nearer" and not _nearer(centres):
                return False
            if relation == "between" and float(np.dot(centres[1] - centres[0], centres[2] - centres[0])) >= 0:
                return False
        for position, axis in enumerate(IN_PLANE_AXES[scene.record.plane]):
            low, high = AXIS_DIRECTIONS[axis]
            if fact.kind == "direction" and relation in (low, high):
                gap = float(of.centroid[i, position] - other.centroid[j, position])
                if (gap if relation == high else -gap) < scene.clarity.min_marker_gap_mm:
                    return False
    return True


def _nearer(centres: Sequence[Floats]) -> bool:
    one, other = (float(np.hypot(*(centres[k] - centres[2]))) for k in (0, 1))
    return one < other


def _place(scene: Scene, whole: Scene, name: str) -> tuple[Scene, int] | None:
    """Where a structure is measured: an organ with its lesions, or a lesion by itself."""
    for one in (whole, scene):
        if name in one.names:
            return one, one.names.index(name)
    return None


def _far(whole: Scene, names: Sequence[str], scene: Scene) -> bool:
    """Whether two structures are far apart, lesions counted in."""
    if not set(names) <= set(whole.names):
        return set(names) <= set(scene.names)  # a lesion and an organ that is not its own
    i, j = (whole.names.index(name) for name in names)
    return bool(whole.distances[i, j] >= whole.clarity.apart_mm - ROUNDING_MM)
