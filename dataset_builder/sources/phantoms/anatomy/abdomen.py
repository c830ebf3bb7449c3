"""The organs and vessels of the belly and the pelvis."""

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.anatomy.individual import Individual
from dataset_builder.sources.phantoms.anatomy.standard import (
    CAVITY,
    SIDES,
    diaphragm,
    gyroid,
    spine_y,
)
from dataset_builder.sources.phantoms.canvas import Canvas
from dataset_builder.sources.phantoms.shapes import (
    Coordinates,
    Shape,
    blend,
    ellipsoid,
    half_space,
    plate,
    region,
    smooth_path,
    tube,
    union,
)


def paint_abdomen(canvas: Canvas, body: Individual) -> None:
    """Paint bowel, liver, urinary tract, stomach, pancreas, spleen, colon and the great vessels among them."""
    lining = CAVITY.shape().grow(-4)
    belly = lining & diaphragm(6)
    _bowel(canvas, body, belly)
    _liver(canvas, body, belly)
    _urinary(canvas, body)
    _stomach_and_pancreas(canvas, body, belly)
    size = body.sizes["spleen"]
    spleen = ellipsoid(body.move("spleen", (-101, -32, 214)), (29 * size, 46 * size, 58 * size), (0.15, -0.35, 1))
    hilum = ellipsoid(body.move("spleen", (-60, -14, 212)), (26, 26, 44))
    canvas.paint((spleen & belly) - hilum, "spleen", "spleen")
    _colon(canvas, body, lining)
    _belly_vessels(canvas, body)


def _bowel(canvas: Canvas, body: Individual, belly: Shape) -> None:
    """Coils of the small bowel: the two labyrinths of a gyroid, bent so that no two coils are alike."""
    dx, dy, dz = (np.float32(10 * value) for value in body.branches[0, 0, 0])

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        k = np.float32(0.045)
        bent = gyroid(
            x + 11 * np.sin(z * k + y * np.float32(0.031) + dx),
            y + 8 * np.sin(x * k + dy),
            z + 12 * np.sin(x * np.float32(0.038) - y * k + dz),
            66.0,
        )
        return (np.float32(0.3) - np.abs(bent)) * np.float32(9)

    mass = ellipsoid(body.move("bowel", (0, 32, 24)), (96, 46, 96)) & belly
    canvas.paint(mass & region(distance), "bowel_wall", "small_bowel", core="bowel_fluid", rind=2.8)
    gas = half_space((0, 68, 0), (0, -1, 0))
    canvas.paint(mass & region(distance).grow(-3) & gas, "gas", keep_label=True, only_on=("bowel_fluid",))


def _liver(canvas: Canvas, body: Individual, belly: Shape) -> None:
    size = body.sizes["liver"]
    right = ellipsoid(body.move("liver", (72, -4, 205)), (74 * size, 88 * size, 96 * size), (0.12, -0.1, 1))
    left = ellipsoid(body.move("liver", (2, 42, 236)), (70 * size, 36 * size, 46 * size), (0.0, -0.25, 1))
    under = half_space(body.move("liver", (70, 20, 128)), (-0.62, 0.12, -1.0))
    liver = blend(right & under, left, 24) & belly
    canvas.paint(liver, "liver", "liver")
    fissure = plate((4, 92, 250), (6, 40, 190), (2, 96, 170), 4)
    canvas.paint(fissure, "fat", only_in="liver")
    porta = (36.0, 8.0, 196.0)
    veins = [
        *tube(smooth_path([porta, (62, 0, 210), (92, -14, 216), (112, -20, 226)]), 4.6),
        *tube(smooth_path([(74, -4, 212), (84, 26, 200), (94, 48, 196)]), 3.4),
        *tube(smooth_path([porta, (14, 24, 218), (-14, 42, 236)]), 4.0),
        *tube(smooth_path([(28, -2, 262), (70, -10, 250), (102, -24, 232)]), 4.2),
        *tube(smooth_path([(26, 2, 264), (44, 36, 246), (56, 60, 216)]), 4.0),
        *tube(smooth_path([(22, 4, 262), (-2, 34, 256), (-24, 50, 246)]), 3.2),
    ]
    canvas.paint(veins, "liver_vessel", keep_label=True, only_on=("liver",))
    bladder = ellipsoid(body.move("gallbladder", (54, 46, 148)), (15, 17, 31), (-0.25, -0.5, 1))
    canvas.paint(bladder, "gallbladder_wall", "gallbladder", core="bile", rind=2.0)


