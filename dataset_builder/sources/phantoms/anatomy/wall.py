"""Skin, fat and the muscles of the trunk, and the couch under it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.anatomy.individual import Individual
from dataset_builder.sources.phantoms.anatomy.standard import (
    CAVITY,
    HIGHEST,
    LEAN,
    LOWEST,
    SIDES,
    WIDTH,
    gyroid,
    spine_y,
)
from dataset_builder.sources.phantoms.canvas import Canvas
from dataset_builder.sources.phantoms.shapes import (
    Column,
    Coordinates,
    Shape,
    plate,
    region,
    tube,
)


def skin_of(body: Individual) -> Column:
    """The body's surface, arms and legs aside."""
    knots = []
    for z, y, width, depth in LEAN:
        # More fat on the belly and the hips than on the chest, and more in front than behind.
        fat = body.fat * float(np.interp(z, (-130, -40, 60, 200, 330, 430, 500), (1.0, 1.15, 1.2, 0.9, 0.55, 0.5, 0.5)))
        fat += 2
        knots.append((z, y + 0.2 * fat, width + fat, depth + 0.95 * fat))
    return Column(tuple(knots), squareness=0.25)


def paint_couch(canvas: Canvas, skin: Column) -> None:
    """Paint the couch that the body lies on."""
    back = min(y - depth for _, y, _, depth in skin.knots) - 8

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        del z
        top = np.float32(back) + x * x * np.float32(1 / 1500)
        return np.abs(y - top) - np.float32(2.8)

    canvas.paint(Shape((-WIDTH, back - 5, LOWEST - 60), (WIDTH, back + 40, HIGHEST + 60), distance), "couch")


def paint_wall(canvas: Canvas, body: Individual, skin: Column) -> None:
    """Paint skin, fat and muscle down to the cavities' linings."""
    lean = Column(LEAN, squareness=0.25).shape()
    limbs: list[Shape] = []
    for _, s in SIDES:
        limbs += tube([(s * 93, -6, -70), (s * 99, -6, -330)], (80, 70))
        limbs += tube([(s * 140, -22, 452), (s * 176, -12, 488), (s * 212, 2, 590)], (50, 50, 42))
    layer = max(3.0, body.fat * 0.7)
    canvas.paint([skin.shape(), *(limb.grow(layer) for limb in limbs)], "skin", core="fat", rind=2.0)
    canvas.paint(lean, "muscle")
    canvas.paint(limbs, "muscle")
    # Seams of fat between the muscles of the limbs and, in layers, of the wall.
    seams = region(lambda x, y, z: np.abs(gyroid(x, y, z, 78.0)) - np.float32(0.11))
    canvas.paint([limb & seams for limb in limbs], "fascia", only_on=("muscle",))
    canvas.paint(Shape(lean.low, lean.high, lambda x, y, z: _layers(lean.distance(x, y, z), x, z)), "fascia",
                 only_on=("muscle",))  # fmt: skip
    canvas.paint(CAVITY.shape(), "fat")


