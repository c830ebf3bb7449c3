"""Slices of small volumes whose every voxel is known: choosing, cutting, keeping."""

import io
import os
import re
import stat
from dataclasses import replace

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_builder.core.factors import PLANES
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.slices import selection as module
from dataset_builder.slices.selection import SLICE_SCHEMA, choose_slices, cut, load_slices, save_slices

THROUGH = {"sagittal": 0, "coronal": 1, "axial": 2}
NAMES = {1: "liver", 2: "spleen", 3: "kidney_left", 4: "kidney_right", 5: "aorta", 6: "vertebrae_L1", 9: "heart"}


def volume_of(labels, image=None, spacing=(2.0, 3.0, 4.0), names=NAMES, axes=(1, 1, 1), subject="one", **identity):
    """A volume of such an array; ``axes``: 1 or -1, whether the array runs toward right, anterior, superior."""
    if image is None:
        image = np.zeros(labels.shape, np.int16)
    affine = np.diag([*np.multiply(spacing, axes), 1.0])
    affine[:3, 3] = (-100, 20, 7)
    identity = {"source": "test", "modality": "ct", "licence": "CC0-1.0", **identity}
    return volume_from_arrays(image, labels, names, affine, subject=subject, **identity)


def blocks(shape=(24, 24, 60), rows=()):
    """Boxes (value, from, to) in voxels."""
    labels = np.zeros(shape, np.uint8)
    for value, low, high in rows:
        labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return labels


def body(seed=0):
    """Random boxes, more of them in the middle."""
    random = np.random.default_rng(seed)
    labels = np.zeros((30, 26, 70), np.uint8)
    for value in (1, 2, 3, 4, 5, 6, 9, 1, 2, 3):
        centre = (random.uniform(5, 25), random.uniform(5, 21), random.normal(35, 14))
        size = random.uniform(4, 11, 3)
        low = np.maximum(0, np.round(centre - size / 2)).astype(int)
        high = np.maximum(low + 1, np.round(centre + size / 2)).astype(int)
        labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = value
    return volume_of(labels)


def visible(volume, plane, index, min_area=100.0):
    """Structures that are visible in a slice, counted voxel by voxel."""
    through = THROUGH[plane]
    labels = np.take(volume.labels, index, axis=through)
    area = np.prod([volume.spacing[axis] for axis in range(3) if axis != through])
    values, counts = np.unique(labels, return_counts=True)
    return {volume.names[v] for v, n in zip(values, counts, strict=True) if v in volume.names and n * area >= min_area}


# Choosing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_chosen_slices_are_rich(seed, count):
    volume = body(seed)
    chosen = choose_slices(volume, PLANES, count, seed)
    assert len(chosen) == len(set(chosen)) == count
    for plane, index in chosen:
        richest = max(len(visible(volume, plane, i)) for i in range(volume.labels.shape[THROUGH[plane]]))
        shown = len(visible(volume, plane, index))
        assert shown >= 2
        assert shown >= 0.8 * 0.5 * richest


def test_chosen_slices_are_in_order():
    chosen = choose_slices(body(), PLANES, 9, 0)
    assert chosen == sorted(chosen, key=lambda one: (PLANES.index(one[0]), one[1]))
    assert all(isinstance(index, int) for _, index in chosen)


