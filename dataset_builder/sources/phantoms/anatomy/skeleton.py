"""Spine, pelvis, rib cage and shoulders."""

import numpy as np
import numpy.typing as npt

from dataset_builder.sources.phantoms.anatomy.standard import (
    CAVITY,
    SIDES,
    VERTEBRAE,
    spine_y,
)
from dataset_builder.sources.phantoms.canvas import Canvas
from dataset_builder.sources.phantoms.shapes import (
    Column,
    Coordinates,
    Point,
    Shape,
    ellipsoid,
    half_space,
    plate,
    smooth_path,
    sphere,
    tube,
)


def paint_spine(canvas: Canvas) -> None:
    """Paint vertebrae, discs, sacrum and what runs in their canal."""
    heights = (20.0, 60.0, 110.0, 160.0, 220.0, 280.0, 340.0, 400.0, 450.0, 500.0, 545.0)
    canal = [(0.0, spine_y(z) - 27 - (4 if z < 200 else 0), z) for z in heights]
    bottom = 0.0
    for level, height in VERTEBRAE:
        lumbar = level.startswith("L")
        size = float(np.interp(bottom, (0, 187, 300, 480, 520), (1.0, 0.88, 0.74, 0.62, 0.58)))
        disc = 8.5 if lumbar else float(np.interp(bottom, (187, 300, 500), (6.5, 4.0, 4.5)))
        low, high = bottom + disc, bottom + height
        middle = (low + high) / 2
        y = spine_y(middle)
        width, depth = 25 * size, 18 * size
        lean = (spine_y(high) - spine_y(low)) / (high - low)
        name = f"vertebrae_{level}"
        disc_y = spine_y(bottom + disc / 2)
        canvas.paint(
            _drum((0, disc_y, bottom + disc / 2), width * 0.98, depth * 0.98, disc + 1, lean),
            "disc",
            "intervertebral_discs",
        )
        back = y - 27 - (4 if middle < 200 else 0)  # the canal's centre
        process = 26 if lumbar else float(np.interp(middle, (187, 230, 440, 500), (23, 17, 17, 18)))
        arch: list[Shape] = []
        for _, s in SIDES:
            arch += tube([(s * 12, y - 6 * size, high - 8), (s * 13, back, high - 10), (s * 4, back - 13, middle - 2)],
                         (5.5 * size + 1, 5.0, 4.5))  # fmt: skip
            tip = (s * (42 if lumbar else 33), back - (4 if lumbar else 12), high - 9)
            arch += tube([(s * 14, back - 2, high - 10), tip], (4.5, 3.6))
        arch += tube([(0, back - 13, middle - 1), (0, back - 13 - process, middle - (10 if lumbar else 20))],
                     (5.0, 4.2), (1.3, 1, 0.55 if lumbar else 0.8))  # fmt: skip
        canvas.paint(arch, "compact_bone", name, core="spongy_bone", rind=2.2)
        drum = _drum((0, y, middle), width, depth, high - low, lean)
        canvas.paint(drum, "compact_bone", name, core="spongy_bone", rind=2.0)
        bottom += height
    sac = tube([(0, -66, -35), (0, -62, 0), *canal], 9.0)
    canvas.paint(sac, "spinal_fluid")
    cord = [point for point in canal if point[2] >= 110]
    canvas.paint(tube([(0, cord[0][1], 125), *cord[1:]], 6.8), "cord", "spinal_cord")
    sacrum = Column(
        (
            (-112.0, -74.0, 5.0, 5.0), (-100.0, -80.0, 9.0, 6.0), (-85.0, -85.0, 20.0, 8.0), (-60.0, -80.0, 36.0, 13.0),
            (-35.0, -68.0, 50.0, 18.0), (-12.0, -52.0, 54.0, 19.0), (-2.0, -44.0, 32.0, 17.0),
        ),
        squareness=0.4,
    ).shape()  # fmt: skip
    crest = tube([(0, -82, -12), (0, -98, -45), (0, -96, -80)], 5)
    canvas.paint([sacrum, *crest], "compact_bone", "sacrum", core="spongy_bone", rind=2.5)
    canvas.paint(tube([(0, -64, -5), (0, -80, -38), (0, -88, -70)], (7, 6, 4), (0.7, 1, 1)), "fat")
    for _, s in SIDES:
        for y, z in ((-62, -22), (-74, -42), (-81, -60)):
            canvas.paint(tube([(s * 22, y + 16, z), (s * 20, y - 16, z)], 3.2), "fat")