def _layers(depth: npt.NDArray[np.float32], x: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
    """Two seams under the surface that ``depth`` is measured from, broken up along the body."""
    seam = np.abs(np.mod(depth, np.float32(9)) - np.float32(4.5)) - np.float32(0.8)
    gaps = np.sin(z * np.float32(0.045) + x * np.float32(0.03)) - np.float32(0.4)
    return np.maximum(np.maximum(seam, gaps), np.float32(-20) - depth)


def _muscle(canvas: Canvas, shapes: Sequence[Shape], name: str) -> None:
    """A muscle with the thin sheath of fat that parts it from its neighbours."""
    canvas.paint([shape.grow(1.8) for shape in shapes], "fascia", only_on=("muscle", "fascia"), keep_label=True)
    canvas.paint(shapes, "muscle", name)


def paint_muscles(canvas: Canvas) -> None:
    """Paint the muscles of back, hip and pelvis, each in its sheath."""
    # Behind and beside the vertebrae the lungs end at the ribs' heads; what lies there is muscle.
    jacket = [
        (0.0, spine_y(z) - (36.0 if z < 480 else 26.0), z) for z in (160.0, 220.0, 290.0, 360.0, 430.0, 470.0, 505.0)
    ]
    canvas.paint(tube(jacket, (20, 27, 28, 28, 27, 26, 24), (0.72, 1, 1)), "muscle")
    for side, s in SIDES:
        heights = (-95, -45, 0, 50, 110, 170, 230, 290, 350, 410, 460, 505)
        radii = (7, 15, 20, 22, 22, 21, 20, 18, 16, 14, 13, 12)
        back = (-94, -94, -86, -82, -81, -84, -89, -92, -93, -90, -78, -62)
        points = [(s * (24 + 0.45 * r), y, z) for z, y, r in zip(heights, back, radii, strict=True)]
        _muscle(canvas, tube(points, radii, (0.78, 1, 1)), f"autochthon_{side}")
        lumborum = tube([(s * 66, -56, 165), (s * 74, -58, 100), (s * 80, -58, 50)], (7, 10, 12), (0.6, 1, 1))
        canvas.paint(lumborum, "muscle")
        psoas = [(s * 27, -38, 178), (s * 38, -32, 125), (s * 46, -24, 75), (s * 56, -16, 30), (s * 68, 2, -15),
                 (s * 84, 30, -55), (s * 96, 28, -90), (s * 104, 8, -128)]  # fmt: skip
        _muscle(canvas, tube(psoas, (7, 15, 20, 22, 21, 19, 16, 11)), f"iliopsoas_{side}")
        iliacus = [
            plate((s * 62, -52, 12), (s * 112, 20, 18), (s * 74, -14, -42), 24),
            plate((s * 112, 20, 18), (s * 90, 18, -45), (s * 74, -14, -42), 22),
        ]
        canvas.paint(iliacus, "muscle", f"iliopsoas_{side}", only_on=("muscle", "fascia", "fat"))
        maximus = [
            plate((s * 52, -92, -2), (s * 40, -92, -92), (s * 128, -52, -110), 36),
            plate((s * 52, -92, -2), (s * 128, -52, -110), (s * 122, -58, -50), 34),
            plate((s * 40, -92, -92), (s * 66, -84, -135), (s * 132, -46, -125), 34),
        ]
        _muscle(canvas, maximus, f"gluteus_maximus_{side}")
        medius = [
            plate((s * 92, -56, 32), (s * 133, 8, 30), (s * 138, -12, -88), 26),
            plate((s * 92, -56, 32), (s * 138, -12, -88), (s * 106, -58, -30), 26),
        ]
        _muscle(canvas, medius, f"gluteus_medius_{side}")
        minimus = plate((s * 108, -28, -8), (s * 122, 18, -18), (s * 128, 2, -82), 15)
        _muscle(canvas, [minimus], f"gluteus_minimus_{side}")
        # Inside the pelvis: the obturator muscle along its wall, and the levator that closes its floor.
        wall = [
            plate((s * 76, -40, -60), (s * 62, 34, -88), (s * 62, -34, -128), 13),
            plate((s * 62, 34, -88), (s * 40, 26, -122), (s * 62, -34, -128), 12),
        ]
        canvas.paint(wall, "muscle", only_on=("fat", "muscle", "fascia"))
        floor = tube([(s * 52, 10, -104), (s * 28, -8, -128), (s * 14, -40, -134), (s * 6, -70, -112)], 4.0)
        canvas.paint(floor, "muscle", only_on=("fat",))
        piriform = plate((s * 28, -76, -50), (s * 74, -52, -72), (s * 30, -78, -74), 15)
        canvas.paint(piriform, "muscle", only_on=("fat", "muscle", "fascia"))