@pytest.mark.parametrize("seed", range(5))
def test_slices_of_a_plane_are_spread_out(seed):
    # Two structures all along the body: every slice is as rich as any other.
    labels = blocks(rows=[(1, (0, 0, 0), (10, 24, 60)), (2, (12, 0, 0), (24, 24, 60))])
    indices = [index for _, index in choose_slices(volume_of(labels), ["axial"], 4, seed)]
    assert [index // 15 for index in indices] == [0, 1, 2, 3]
    assert np.diff(indices).min() > 7


@pytest.mark.parametrize("everywhere", [2, 4])
def test_richer_slices_are_preferred(everywhere):
    """All slices show two (or four) structures, those from 40 to 45 seven."""
    along = [(value, (3 * value, 2, 0), (3 * value + 2, 22, 60)) for value in (1, 2, 3, 4)[:everywhere]]
    rich = [(value, (3 * value, 2, 40), (3 * value + 2, 22, 46)) for value in (1, 2, 3, 4, 5, 6, 7)[everywhere:]]
    volume = volume_of(blocks((30, 24, 60), along + rich), names=NAMES | {7: "stomach"})
    shown = [len(visible(volume, "axial", index)) for index in range(60)]
    assert shown == [everywhere] * 40 + [7] * 6 + [everywhere] * 14
    for seed in range(8):
        (one,) = choose_slices(volume, ["axial"], 1, seed)
        assert 40 <= one[1] < 46
        # Less than half as rich is not rich, however far apart.
        first, second = (index for _, index in choose_slices(volume, ["axial"], 2, seed))
        assert 40 <= second < 46
        assert (40 <= first < 46) == (everywhere == 2)


def test_the_choice_is_a_function_of_labels_identity_and_seed():
    volume = body()
    first = [choose_slices(volume, PLANES, 5, seed) for seed in range(12)]
    choose_slices(body(3), PLANES, 4, 7)  # what else is chosen does not matter
    assert [choose_slices(body(), PLANES, 5, seed) for seed in range(12)] == first
    assert [choose_slices(body(), list(reversed(PLANES)), 5, seed) for seed in range(12)] == first
    bright = replace(body(), image=np.full(volume.image.shape, 900, np.int16))
    turned = replace(body(), labels=np.asfortranarray(volume.labels), names=dict(reversed(NAMES.items())))
    for same in (bright, turned):
        assert [choose_slices(same, PLANES, 5, seed) for seed in range(12)] == first
    assert len({tuple(chosen) for chosen in first}) > 6
    other = replace(body(), subject="two")
    assert [choose_slices(other, PLANES, 5, seed) for seed in range(12)] != first


def test_how_it_is_stored_does_not_matter():
    stored = body().labels
    wanted = choose_slices(volume_of(stored), PLANES, 6, 1)
    flipped = volume_of(stored[::-1, :, ::-1], axes=(-1, 1, -1))
    assert choose_slices(flipped, PLANES, 6, 1) == wanted


def test_planes_take_turns():
    first = set()
    for seed in range(20):
        planes = [plane for plane, _ in choose_slices(body(), PLANES, 4, seed)]
        counts = {plane: planes.count(plane) for plane in PLANES}
        assert sorted(counts.values()) == [1, 1, 2]
        first.add(max(counts, key=counts.get))
    assert first == set(PLANES)
    assert {plane for plane, _ in choose_slices(body(), ["coronal"], 3, 0)} == {"coronal"}
    assert choose_slices(body(), [], 3, 0) == []


def test_no_slice_with_fewer_than_two_structures():
    lonely = volume_of(blocks(rows=[(1, (0, 0, 0), (20, 20, 20))]))
    assert choose_slices(lonely, PLANES, 2, 0) == []
    # Together in the axial slices 10 to 12 only.
    pair = volume_of(blocks(rows=[(1, (0, 0, 0), (8, 8, 13)), (2, (10, 10, 10), (20, 20, 30))]))
    chosen = choose_slices(pair, PLANES, 9, 0)
    assert chosen == [("axial", 10), ("axial", 11), ("axial", 12)]


def test_a_plane_that_runs_out_leaves_its_turn_to_the_others():
    # Beside each other along the body's axis: two axial slices show both, sagittal ones all do.
    volume = volume_of(
        blocks((10, 10, 20), [(1, (0, 0, 0), (10, 10, 12)), (2, (0, 0, 12), (10, 10, 20))]), spacing=(4, 4, 4)
    )
    both = volume.labels.copy()
    both[:5, :, 12] = 1
    volume = volume_of(both, spacing=(4, 4, 4))
    planes = [plane for plane, _ in choose_slices(volume, ["axial", "sagittal"], 6, 3)]
    assert planes == ["axial"] + ["sagittal"] * 5


def test_visible_is_from_a_hundred_square_millimetres_on():
    rows = [(1, (0, 0, 0), (5, 5, 60)), (2, (10, 0, 0), (14, 4, 20)), (2, (10, 0, 20), (14, 5, 40))]
    volume = volume_of(blocks(rows=rows), spacing=(2.5, 2.0, 1.0))  # 16 voxels are 80 mm2, 20 are 100
    assert {index for _, index in choose_slices(volume, ["axial"], 99, 0)} == set(range(20, 40))
    assert {index for _, index in choose_slices(volume, ["axial"], 99, 0, 80.0)} == set(range(40))
    assert choose_slices(volume, ["axial"], 99, 0, 126.0) == []


def test_values_without_a_voxel_count_for_nothing():
    volume = volume_of(blocks(rows=[(1, (0, 0, 0), (10, 24, 60))]), names={1: "liver", 200: "spleen"})
    assert choose_slices(volume, ["axial"], 2, 0) == []


# Cutting -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def known():
    image = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    labels = (image % 7).astype(np.uint8)
    return volume_of(labels, image, names=dict(enumerate("abcdef", 1)), spacing=(2.0, 3.0, 5.0))


@pytest.mark.parametrize(
    ("plane", "spacing", "thickness"),
    [("axial", (2, 3), 5), ("coronal", (2, 5), 3), ("sagittal", (3, 5), 2)],
)
def test_a_slice_has_the_volumes_voxels_and_spacing(known, plane, spacing, thickness):
    through = THROUGH[plane]
    for index in range(known.labels.shape[through]):
        record = cut(known, plane, index)
        np.testing.assert_array_equal(record.image, np.take(known.image, index, through))
        np.testing.assert_array_equal(record.labels, np.take(known.labels, index, through))
        assert (record.plane, record.index) == (plane, index)
        assert record.spacing == spacing
        assert record.thickness_mm == thickness
        assert record.shape == record.labels.shape


def test_a_slice_keeps_what_is_known_of_its_volume(known):
    record = cut(known, "axial", 1)
    assert (record.source, record.subject, record.modality, record.licence) == ("test", "one", "ct", "CC0-1.0")
    assert record.side is None
    assert record.names == known.names
    assert record.volume_shape == (2, 3, 4)
    np.testing.assert_array_equal(record.affine, known.affine)
    np.testing.assert_allclose(record.intensity_range, np.percentile(np.arange(24), (0.5, 99.5)))
    limb = cut(replace(known, side="left"), "coronal", 0)
    assert (limb.side, limb.midline_mm) == ("left", None)


def test_a_slice_knows_the_midline():
    labels = blocks(rows=[(6, (10, 0, 0), (13, 5, 5)), (1, (15, 5, 0), (24, 9, 9))])
    assert cut(volume_of(labels), "sagittal", 3).midline_mm == 11 * 2.0
    assert cut(volume_of(labels), "axial", 3, {}).midline_mm is None  # a vocabulary that knows no vertebra


@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_is_a_copy(known, plane):
    flipped = replace(known, image=known.image[::-1], labels=known.labels[:, ::-1])
    record = cut(flipped, plane, 0)
    for mine, its in ((record.image, flipped.image), (record.labels, flipped.labels)):
        assert not np.shares_memory(mine, its)
        assert mine.flags.c_contiguous
    record.affine[:] = 0
    assert flipped.affine.any()
    assert record.names is not flipped.names


def test_the_intensity_range_of_a_large_volume_is_near_that_of_all_voxels():
    image = np.random.default_rng(0).normal(100, 30, (150, 160, 170)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[0] = 1
    record = cut(volume_of(labels, image), "axial", 0)
    np.testing.assert_allclose(record.intensity_range, np.percentile(image, (0.5, 99.5)), atol=1.0)


# Keeping -------------------------------------------------------------------------------------------------------------


def record_of(image, labels=None, **changes):
    if labels is None:
        labels = (np.arange(image.size).reshape(image.shape) % 5).astype(np.uint8)
    volume = Volume(
        source="källa", subject="s/1", modality="mri", licence="CC-BY 4.0", side=None,
        image=image[:, :, None], labels=labels[:, :, None], names=NAMES, spacing=(0.7, 1 / 3, 5.0),
        affine=np.random.default_rng(0).normal(size=(4, 4)), obliquity_deg=0.0, stored_axes="RAS",
    )  # fmt: skip
    return replace(cut(volume, "axial", 0), **changes)


def kept(tmp_path, *records):
    save_slices(records, tmp_path / "slices.parquet")
    return load_slices(tmp_path / "slices.parquet")


def whole(dtype, *values):
    return np.array([*values, *values[::-1]], dtype).reshape(2, -1)


@pytest.mark.parametrize(
    "image",
    [
        whole(np.int16, -1024, 0, 3071),
        whole(np.int16, -32768, 0, 32767),
        whole(np.uint16, 0, 40000, 65535),
        whole(np.uint8, 0, 7, 255),
        whole(np.int32, 1_000_000, 1_000_001, 1_065_535),
        whole(np.float32, -1000, 250, 2000),
        whole(np.float32, 0.25, 0.25, 0.25),
        whole(np.float64, 1e9, 1e9 + 5, 1e9 + 65535),
        whole(np.int16, 7, 7, 7),
    ],
    ids=str,
)
def test_whole_numbers_that_fit_come_back_exactly(tmp_path, image):
    (found,) = kept(tmp_path, record_of(image))
    np.testing.assert_array_equal(found.image, image)
    assert found.image.dtype == image.dtype
    (row,) = pq.read_table(tmp_path / "slices.parquet").to_pylist()
    assert row["slope"] == 1


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=6, max_size=6),
    st.sampled_from([np.float32, np.float64, np.int32]),
)
def test_other_values_come_back_to_half_a_step(tmp_path_factory, values, dtype):
    image = np.array(values, dtype).reshape(2, 3)
    folder = tmp_path_factory.mktemp("slices")
    (found,) = kept(folder, record_of(image))
    (row,) = pq.read_table(folder / "slices.parquet").to_pylist()
    assert found.image.dtype == dtype
    spread = float(image.max().astype(np.float64) - image.min())
    if row["slope"] == 1:
        limit = 0.0
    else:
        assert row["slope"] == pytest.approx(spread / 65535)
        limit = row["slope"] / 2
    rounding = 0.5 * (row["slope"] != 1) if dtype == np.int32 else np.spacing(np.abs(image).max()).astype(float)
    off = np.abs(found.image.astype(np.float64) - image)
    assert off.max() <= limit + rounding