def _pyramids(middle: float) -> Shape:
    """Stripes across a kidney whose centre lies at this height: the medulla between columns of cortex."""
    return region(
        lambda x, y, z: np.float32(0.1) - np.sin((z - np.float32(middle)) * np.float32(0.36) + x * np.float32(0.1))
    )


def _urinary(canvas: Canvas, body: Individual) -> None:
    for side, s, height in (("right", 1, 146.0), ("left", -1, 162.0)):
        organ = f"kidney_{side}"
        size = body.sizes[organ]
        centre = body.move(organ, (s * 61.0, -40, height))
        axis = (-0.26 * s, -0.16, 1.0)
        kidney = ellipsoid(centre, (27 * size, 24 * size, 55 * size), axis)
        sinus = ellipsoid((centre[0] - s * 18, centre[1] + 8, centre[2]), (16, 8, 19), axis)
        canvas.paint(kidney.grow(6), "fat", only_on=("liver", "liver_vessel", "fat"))
        canvas.paint(kidney, "kidney_cortex", organ)
        canvas.paint(kidney.grow(-7) & _pyramids(centre[2]), "kidney_medulla", keep_label=True, only_in=organ)
        canvas.paint(sinus, "fat", only_in=organ)
        pelvis = tube(
            [(centre[0] - s * 12, centre[1] + 7, centre[2]), (centre[0] - s * 26, centre[1] + 8, centre[2] - 6)], 5
        )
        canvas.paint(pelvis, "urine")
        ureter = smooth_path([(centre[0] - s * 26, centre[1] + 8, centre[2] - 6), (s * 36, -14, 80), (s * 40, -18, 0),
                              (s * 48, -20, -50), (s * 24, 4, -92)])  # fmt: skip
        canvas.paint(tube(ureter, 2.4), "urine")
        adrenal = f"adrenal_gland_{side}"
        x, y, z = (s * 36.0, -38.0, 212.0) if s > 0 else (-33.0, -32.0, 214.0)
        limbs = [*tube([(x, y + 8, z), (x - 6, y - 12, z - 6)], 4.0, (1, 1, 0.45)),
                 *tube([(x, y + 8, z), (x + 9 * s, y - 12, z - 8)], 4.0, (1, 1, 0.45))]  # fmt: skip
        canvas.paint(limbs, "adrenal", adrenal)
    fill = 0.85 + 0.35 * body.full["bladder"]
    x, y, z = body.offsets["bladder"]
    bladder = ellipsoid((x, 20 + y / 2, -108 + 33 * fill + z / 3), (46 * fill, 36 * fill, 33 * fill))
    canvas.paint(bladder, "bladder_wall", "urinary_bladder", core="urine", rind=3.0)
    canvas.paint(ellipsoid((0, 8, -124), (23, 18, 18)), "prostate", "prostate")


def _stomach_and_pancreas(canvas: Canvas, body: Individual, belly: Shape) -> None:
    course = body.path("pancreas", (30, 14, 138), (14, 20, 150), (-12, 22, 166), (-40, 4, 182), (-68, -14, 198))
    pancreas = tube(course, np.interp(range(len(course)), (0, 4, 8, 16), (16, 11, 11, 9)).tolist(), (1, 1, 0.8))
    canvas.paint(pancreas, "pancreas", "pancreas")
    splenic = body.path("pancreas", (-80, -22, 204), (-50, -8, 188), (-12, 8, 168), (10, 8, 158))
    canvas.paint([*tube(splenic, 4.8), *tube(smooth_path([(10, 6, 154), (22, 8, 176), (36, 8, 198)]), 6.8)],
                 "vessel", "portal_vein_and_splenic_vein")  # fmt: skip
    duodenum = body.path(
        "pancreas", (22, 42, 164), (44, 24, 160), (50, 4, 138), (46, -6, 108), (14, 2, 96), (-22, 4, 108)
    )
    canvas.paint(tube(duodenum, 11.0), "bowel_wall", "duodenum", core="bowel_fluid", rind=2.8)
    course = body.path(
        "stomach", (-48, -8, 250), (-58, 12, 222), (-56, 36, 192), (-34, 52, 170), (-4, 52, 160), (20, 44, 164)
    )
    swell = 0.85 + 0.25 * body.full["stomach"]
    radii = np.interp(range(len(course)), (0, 5, 9, 13, 17, 20), np.array((31, 33, 30, 24, 18, 11)) * swell)
    stomach = union(tube(course, radii.tolist())) & belly
    canvas.paint(stomach, "bowel_wall", "stomach", core="food", rind=4.0)
    level = 30 + 20 * body.full["stomach"] + body.offsets["stomach"][1]
    canvas.paint(stomach.grow(-4) & half_space((0, level, 0), (0, -1, 0)), "gas", keep_label=True, only_on=("food",))


