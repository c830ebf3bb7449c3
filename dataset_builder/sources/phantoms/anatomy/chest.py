"""Lungs, heart, great vessels, airway and gullet."""

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.anatomy.individual import Individual
from dataset_builder.sources.phantoms.anatomy.standard import (
    CAVITY,
    MEDIASTINUM,
    SIDES,
    above_diaphragm,
)
from dataset_builder.sources.phantoms.canvas import Canvas
from dataset_builder.sources.phantoms.shapes import (
    Point,
    Shape,
    blend,
    ellipsoid,
    half_space,
    smooth_path,
    tube,
)

_CHEST = Shape((-140.0, -110.0, 168.0), (140.0, 110.0, 505.0), lambda x, y, z: np.full_like(x, -1))
"""A box around both lungs."""


def paint_lungs(canvas: Canvas, body: Individual) -> None:
    """Paint the lobes and the vessels in them."""
    cavity = CAVITY.shape().grow(-2)
    middle = MEDIASTINUM.shape()
    chest = (cavity & above_diaphragm(2)) - middle
    for side, s in SIDES:
        half = half_space((0, 0, 0), (-s, 0, 0)) & _CHEST
        lower = f"lung_lower_lobe_{side}"
        upper = f"lung_upper_lobe_{side}"
        canvas.paint(chest & half, "lung", lower)
        # The oblique fissure runs from high behind to low in front; the right lung has a horizontal one too.
        tilt = (0.0, -1.23, -1.0)
        front = half_space((0, -70, 432 if s > 0 else 436), tilt) & half
        canvas.paint(front, None, upper, only_in=lower)
        if s > 0:
            canvas.paint(half_space((0, 0, 352), (0, 0.1, 1.0)) & half, None, "lung_middle_lobe_right", only_in=upper)
        hilum = np.array((s * 36.0, -14.0, 362.0))
        for branch in body.branches[(1 - s) // 2]:
            _lung_vessel(canvas, hilum, branch, s)


def _lung_vessel(canvas: Canvas, hilum: npt.NDArray, branch: npt.NDArray, s: int) -> None:
    """A vessel from the hilum outward with two twigs; it stays inside the lobes' labels."""
    heading = branch[0] * (0.6, 0.9, 1.1) + (s * 0.75, 0.0, 0.0)
    heading[0] = s * abs(heading[0])
    heading /= np.linalg.norm(heading)
    middle = hilum + 34 * heading + 4 * branch[1]
    end = middle + 40 * (heading + 0.25 * branch[2])
    twig = middle + 34 * (heading + 0.45 * branch[1])
    stem = [tuple(hilum), tuple(middle), tuple(end)]
    for vessel in (*tube(stem, (4.6, 3.0, 1.3)), *tube([tuple(middle), tuple(twig)], (2.4, 1.2))):
        canvas.paint(vessel, "lung_vessel", keep_label=True, only_on=("lung",))


def paint_chest(canvas: Canvas, body: Individual) -> None:
    """Paint all that lies between the lungs, and the thyroid above."""
    cavity = CAVITY.shape()
    canvas.paint((MEDIASTINUM.shape() & above_diaphragm(2)) & cavity, "fat", only_on=("fat", "muscle", "fascia"))
    size = body.sizes["heart"]

    def at(x: float, y: float, z: float) -> Point:
        return body.move("heart", (x, y, z))

    axis = (-0.72, 0.52, -0.42)
    main = ellipsoid(at(-24, 22, 318), (40 * size, 42 * size, 58 * size), axis)
    atria = blend(ellipsoid(at(30, 10, 322), (27 * size, 30 * size, 34 * size)),
                  ellipsoid(at(-2, -12, 336), (33 * size, 20 * size, 25 * size)), 12)  # fmt: skip
    outflow = ellipsoid(at(2, 24, 352), (27 * size, 23 * size, 20 * size))
    heart = blend(blend(main, atria, 18), outflow, 14) & above_diaphragm(3) & cavity.grow(-6)
    canvas.paint(heart.grow(5) & above_diaphragm(1) & cavity.grow(-2), "fat")
    canvas.paint(heart, "myocardium", "heart")
    chambers = [
        ellipsoid(at(-32, 18, 312), (19, 20, 38), axis),
        ellipsoid(at(-8, 46, 312), (28, 14, 26), (-0.72, 0.3, -0.5)),
        ellipsoid(at(32, 10, 322), (22, 25, 29)),
        ellipsoid(at(-2, -12, 336), (28, 15, 20)),
        ellipsoid(at(2, 24, 352), (20, 16, 16)),
    ]
    canvas.paint([chamber & heart.grow(-3) for chamber in chambers], "vessel", keep_label=True, only_in="heart")
    canvas.paint(ellipsoid(at(-46, 22, 354), (12, 17, 13)), "vessel", "atrial_appendage_left")
    for _, s in SIDES:
        lower = smooth_path([at(s * 24, -12, 338), (s * 44, -18, 338), (s * 60, -26, 326)])
        upper = smooth_path([at(s * 24, -10, 344), (s * 42, -6, 356), (s * 56, 4, 374)])
        veins = [*tube(lower, (6.5, *([5.5] * 8))), *tube(upper, (6.0, *([5.0] * 8)))]
        canvas.paint(veins, "vessel", "pulmonary_vein")
    # The pulmonary trunk and the arteries that it splits into.
    fork = (-18, 4, 384)
    canvas.paint(tube(smooth_path([at(-24, 42, 346), (-22, 30, 368), fork]), 13.5), "vessel")
    for branch in ([fork, (6, -6, 382), (38, -12, 372)], [fork, (-32, -10, 384), (-46, -22, 372)]):
        canvas.paint(tube(smooth_path(branch), (12, 12, *([10.5] * 7))), "vessel")
    canvas.paint(tube(smooth_path([at(32, 6, 345), (27, 4, 380), (26, 6, 424)]), 9.5), "vessel", "superior_vena_cava")
    for side, s in SIDES:
        far = (34, 8, 462) if s > 0 else (-38, 18, 456)
        middle = (30, 8, 442) if s > 0 else (-4, 22, 436)
        canvas.paint(tube(smooth_path([(26, 6, 424), middle, far]), 7.0), "vessel", f"brachiocephalic_vein_{side}")
    for artery, radius, points in (
        ("brachiocephalic_trunk", 6.2, [(4, 6, 420), (12, 2, 440), (20, -4, 462)]),
        ("common_carotid_artery_right", 4.4, [(20, -4, 462), (24, -4, 485), (25, -4, 545)]),
        ("subclavian_artery_right", 4.6, [(20, -4, 462), (48, -4, 478), (92, 8, 474)]),
        ("common_carotid_artery_left", 4.4, [(-8, -6, 424), (-18, -6, 460), (-24, -4, 500), (-25, -4, 545)]),
        ("subclavian_artery_left", 4.8, [(-18, -20, 424), (-28, -16, 458), (-52, -8, 476), (-92, 8, 474)]),
    ):
        canvas.paint(tube(smooth_path(points), radius), "artery", artery)
    arch = smooth_path([at(4, 26, 356), (14, 24, 385), (10, 14, 410), (-4, -2, 420), (-18, -22, 414), (-24, -36, 392),
                        (-23, -38, 355), (-22, -36, 325)])  # fmt: skip
    radii = np.interp(range(len(arch)), (0, 8, 16, 28), (15.5, 15, 13, 12)).tolist()
    canvas.paint(tube(arch, radii), "artery", "aorta")
    windpipe = [(0, 2, 545), (0, -4, 500), (1, -14, 450), (2, -20, 408)]
    canvas.paint(tube(windpipe, 10.5, (0.95, 1.1, 1)), "airway_wall", "trachea", core="gas", rind=2.0)
    for _, s in SIDES:
        bronchus = [(2, -20, 408), (s * 22, -24, 386), (s * (40 if s > 0 else 48), -24, 368)]
        canvas.paint(tube(bronchus, (8, 7.5, 6)), "airway_wall", core="gas", rind=1.8)
    # The trachea's own end lies over the bronchi's beginning.
    canvas.paint(tube(windpipe, 10.5, (0.95, 1.1, 1)), None, "trachea", only_on=("gas", "airway_wall"))
    gullet = smooth_path([(-3, -18, 545), (-4, -22, 500), (-5, -34, 450), (-2, -40, 410), (-4, -38, 360),
                          (-8, -34, 320), (-16, -20, 280), (-26, -8, 258), (-44, -8, 250)])  # fmt: skip
    canvas.paint(tube(gullet, 8.5, (0.85, 1.1, 1)), "bowel_wall", "esophagus")
    canvas.paint(tube(gullet, 2.2, (0.7, 1, 1)), "gas", keep_label=True, only_in="esophagus")
    lobes = [ellipsoid((s * 19, 6, 508), (10, 12, 25), (0.12 * s, 0.1, 1)) for _, s in SIDES]
    isthmus = tube([(-16, 16, 500), (16, 16, 500)], 4.5)
    canvas.paint([*lobes, *isthmus], "gland", "thyroid_gland", core="gland", rind=0)
    canvas.paint(tube(windpipe, 10.5, (0.95, 1.1, 1)), "airway_wall", "trachea", core="gas", rind=2.0)
