"""Slices drawn by hand, of whose facts the answers are known, and what their facts say.

Slices are drawn with patient directions as they stand in the array: u and v grow toward right, anterior, superior.
"""

import numpy as np
from hypothesis import strategies as st

from dataset_builder.slices.selection import SliceRecord

OPPOSITES = [
    ("right", "left"),
    ("anterior", "posterior"),
    ("superior", "inferior"),
    ("medial", "lateral"),
    ("proximal", "distal"),
    ("adjacent", "apart"),
    ("between", "outside"),
    ("nearer", "farther"),
    ("larger", "smaller"),
    ("same side", "opposite sides"),
    ("encloses", "enclosed by"),
]
OPPOSITE = {term: other for pair in OPPOSITES for term, other in (pair, pair[::-1])}


def image_of(labels):
    """An image in which every structure stands out from what is around it, in every window."""
    return np.where(labels == 0, -160, labels.astype(np.int16) * 67 % 290 - 60).astype(np.int16)


def record_of(labels, names, plane="axial", spacing=(1.0, 1.0), midline=None, side=None, affine=None, subject="one"):
    return SliceRecord(
        source="test",
        subject=subject,
        modality="ct",
        licence="",
        side=side,
        plane=plane,
        index=7,
        image=image_of(labels),
        labels=labels,
        names=names,
        spacing=spacing,
        thickness_mm=2.0,
        affine=np.eye(4) if affine is None else affine,
        volume_shape=(64, 64, 64),
        midline_mm=midline,
        intensity_range=(0.0, 1.0),
    )


def draw(shape=(120, 120), absent=(), **rectangles):
    """A slice record with rectangles (u0, u1, v0, v1), half-open; later ones lie on top.

    Keyword ``record`` holds further arguments of :func:`record_of`.
    """
    options = rectangles.pop("record", {})
    labels = np.zeros(shape, np.uint8)
    names = {}
    for value, (name, parts) in enumerate(rectangles.items(), 1):
        names[value] = name
        for u0, u1, v0, v1 in parts if isinstance(parts, list) else [parts]:
            labels[u0:u1, v0:v1] = value
    names |= dict(enumerate(absent, len(names) + 1))
    return record_of(labels, names, **options)


def statements(facts, kind=None, axis=None):
    """Both items of every fact: {structures: relation}; an item said twice is an error."""
    said = {}
    for fact in facts:
        if (kind and fact.kind != kind) or (axis and fact.axis != axis):
            continue
        for names, relation in ((fact.structures, fact.relation), (fact.inverse_structures, fact.inverse_relation)):
            key = (fact.kind, fact.axis, names)
            assert key not in said
            said[key] = relation
    return {key[2]: relation for key, relation in said.items()}


def both_ways(a, b, relation):
    return {(a, b): relation, (b, a): OPPOSITE[relation]}


BLOBS = st.lists(
    st.tuples(st.integers(0, 47), st.integers(0, 39), st.integers(2, 14), st.integers(2, 14), st.booleans()),
    min_size=2,
    max_size=7,
)
ORGANS = ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "gallbladder", "adrenal_gland_left")


def blobs(shapes, shape=(48, 40)):
    """Random ellipses and rectangles, later ones on top of earlier ones."""
    u, v = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.uint8)
    for value, (at_u, at_v, half_u, half_v, ellipse) in enumerate(shapes, 1):
        du, dv = (u - at_u) / half_u, (v - at_v) / half_v
        labels[(du**2 + dv**2 <= 1) if ellipse else (np.maximum(abs(du), abs(dv)) <= 1)] = value
    return labels


def body(seed=0, absent=()):
    """A slice with ten organs in places that depend on the seed."""
    names = [
        "liver",
        "spleen",
        "stomach",
        "kidney_left",
        "kidney_right",
        "aorta",
        "vertebrae_L1",
        "rib_left_9",
        "rib_left_10",
        "duodenum",
    ]
    order = np.random.default_rng(seed).permutation(12)
    spots = {
        name: (40 * (at % 4), 40 * (at % 4) + 15 + i, 40 * (at // 4), 40 * (at // 4) + 16)
        for i, (name, at) in enumerate(zip(names, order, strict=False))
    }
    return draw((160, 120), absent, **spots, record={"midline": 75.0, "subject": f"body {seed}"})


ABSENT = ("small_bowel", "vertebrae_L2", "pancreas", "colon", "gallbladder", "rib_left_11", "rib_right_9", "heart")