def _drum(centre: Point, width: float, depth: float, height: float, lean: float) -> Shape:
    """A vertebral body or disc: an oval drum, waisted, its end plates square to the spine's course.

    Args:
        centre: mm.
        width, depth, height: half width, half depth and full height, mm.
        lean: how far the spine runs anterior for each mm up.
    """
    cy, cz = np.float32(centre[1]), np.float32(centre[2])
    slope = np.float32(lean)

    def distance(x: Coordinates, y: Coordinates, z: Coordinates) -> npt.NDArray[np.float32]:
        up = (z - cz) + slope * (y - cy)
        across = (y - cy) - slope * (z - cz)
        waist = 1 - np.float32(0.1) * np.clip(1 - (2 * up / np.float32(height)) ** 2, 0, 1)
        # The back of a vertebral body is flat, where it meets the canal.
        flat = np.where(across < 0, np.float32(1.12), np.float32(1.0))
        ring = np.sqrt((x / np.float32(width)) ** 2 + (across * flat / np.float32(depth)) ** 2)
        return np.maximum((ring - waist) * np.float32(depth), np.abs(up) - np.float32(height / 2))

    reach = height / 2 + abs(lean) * depth
    side = depth + abs(lean) * height / 2
    return Shape(
        (centre[0] - width, centre[1] - side, centre[2] - reach),
        (centre[0] + width, centre[1] + side, centre[2] + reach),
        distance,
    )


def paint_pelvis(canvas: Canvas) -> None:
    """Paint the hip bones and the upper ends of the femurs in their sockets."""
    for side, s in SIDES:
        crest = [(s * 50, -84, 12), (s * 86, -62, 42), (s * 122, -8, 44), (s * 126, 40, 8)]
        rim = [(s * 56, -66, -38), (s * 72, -46, -44), (s * 92, -8, -52), (s * 104, 30, -34)]
        wing: list[Shape] = []
        for i in range(3):
            wing += [plate(crest[i], crest[i + 1], rim[i + 1], 9), plate(crest[i], rim[i + 1], rim[i], 9)]
        thick = [
            *tube(crest, (9, 6.5, 6.5, 7)),
            *tube([(s * 56, -66, -30), (s * 74, -38, -55), (s * 84, -14, -72)], (9, 11, 15)),
            *tube([(s * 104, 30, -34), (s * 94, 16, -58)], (7, 11)),
            *tube([(s * 78, -28, -92), (s * 70, -42, -118), (s * 62, -42, -142)], (13, 13, 15)),
            *tube([(s * 62, -36, -146), (s * 34, 6, -134), (s * 12, 42, -114)], (9, 6.5, 8)),
            *tube([(s * 82, 16, -72), (s * 48, 42, -82), (s * 12, 48, -100)], (11, 8, 11)),
            *tube([(s * 12, 48, -98), (s * 10, 40, -120)], (10, 8)),
        ]
        hip = (s * 92.0, 2.0, -84.0)
        socket = (sphere(hip, 34) & half_space((hip[0] + s * 6, hip[1], hip[2] - 4), (s * 0.8, 0.15, -0.55))) - sphere(
            hip, 25.5
        )
        name = f"hip_{side}"
        canvas.paint([*wing, *thick], "compact_bone", name, core="spongy_bone", rind=2.4)
        canvas.paint(socket, "compact_bone", name, core="spongy_bone", rind=2.0)
        canvas.paint(sphere(hip, 25.6), "cartilage")
        femur = f"femur_{side}"
        shaft = tube([(s * 130, -6, -118), (s * 127, -2, -150), (s * 118, 2, -340)], (18, 16, 14))
        top = [
            sphere(hip, 24),
            *tube([hip, (s * 120, -4, -110)], (16, 16)),
            ellipsoid((s * 138, -14, -108), (14, 18, 24)),
            sphere((s * 116, -22, -140), 11),
        ]
        canvas.paint(top, "compact_bone", femur, core="spongy_bone", rind=2.0)
        canvas.paint(shaft, "compact_bone", femur, core="marrow", rind=5.0)


