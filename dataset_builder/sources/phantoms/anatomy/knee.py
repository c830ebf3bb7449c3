"""The knee: one of either side, as a water-excited MR sequence (DESS) shows it.

Positions are millimetres around the joint: y Anterior, z Superior, with z = 0 at the lowest point of the femur's
condyles. Sideways positions are given toward lateral and turned into x by the side: lateral is to the patient's right
in a right knee and to the left in a left knee. So medial always faces the other leg.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import Side
from dataset_builder.sources.phantoms.canvas import Canvas, Warp, draw_warp
from dataset_builder.sources.phantoms.shapes import (
    Column,
    Coordinates,
    Point,
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

LOW: Point = (-70.0, -84.0, -76.0)
HIGH: Point = (70.0, 78.0, 76.0)
"""Field of view around the joint, mm."""
FROM_MIDLINE = 95.0
"""Distance of the joint from the body's midline, mm."""

# Rows (z, centre y, half width, half depth), see shapes.Column.
LEG = Column(
    (
        (-120.0, -18.0, 56.0, 60.0), (-60.0, -13.0, 54.0, 58.0), (-30.0, -6.0, 53.0, 57.0), (0.0, 0.0, 54.0, 60.0),
        (30.0, 1.0, 57.0, 66.0), (60.0, -3.0, 61.0, 68.0), (120.0, -4.0, 66.0, 72.0),
    ),
    squareness=0.2,
)  # fmt: skip
TIBIA = Column(
    (
        (-130.0, 3.0, 14.0, 17.0), (-62.0, 1.0, 17.0, 19.0), (-36.0, -4.0, 27.0, 23.0), (-20.0, -7.0, 36.0, 26.0),
        (-10.0, -8.0, 38.5, 27.0), (-6.0, -8.0, 37.0, 25.5),
    ),
    squareness=0.5,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Individual:
    """All that differs between two knees of one side.

    Args:
        scale: size along x, y, z.
        fat: thickness of the fat under the skin, mm.
        cartilage: thickness of the cartilage, 1 is standard.
        effusion: how much fluid there is in the joint, 0 to 1.
        patella: height of the patella above its standard place, mm.
        warp: the smooth displacement of everything.
    """

    scale: Point
    fat: float
    cartilage: float
    effusion: float
    patella: float
    warp: Warp


def draw_individual(random: np.random.Generator) -> Individual:
    """A random individual."""
    size = random.uniform(0.92, 1.08)
    x, y, z = (float(size * factor) for factor in random.uniform(0.97, 1.03, 3))
    fat, cartilage, effusion, patella = random.uniform((3, 0.85, 0, -4), (11, 1.2, 1, 6))
    return Individual((x, y, z), float(fat), float(cartilage), float(effusion), float(patella),
                      draw_warp(random, LOW, HIGH, 3.5))  # fmt: skip


def paint_knee(canvas: Canvas, knee: Individual, side: Side) -> None:
    """Paint a knee around the origin of body coordinates."""
    s = 1 if side == "right" else -1
    _soft_tissue(canvas, knee, s)
    femur = _femur(s)
    tibia = _tibia(s)
    patella = ellipsoid((s * 4, 49, 31 + knee.patella), (22, 10, 21), (0, -0.12, 1))
    thick = 2.9 * knee.cartilage
    _joint_space(canvas, knee, s, femur)
    fibula = [ellipsoid((s * 38, -27, -21), (8.5, 9.5, 12)), *tube([(s * 38, -27, -26), (s * 35, -22, -125)], (7, 6.5))]
    canvas.paint(fibula, "compact_bone", "fibula", core="marrow", rind=1.5)
    canvas.paint(tibia, "compact_bone", "tibia", core="marrow", rind=1.5)
    _tibial_cartilage(canvas, thick, s)
    _menisci(canvas, thick, s)
    canvas.paint(_femoral_cartilage(femur, thick, s), "cartilage", "femoral_cartilage")
    canvas.paint(femur, "compact_bone", "femur", core="marrow", rind=1.5)
    behind = half_space((0, 46.0, 0), (0, 1, 0)) & half_space((0, 0, 16 + knee.patella), (0, 0, -1))
    canvas.paint((patella.grow(thick) - patella) & behind, "cartilage", "patellar_cartilage")
    canvas.paint(patella, "compact_bone", "patella", core="marrow", rind=1.4)
    _ligaments(canvas, knee, s)


def _soft_tissue(canvas: Canvas, knee: Individual, s: int) -> None:
    leg = LEG.shape()
    canvas.paint(leg, "skin", core="fat", rind=1.6)
    inner = leg.grow(-2 - knee.fat * 0.6)
    muscles = [
        *tube([(-s * 34, 22, 45), (-s * 36, 14, 130)], (13, 24)),
        *tube([(s * 34, 26, 56), (s * 36, 14, 130)], (11, 24)),
        *tube([(0, 34, 84), (0, 32, 130)], (13, 18)),
        *tube([(-s * 30, -34, -8), (-s * 22, -42, 50), (-s * 20, -40, 130)], (8, 14, 20)),
        *tube([(s * 40, -28, -6), (s * 32, -38, 50), (s * 26, -38, 130)], (6, 12, 18)),
        *tube([(-s * 18, -34, 36), (-s * 22, -50, -10), (-s * 26, -54, -125)], (7, 13, 22)),
        *tube([(s * 18, -34, 34), (s * 22, -50, -10), (s * 24, -54, -125)], (7, 12, 20)),
        *tube([(s * 4, -36, -28), (s * 2, -34, -125)], (9, 16), (0.7, 1, 1)),
        *tube([(s * 33, 4, -46), (s * 34, 8, -125)], (9, 15)),
        *tube([(-s * 46, -26, 40), (-s * 46, -22, 0), (-s * 36, -4, -40)], (6, 5, 3)),
    ]
    for muscle in muscles:
        canvas.paint(muscle & inner, "muscle")
    for points, radius, tissue in (
        ([(s * 3, -42, 130), (s * 2, -40, 0), (s * 4, -34, -125)], 3.6, "artery"),
        ([(s * 9, -48, 130), (s * 6, -46, 0), (s * 8, -40, -125)], 4.6, "vessel"),
    ):
        canvas.paint(tube(points, radius), tissue)


def _femur(s: int) -> Shape:
    medial = ellipsoid((-s * 24, -9, 23), (14, 31, 23))
    lateral = ellipsoid((s * 24, -7, 22.5), (14, 30, 22.5))
    trochlea = blend(ellipsoid((s * 17, 13, 29), (15, 17, 19)), ellipsoid((-s * 13, 11, 28), (13, 16, 17)), 8)
    shaft = union(tube([(0, 0, 48), (0, 3, 70), (0, 5, 130)], (30, 21, 16), (0.9, 1.15, 1)))
    body = blend(blend(blend(medial, lateral, 8), trochlea, 10), shaft, 16)
    notch = ellipsoid((0, -24, 7), (9.5, 27, 19))
    return body - notch


def _tibia(s: int) -> Shape:
    tuberosity = ellipsoid((s * 3, 20, -42), (9, 8, 17), (0, 0.25, 1))
    spines = blend(ellipsoid((-s * 4, -6, -7), (4, 9, 8)), ellipsoid((s * 5, -9, -7), (4, 8, 7)), 3)
    return blend(blend(TIBIA.shape(), tuberosity, 8), spines, 2)


def _femoral_cartilage(femur: Shape, thick: float, s: int) -> Shape:
    def joint_face(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        # Below, behind up to the condyles' backs, and in front up to where the patella glides.
        ceiling = np.where(y > 12, np.float32(46), np.where(y < -22, np.float32(36), np.float32(20)))
        # Not on the outer flanks of the condyles.
        flank = np.abs(x) - np.where(y > 8, np.float32(29), np.float32(35))
        return np.maximum(z - ceiling, flank)

    # Nor in the notch between the condyles, where the cruciate ligaments are.
    notch = ellipsoid((0, -26, 6), (12.5, 32, 23))
    return ((femur.grow(thick) - femur) & region(joint_face)) - notch


def _tibial_cartilage(canvas: Canvas, thick: float, s: int) -> None:
    for name, x, width, depth in (("medial", -21.0, 15.0, 20.0), ("lateral", 21.0, 14.5, 18.0)):
        centre = (s * x, -9.0, -6.5)
        slab = ellipsoid(centre, (width, depth, 40)) & _layer(-8.0, -6.0 + thick)
        canvas.paint(slab, "cartilage", f"tibial_cartilage_{name}", only_on=("fat", "muscle", "joint_fluid", "skin"))


def _layer(low: float, high: float) -> Shape:
    """Everything between two heights."""
    return half_space((0, 0, high), (0, 0, 1)) & half_space((0, 0, low), (0, 0, -1))


def _menisci(canvas: Canvas, thick: float, s: int) -> None:
    """Two C-shaped wedges, thick at the rim, open toward the middle of the joint."""
    for name, x, width, depth in (("medial", -21.5, 19.5, 25.0), ("lateral", 21.0, 18.5, 21.0)):
        outer = ellipsoid((s * x, -9, 0), (width, depth, 60))
        inner = ellipsoid((s * x * 0.95, -9, 0), (width * 0.58, depth * 0.62, 60))
        open_end = half_space((np.sign(s * x) * 9.0, 0, 0), (-np.sign(s * x), 0, 0))
        wedge = ((outer - inner) & _layer(-8.0, 4.6)) & open_end
        canvas.paint(wedge, "meniscus", f"meniscus_{name}", only_on=("fat", "muscle", "joint_fluid", "skin"))


def _joint_space(canvas: Canvas, knee: Individual, s: int, femur: Shape) -> None:
    """Fluid between the cartilages and in the pouch above the patella."""
    capsule = ellipsoid((0, -6, 6), (39, 36, 15)) - half_space((0, 0, -3.2), (0, 0, 1))
    canvas.paint(femur.grow(4.6 + knee.effusion) & capsule, "joint_fluid")
    height = 31 + knee.patella
    pouch = plate((-s * 14, 36, height - 8), (s * 20, 36, height - 8), (s * 3, 33, height + 34), 4 + 5 * knee.effusion)
    canvas.paint(pouch, "joint_fluid")


def _ligaments(canvas: Canvas, knee: Individual, s: int) -> None:
    height = knee.patella
    tendon = [(s * 4, 53, 16 + height), (s * 4, 46, -8 + height / 2), (s * 3, 29, -38)]
    quadriceps = [(s * 4, 50, 48 + height), (s * 2, 44, 80), (s * 1, 42, 130)]
    cruciate = [(s * 7, -22, 18), (s * 2, -12, 6), (-s * 2, 4, -4)]
    posterior = [(-s * 7, -8, 14), (-s * 3, -26, 6), (0, -33, -10)]
    for points, radius, squash in (
        (tendon, 3.4, (0.28, 1.0, 1.0)),
        (quadriceps, 3.8, (0.35, 1.0, 1.0)),
        (cruciate, 4.2, (1.0, 1.0, 1.0)),
        (posterior, 5.0, (1.0, 1.0, 1.0)),
    ):
        canvas.paint(tube(smooth_path(points), radius, squash), "tendon",
                     only_on=("fat", "muscle", "joint_fluid", "skin"))  # fmt: skip
    for points in ([(-s * 40, -4, 26), (-s * 42, -4, 0), (-s * 36, 0, -40)], [(s * 40, -6, 24), (s * 42, -18, -14)]):
        canvas.paint(tube(points, 2.0, (1.0, 0.4, 1.0)), "tendon", only_on=("fat", "muscle", "joint_fluid"))