def test_whole_numbers_that_do_not_fit_are_rounded_not_cut(tmp_path):
    image = np.arange(98_304, dtype=np.int32).reshape(256, 384)  # steps of 1.5
    (found,) = kept(tmp_path, record_of(image))
    off = found.image - image
    assert np.abs(off).max() == 1
    assert abs(off.mean()) < 0.01


@pytest.mark.parametrize(("dtype", "highest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_labels_come_back_exactly_in_their_own_type(tmp_path, dtype, highest):
    labels = np.array([[0, 1, highest], [highest // 2, 0, 3]], dtype)
    (found,) = kept(tmp_path, record_of(np.zeros((2, 3), np.int16), labels))
    assert found.labels.dtype == dtype
    np.testing.assert_array_equal(found.labels, labels)


def test_everything_comes_back(tmp_path):
    image = np.arange(12, dtype=np.int16).reshape(3, 4)
    plain = record_of(image, midline_mm=31.7, subject="first")
    limb = record_of(image, side="right", midline_mm=None, names={65535: "fibula", 1: "femur"}, subject="second")
    found = kept(tmp_path, plain, limb)
    assert [record.subject for record in found] == ["first", "second"]
    for before, after in zip((plain, limb), found, strict=True):
        for field in before.__dataclass_fields__:
            one, other = getattr(before, field), getattr(after, field)
            if isinstance(one, np.ndarray):
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype
            else:
                assert one == other, field
                assert type(one) is type(other), field


def test_no_slices_are_kept_as_none(tmp_path):
    assert kept(tmp_path) == []


def test_the_image_is_the_stored_array(tmp_path):
    """What the table promises its readers: columns = first index, rows = second, value = slope * pixel + intercept."""
    image = np.array([[-5, 10, 20, 30], [40, 50, 60, 70], [80, 90, 100, 2000]], np.int16)
    record = record_of(image)
    kept(tmp_path, record)
    (row,) = pq.read_table(tmp_path / "slices.parquet").to_pylist()
    with Image.open(io.BytesIO(row["image"]["bytes"])) as opened:
        assert opened.format == "PNG"
        assert opened.size == (3, 4)
        pixels = np.asarray(opened).astype(np.float64)
    with Image.open(io.BytesIO(row["labels"]["bytes"])) as opened:
        shown = np.asarray(opened)
    for u, v in np.ndindex(image.shape):
        assert pixels[v, u] * row["slope"] + row["intercept"] == image[u, v]
        assert shown[v, u] == record.labels[u, v]
    assert row["spacing_mm"] == [0.7, 1 / 3]
    assert row["names"] == [{"value": value, "name": name} for value, name in sorted(NAMES.items())]


def test_datasets_reads_the_columns_that_are_documented(tmp_path):
    kept(tmp_path, record_of(np.zeros((2, 3), np.int16)))
    read = datasets.Features.from_arrow_schema(pq.read_schema(tmp_path / "slices.parquet"))
    assert read == datasets.Features.from_arrow_schema(SLICE_SCHEMA)
    table = module.__doc__.split("========")[1:]
    documented = re.findall(r"^([a-z][\w, ]*?)\s{2,}\S", "".join(table), re.MULTILINE)
    assert {name for row in documented for name in row.split(", ")} - {"column"} == set(SLICE_SCHEMA.names)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "slices.parquet"
    save_slices([record_of(np.zeros((2, 3), np.int16))], path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        save_slices([record_of(np.ones((2, 3), np.int16))], path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["slices.parquet"]


def test_the_same_slices_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_slices([record_of(np.arange(6, dtype=np.int16).reshape(2, 3))], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