def _colon(canvas: Canvas, body: Individual, lining: Shape) -> None:
    knots = [(84, 26, -2), (92, 8, 30), (100, -8, 70), (98, -2, 108), (84, 28, 124), (58, 62, 104), (20, 74, 84),
             (-20, 74, 86), (-62, 60, 116), (-92, 22, 166), (-104, -10, 172), (-106, -26, 130), (-104, -24, 80),
             (-98, -8, 30), (-82, 10, -8), (-50, 22, -28), (-18, 4, -42), (6, -22, -48), (2, -48, -68),
             (0, -54, -95), (0, -42, -128)]  # fmt: skip
    points = [body.move("colon", point) if i < 17 else point for i, point in enumerate(knots)]
    course = smooth_path(points, per_segment=4)
    steps = np.arange(len(course))
    radii = np.interp(steps, (0, 8, 24, 36, 48, 60, 68, 76, 80), (27, 23, 19, 18, 15, 14, 14, 18, 13))
    radii = radii * (1 + 0.1 * np.sin(steps * 1.9)) * body.sizes["colon"]  # haustra
    colon = [segment & lining for segment in tube(course, radii.tolist())]
    canvas.paint(colon, "bowel_wall", "colon", core="stool", rind=3.0)
    share = 3 + 9 * body.full["colon"]
    for i, segment in enumerate(colon):
        # Gas rises to the front of each loop of a body that lies on its back.
        y = (course[i][1] + course[i + 1][1]) / 2 + share
        gas = segment.grow(-3) & half_space((0, y, 0), (0, -1, 0))
        canvas.paint(gas, "gas", keep_label=True, only_on=("stool",))


def _belly_vessels(canvas: Canvas, body: Individual) -> None:
    aorta = [(-22, -36, 330), (-20, -34, 280), (-14, -20, 235), (-13, spine_y(190) + 27, 190),
             (-14, spine_y(130) + 29, 130), (-14, spine_y(80) + 30, 80), (-12, spine_y(45) + 30, 45)]  # fmt: skip
    cava = [(26, 0, 290), (27, -6, 262), (26, -8, 225), (23, spine_y(180) + 24, 180), (21, spine_y(130) + 27, 130),
            (20, spine_y(80) + 28, 80), (18, spine_y(30) + 26, 30)]  # fmt: skip
    for _, s in SIDES:
        renal = [(s * 4, -2, 158), (s * 24, -14, 156), (s * 42, -30, 150 if s > 0 else 160)]
        canvas.paint(tube(smooth_path(renal), 4.0), "vessel")
    canvas.paint(tube(smooth_path([(-14, 6, 160), (-10, 22, 145), (-2, 30, 105)]), 4.0), "artery")
    canvas.paint(tube(smooth_path([(4, 14, 160), (8, 24, 130), (6, 32, 95)]), 5.0), "vessel")
    canvas.paint(tube(smooth_path([(-14, -8, 200), (-10, 10, 206), (10, 14, 206)]), 4.0), "artery")
    for side, s in SIDES:
        vein = [(18, spine_y(30) + 26, 30), (10 + s * 24, -20, -8), (s * 50, -14, -45), (s * 62, 22, -80),
                (s * 66, 48, -108), (s * 72, 52, -180)]  # fmt: skip
        artery = [(-12, spine_y(45) + 30, 45), (-5 + s * 28, -4, -2), (s * 52, 4, -42), (s * 70, 34, -78),
                  (s * 80, 56, -108), (s * 86, 58, -180)]  # fmt: skip
        canvas.paint(tube(smooth_path(vein), 7.4), "vessel", f"iliac_vena_{side}")
        canvas.paint(tube(smooth_path(artery), 6.6), "artery", f"iliac_artery_{side}")
    canvas.paint(tube(smooth_path(cava), 11.5, (0.9, 1.1, 1)), "vessel", "inferior_vena_cava")
    canvas.paint(tube(smooth_path(aorta), np.linspace(12, 9, 25).tolist()), "artery", "aorta")
