"""Where A lies from B: along the patient's axes, from the midline, along a limb."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES
from dataset_builder.imaging.measurements import Floats, shares_above
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Truth
from dataset_builder.questions.facts.scene import Positions, Scene

R_AXIS, S_AXIS = 0, 2


def directional_facts(scene: Scene) -> Iterator[Fact]:
    """Every clear direction between two visible structures.

    Arms may lie raised or at the side, so that up and down the scan is not up and down the arm: for structures of the
    upper limb neither superior/inferior nor medial/lateral nor proximal/distal is asked.
    """
    in_plane = IN_PLANE_AXES[scene.record.plane]
    everything = range(len(scene.visible))
    no_arms = [i for i in everything if scene.visible[i].limb != "upper"]
    for position, axis in enumerate(in_plane):
        low, high = AXIS_DIRECTIONS[axis]
        asked = no_arms if axis == S_AXIS else everything
        ahead = scene.clearly_ahead(position)
        yield from _along(scene, f"{high}_{low}", scene.along(position), ahead, asked, high, low)
    if R_AXIS in in_plane:
        across, ahead = scene.along(in_plane.index(R_AXIS)), scene.clearly_ahead(in_plane.index(R_AXIS))
        not_midline = [i for i in no_arms if not scene.visible[i].midline]
        for sign, outward, group in sides(scene, across, not_midline):
            toward = ahead if sign > 0 else ahead.T
            yield from _along(scene, "medial_lateral", outward, toward, group, "lateral", "medial")
    if S_AXIS in in_plane:
        upward, ahead = scene.along(in_plane.index(S_AXIS)), scene.clearly_ahead(in_plane.index(S_AXIS))
        of_limb: dict[str | None, list[int]] = {}
        for i in everything:
            if scene.visible[i].limb == "lower":
                of_limb.setdefault(scene.record.side or scene.visible[i].side, []).append(i)
        # Of structures whose side is not known no one knows that they are of one limb.
        for limb in sorted(filter(None, of_limb)):
            yield from _along(scene, "proximal_distal", upward, ahead, of_limb[limb], "proximal", "distal")


def sides(scene: Scene, across: Positions, group: Sequence[int]) -> Iterator[tuple[int, Positions, list[int]]]:
    """The structures of each side of the body that lie clearly on it: (sign, positions outward, structures).

    The sign is 1 on the right. Positions outward grow away from the midline. A volume of one limb is one side: lateral
    of a right knee is toward the patient's right. Nothing comes if neither midline nor side is known.
    """
    if scene.record.side is not None:
        sign = 1 if scene.record.side == "right" else -1
        yield sign, across.turned(sign), list(group)
        return
    middle = scene.record.midline_mm
    if middle is None:
        return
    share = shares_above(scene.profiles[0], scene.record.spacing[0], middle)
    shares = [share, 1 - share]
    world_middle = scene.record.midline_world_mm or 0.0
    if scene.record.oblique:
        in_world = np.array([(at > world_middle).mean() for at in scene.world_pixels(R_AXIS)])
        shares = [np.minimum(share, in_world), np.minimum(1 - share, 1 - in_world)]
    for sign, on_side in zip((1, -1), shares, strict=True):
        outward = across.turned(sign, middle, world_middle)
        clear = on_side >= scene.clarity.min_side_share - 1e-9
        clear &= outward.beyond_origin(scene.clarity.min_marker_gap_mm)
        yield sign, outward, [i for i in group if clear[i]]


def _along(
    scene: Scene, axis: str, positions: Positions, ahead: Truth, asked: Sequence[int], high: str, low: str
) -> Iterator[Fact]:
    """A fact for each two of the structures of which one lies clearly farther in the direction ``high``.

    Args:
        ahead: [n, n] whether most pixels of i lie farther than most of j.
    """
    among = np.zeros(len(scene.visible), bool)
    among[list(asked)] = True
    gaps = positions.gaps()
    clear = positions.beyond(scene.clarity) & ahead & scene.lesions.compared
    for i, j in np.argwhere(clear & among[:, None] & among[None, :]):
        a, b = scene.names[i], scene.names[j]
        # In the order of the names, so that the draw of the first item cannot know which word it favours.
        items = (((a, b), high), ((b, a), low)) if i < j else (((b, a), low), ((a, b), high))
        yield scene.pair("directional", "direction", axis, items, gaps[i, j])


def sides_of_midline(scene: Scene) -> tuple[npt.NDArray[np.int64], Floats] | None:
    """On which side of the body's midline each visible structure lies, and how far from it, mm.

    Sides are 1 for the patient's right, -1 for the left, 0 for midline structures and whatever is not clearly on one.
    ``None`` if the slice does not show both sides, or where the midline is is not known.
    """
    in_plane = IN_PLANE_AXES[scene.record.plane]
    middle = scene.record.midline_mm
    if R_AXIS not in in_plane or scene.record.side is not None or middle is None:
        return None
    across = scene.along(in_plane.index(R_AXIS))
    off = across.turned(1, middle, scene.record.midline_world_mm or 0.0).from_origin()
    on_side = np.zeros(len(scene.visible), np.int64)
    for sign, _, group in sides(scene, across, [i for i, one in enumerate(scene.visible) if not one.midline]):
        on_side[group] = sign
    on_side[off < scene.clarity.min_gap_mm - ROUNDING_MM] = 0
    return on_side, off