def paint_rib_cage(canvas: Canvas) -> None:
    """Paint the ribs (without labels), their cartilages and the sternum."""
    bottom = 0.0
    tops = {}
    for level, height in VERTEBRAE:
        bottom += height
        tops[level] = bottom
    drops = (34, 48, 60, 70, 78, 84, 88, 92, 92, 88, 66, 40)
    ends = (152, 148, 146, 144, 143, 141, 137, 128, 120, 110, 92, 60)
    attach = (446, 430, 410, 390, 370, 352, 338, 322, 306, 292)
    cartilage: list[Shape] = []
    for i, (drop, last) in enumerate(zip(drops, ends, strict=True)):
        head = tops[f"T{i + 1}"] - 4
        for _, s in SIDES:
            start = min(40.0, last - 20)
            angles = np.linspace(start, last, 14)
            y = spine_y(head)
            path: list[Point] = [(s * 20, y - 18, head), (s * 38, y - 34, head - 1)]
            for angle in angles:
                share = float((1 - np.cos(np.radians(angle))) / 2)
                z = head - drop * share * 1.1
                x, y, _ = CAVITY.rim(z, float(angle), 5.5)
                path.append((s * abs(x), y, z))
            canvas.paint(tube(path, 4.6, (1, 1, 0.68)), "compact_bone", core="spongy_bone", rind=2.2)
            if i < len(attach):
                x, y, z = CAVITY.rim(attach[i], 172 if i < 7 else 166, 6)
                tip = (s * max(20.0 if i < 7 else 32.0, abs(x)), y, z)
                way = [path[-1], _between(path[-1], tip, attach[i]), tip]
                cartilage += tube(way, 4.8, (1, 1, 0.75))
    canvas.paint(cartilage, "cartilage", "costal_cartilages")
    front = {z: CAVITY.rim(z, 180, 9)[1] for z in (462, 440, 420, 380, 340, 306, 286)}
    sternum = [
        *tube([(0, front[462] + 2, 460), (0, front[440], 440), (0, front[420], 422)], (8, 7.5, 6.5), (0.32, 1, 1)),
        *tube([(0, front[420], 422), (0, front[380], 380), (0, front[340], 340)], (6.5, 6.5, 6.5), (0.4, 1, 1)),
        *tube([(0, front[340], 340), (0, front[306], 312), (0, front[286], 290)], (6.5, 5.5, 4.0), (0.45, 1, 1)),
    ]
    canvas.paint(sternum, "compact_bone", "sternum", core="spongy_bone", rind=1.8)


def _between(first: Point, last: Point, z: float) -> Point:
    """A point on the chest's surface half-way round from one to the other, nearer the second's height."""
    low = 0.6 * first[2] + 0.4 * z
    sign = 1.0 if first[0] > 0 else -1.0
    _, width, depth = CAVITY.at(low)
    centre = CAVITY.at(low)[0]
    angles = [np.degrees(np.arctan2(abs(x) / width, (centre - y) / depth)) for x, y, _ in (first, last)]
    x, y, _ = CAVITY.rim(low, float(np.mean(angles)), 5.5)
    return (sign * abs(x), y, low)


def paint_shoulders(canvas: Canvas) -> None:
    """Paint collarbones, shoulder blades and the upper arms, which are raised."""
    for side, s in SIDES:
        sternal_y = CAVITY.rim(455, 180, 12)[1]
        clavicle = smooth_path(
            [(s * 18, sternal_y, 458), (s * 55, sternal_y + 6, 472), (s * 100, 10, 484), (s * 142, -16, 492)]
        )
        canvas.paint(tube(clavicle, (8.5, 7.5, 7, *([6] * (len(clavicle) - 3)))), "compact_bone", f"clavicula_{side}",
                     core="spongy_bone", rind=2.6)  # fmt: skip
        upper, lower, socket = (s * 68.0, -80.0, 462.0), (s * 98.0, -86.0, 350.0), (s * 140.0, -34.0, 462.0)
        blade = [
            plate(upper, lower, socket, 7),
            *tube([lower, socket], 5.5),
            *tube([upper, lower], 4.0),
            ellipsoid((s * 143, -30, 464), (9, 14, 18)),
            *tube([(s * 80, -88, 452), (s * 125, -70, 476), (s * 156, -44, 494), (s * 158, -20, 498)], (4, 5, 6.5, 6)),
            *tube([(s * 138, -24, 474), (s * 130, 10, 482)], 6),
        ]
        canvas.paint(blade, "compact_bone", f"scapula_{side}", core="spongy_bone", rind=2.4)
        head = (s * 170.0, -18.0, 470.0)
        canvas.paint([sphere(head, 23), *tube([head, (s * 186, -8, 500)], (18, 15))], "compact_bone", f"humerus_{side}",
                     core="spongy_bone", rind=2.0)  # fmt: skip
        canvas.paint(tube([(s * 184, -9, 496), (s * 216, 4, 600)], (14, 11)), "compact_bone", f"humerus_{side}",
                     core="marrow", rind=4.0)  # fmt: skip
