"""Slices: which ones of a volume to show, cutting them out, and the table that keeps them.

The table (Parquet; the config ``slices`` of the data set) has one row per slice. Its images are the slice as stored
(convention ``ras``): columns = first in-plane index, rows = second, so that pixel (x, y) is voxel (u, v).

========================  =============================================================================================
column                    meaning
========================  =============================================================================================
source, subject           where the volume is from, and the source's own identifier of it
patient                   whose scan it is, if not the subject's; null for the subject's
scan_sha256               hash of a private scan's values: draws depend on it in place of source and subject; else null
modality, plane, licence  factors; of the scan
side                      side of the limb (knees), else null
slice_index               index in the RAS+ array along the plane's axis
image                     PNG, 16-bit grey: value = slope * pixel + intercept
slope, intercept          see ``image``; slope is 1 where the values are whole numbers that fit: then nothing is lost;
                          else it is the slice's range / 65535, and a value is off by at most half a slope
value_type, labels        numpy type of the values; PNG, 8 or 16 bit: the structure's value, 0 for none
names                     value and canonical name of every structure that the source labels, also absent ones
spacing_mm, thickness_mm  voxel size along columns and rows; distance between slices
affine, volume_shape      4 x 4, index in the RAS+ array -> world mm; of that array
stack                     name of the stack that the slice is one of, else empty; its slices stand in ascending order
through_mm                of each structure in the volume: 25th percentile, mean and 75th percentile of its voxels'
                          positions along the plane's axis, index * spacing
seen_in                   of each structure: in which of the slices that could have been chosen (of up to 63, spread
                          evenly, a bit each) it is clearly visible, and in which it has a pixel at all
midline_mm                position of the body's midline along the R axis, from the array's left end; null if unknown
through_world_mm          as through_mm, along the world's axis that the plane's axis stands for, counted from the
                          array's first voxel; of tilted scans only
midline_world_mm          the midline along the world's axis, counted the same way; null if unknown
intensity_range           0.5th and 99.5th percentile of the volume's values
========================  =============================================================================================
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.core.factors import PLANES, Modality, Plane, Side
from dataset_builder.core.hashing import digest
from dataset_builder.core.settings import VISIBLE_MM2
from dataset_builder.dataset.arrow_schema import IMAGE, described
from dataset_builder.files.atomic import replacing
from dataset_builder.files.memoize import remembered
from dataset_builder.files.object_storage import Place, get_many, is_remote, put_bytes
from dataset_builder.imaging.geometry import (
    IN_PLANE_AXES,
    OBLIQUE_DEG,
    PLANE_AXIS,
    Spacing2D,
    obliquity_deg,
    take_slice,
)
from dataset_builder.imaging.laterality import midline, world_midline
from dataset_builder.imaging.through import through, through_world
from dataset_builder.imaging.volume import Volume, drawn_by
from dataset_builder.slices.visibility import MIN_STRUCTURES, areas, seen_in, spread_out
from dataset_builder.vocabulary import Structure, structures

INTENSITY_PERCENTILES = (0.5, 99.5)
_INTENSITY_SAMPLES = 2_000_000

SLICE_SCHEMA = described(
    {
        "source": pa.string(),
        "subject": pa.string(),
        "patient": pa.string(),
        "scan_sha256": pa.string(),
        "modality": pa.string(),
        "plane": pa.string(),
        "licence": pa.string(),
        "side": pa.string(),
        "slice_index": pa.int32(),
        "image": IMAGE,
        "slope": pa.float64(),
        "intercept": pa.float64(),
        "value_type": pa.string(),
        "labels": IMAGE,
        "names": pa.list_(pa.struct({"value": pa.int32(), "name": pa.string()})),
        "spacing_mm": pa.list_(pa.float64()),
        "thickness_mm": pa.float64(),
        "affine": pa.list_(pa.list_(pa.float64())),
        "volume_shape": pa.list_(pa.int32()),
        "stack": pa.string(),
        "through_mm": pa.list_(pa.struct({"value": pa.int32(), "positions": pa.list_(pa.float64())})),
        "seen_in": pa.list_(pa.struct({"value": pa.int32(), "visible": pa.int64(), "present": pa.int64()})),
        "midline_mm": pa.float64(),
        "through_world_mm": pa.list_(pa.struct({"value": pa.int32(), "positions": pa.list_(pa.float64())})),
        "midline_world_mm": pa.float64(),
        "intensity_range": pa.list_(pa.float64()),
    }
)
"""Columns of the table; the module's docstring says what they mean."""


@dataclass(frozen=True, eq=False)
class SliceRecord:
    """One slice and all that later steps need of its volume.

    Args:
        side: side of the limb for volumes of one limb, else ``None``.
        index: index in the RAS+ array along the plane's axis.
        image: values [U, V], as in the volume.
        labels: uint8 or uint16 [U, V]; 0 = nothing.
        names: label value -> canonical name, also of structures that are not in the slice.
        spacing: voxel size (u, v) in mm.
        thickness_mm: distance between slices.
        affine: [4, 4] of the RAS+ volume.
        volume_shape: of the RAS+ volume.
        midline_mm: the body's midline along the R axis, index * spacing; ``None`` if unknown or a limb.
        intensity_range: 0.5th and 99.5th percentile of the volume's values.
        through_mm: label value -> (25th percentile, mean, 75th percentile) of the structure's voxels in the volume
            along the plane's axis, index * spacing.
        stack: name of the stack that the slice is one of; empty for a slice that is asked about by itself.
        through_world_mm: as ``through_mm``, along the world's axis, counted from the array's first voxel; empty if not
            tilted.
        midline_world_mm: the midline along the world's axis, counted the same way; ``None`` if unknown or a limb.
        seen_in: label value -> the slices along the plane's axis that could have been chosen (see
            :func:`choose_slices`), of up to 63 a bit each: those in which it is clearly visible, and those in which it
            has a pixel.
    """

    source: str
    subject: str
    modality: Modality
    licence: str
    side: Side | None
    plane: Plane
    index: int
    image: npt.NDArray
    labels: npt.NDArray
    names: Mapping[int, str]
    spacing: Spacing2D
    thickness_mm: float
    affine: npt.NDArray
    volume_shape: tuple[int, int, int]
    midline_mm: float | None
    intensity_range: tuple[float, float]
    through_mm: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    stack: str = ""
    through_world_mm: Mapping[int, tuple[float, float, float]] = field(default_factory=dict)
    midline_world_mm: float | None = None
    scan_sha256: str | None = None
    patient: str | None = None

    @property
    def drawn_by(self) -> tuple[str, str]:
        """What decides, with the seed, every draw about the volume."""
        return drawn_by(self.source, self.subject, self.scan_sha256)

    @property
    def oblique(self) -> bool:
        """Whether the array's axes and the world's have to be distinguished."""
        return obliquity_deg(self.affine) >= OBLIQUE_DEG

    seen_in: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(U, V)."""
        return self.labels.shape[0], self.labels.shape[1]


def choose_slices(
    volume: Volume,
    planes: Sequence[Plane],
    count: int,
    seed: int,
    min_area_mm2: float = VISIBLE_MM2,
    vocabulary: Mapping[str, Structure] | None = None,
) -> list[tuple[Plane, int]]:
    """Slices rich in visible structures and spread out: the same for the same labels, planes, count and seed.

    Half of a plane's slices, rounded up, show a lesion if any of its slices does.

    Args:
        planes: the planes to cut along; they take turns, the first drawn for this volume.
        count: slices of the volume in total. Fewer come out where fewer show two structures.
        min_area_mm2: area from which on a structure is visible.
        vocabulary: structures by canonical name, which says what is a lesion; the package's own if not given.

    Returns:
        (plane, index) sorted by plane, then index.
    """
    draw = random.Random(digest("slices", seed, *volume.drawn_by))
    candidates: dict[Plane, npt.NDArray[np.int64]] = {}
    visible: dict[Plane, npt.NDArray[np.int64]] = {}
    with_lesion: dict[Plane, npt.NDArray[np.int64]] = {}
    words = structures() if vocabulary is None else vocabulary
    for plane in (plane for plane in PLANES if plane in planes):
        known, area = areas(volume, plane)
        visible[plane] = (area >= min_area_mm2).sum(axis=0)
        candidates[plane] = np.flatnonzero(visible[plane] >= MIN_STRUCTURES)
        lesions = [row for row, v in enumerate(known) if volume.names[v] in words and words[volume.names[v]].is_lesion]
        shown = np.flatnonzero((area[lesions] >= min_area_mm2).sum(axis=0))
        with_lesion[plane] = np.intersect1d(candidates[plane], shown)
    wanted = dict.fromkeys(candidates, 0)
    turns = list(candidates)
    start = draw.randrange(len(turns)) if turns else 0
    turns = turns[start:] + turns[:start]
    while sum(wanted.values()) < count:
        open_planes = [plane for plane in turns if wanted[plane] < len(candidates[plane])]
        if not open_planes:
            break
        for plane in open_planes[: count - sum(wanted.values())]:
            wanted[plane] += 1
    chosen = []
    for plane, of_plane in candidates.items():
        of_lesion = spread_out(
            with_lesion[plane], visible[plane], min((wanted[plane] + 1) // 2, len(with_lesion[plane])), draw
        )
        others = np.setdiff1d(of_plane, of_lesion)
        rest = spread_out(others, visible[plane], wanted[plane] - len(of_lesion), draw)
        chosen += [(plane, index) for index in sorted([*of_lesion, *rest])]
    return chosen


@remembered
def _intensity_range(volume: Volume) -> tuple[float, float]:
    """Percentiles of the volume's values, from a regular subset of a few million voxels."""
    step = max(1, int(np.ceil((volume.image.size / _INTENSITY_SAMPLES) ** (1 / 3))))
    low, high = np.percentile(volume.image[::step, ::step, ::step], INTENSITY_PERCENTILES)
    return float(low), float(high)


def cut(
    volume: Volume, plane: Plane, index: int, vocabulary: Mapping[str, Structure] | None = None, stack: str = ""
) -> SliceRecord:
    """One slice with what later steps need of its volume; its arrays are copies, so that the volume can go."""
    first, second = IN_PLANE_AXES[plane]
    spacing = [float(step) for step in volume.spacing]
    return SliceRecord(
        source=volume.source,
        subject=volume.subject,
        modality=volume.modality,
        licence=volume.licence,
        side=volume.side,
        plane=plane,
        index=int(index),
        image=take_slice(volume.image, plane, index).copy(order="C"),
        labels=take_slice(volume.labels, plane, index).copy(order="C"),
        names=dict(volume.names),
        spacing=(spacing[first], spacing[second]),
        thickness_mm=spacing[PLANE_AXIS[plane]],
        affine=np.array(volume.affine, np.float64),
        volume_shape=(volume.labels.shape[0], volume.labels.shape[1], volume.labels.shape[2]),
        midline_mm=midline(volume, vocabulary),
        intensity_range=_intensity_range(volume),
        through_mm=through(volume, plane),
        stack=stack,
        through_world_mm=through_world(volume, plane),
        midline_world_mm=world_midline(volume, vocabulary),
        seen_in=seen_in(volume, plane),
        scan_sha256=volume.scan_sha256,
        patient=volume.patient,
    )


def _to_pixels(values: npt.NDArray) -> tuple[npt.NDArray[np.uint16], float, float]:
    """Values as 16-bit pixels with slope and intercept: exact if whole and within 65535 of each other."""
    exact = values.astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    whole = high - low <= 65535 and bool(np.all(exact == np.rint(exact)))
    slope = 1.0 if whole or high == low else (high - low) / 65535
    return np.rint((exact - low) / slope).astype(np.uint16), slope, low


def _from_pixels(pixels: npt.NDArray, slope: float, intercept: float, value_type: str) -> npt.NDArray:
    values = pixels * np.float64(slope) + intercept
    kind = np.dtype(value_type)
    return (np.rint(values) if kind.kind in "iu" else values).astype(kind)


def _encode(stored: npt.NDArray) -> dict[str, Any]:
    done, data = cv2.imencode(".png", np.ascontiguousarray(stored.T))  # rows = v, columns = u
    if not done:
        raise ValueError(f"OpenCV cannot encode a slice of shape {stored.shape}, type {stored.dtype}")
    return {"bytes": data.tobytes(), "path": None}


def _decode(image: Mapping[str, Any]) -> npt.NDArray:
    pixels = cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("An image of the slice store cannot be decoded.")
    return np.ascontiguousarray(pixels.T)


def _row(record: SliceRecord) -> dict[str, Any]:
    pixels, slope, intercept = _to_pixels(record.image)
    return {
        "source": record.source,
        "subject": record.subject,
        "patient": record.patient,
        "scan_sha256": record.scan_sha256,
        "modality": record.modality,
        "plane": record.plane,
        "licence": record.licence,
        "side": record.side,
        "slice_index": record.index,
        "image": _encode(pixels),
        "slope": slope,
        "intercept": intercept,
        "value_type": record.image.dtype.name,
        "labels": _encode(record.labels),
        "names": [{"value": value, "name": name} for value, name in sorted(record.names.items())],
        "spacing_mm": list(record.spacing),
        "thickness_mm": record.thickness_mm,
        "affine": record.affine.tolist(),
        "volume_shape": list(record.volume_shape),
        "stack": record.stack,
        "through_mm": [
            {"value": value, "positions": list(positions)} for value, positions in sorted(record.through_mm.items())
        ],
        "seen_in": [
            {"value": value, "visible": visible, "present": present}
            for value, (visible, present) in sorted(record.seen_in.items())
        ],
        "midline_mm": record.midline_mm,
        "through_world_mm": [
            {"value": value, "positions": list(at)} for value, at in sorted(record.through_world_mm.items())
        ],
        "midline_world_mm": record.midline_world_mm,
        "intensity_range": list(record.intensity_range),
    }


def _record(row: Mapping[str, Any]) -> SliceRecord:
    u, v = row["spacing_mm"]
    i, j, k = row["volume_shape"]
    low, high = row["intensity_range"]
    return SliceRecord(
        source=row["source"],
        subject=row["subject"],
        modality=row["modality"],
        licence=row["licence"],
        side=row["side"],
        plane=row["plane"],
        index=row["slice_index"],
        image=_from_pixels(_decode(row["image"]), row["slope"], row["intercept"], row["value_type"]),
        labels=_decode(row["labels"]),
        names={entry["value"]: entry["name"] for entry in row["names"]},
        spacing=(u, v),
        thickness_mm=row["thickness_mm"],
        affine=np.array(row["affine"], np.float64),
        volume_shape=(i, j, k),
        midline_mm=row["midline_mm"],
        intensity_range=(low, high),
        through_mm={entry["value"]: tuple(entry["positions"]) for entry in row["through_mm"]},
        stack=row["stack"],
        through_world_mm={entry["value"]: tuple(entry["positions"]) for entry in row["through_world_mm"]},
        midline_world_mm=row["midline_world_mm"],
        seen_in={entry["value"]: (entry["visible"], entry["present"]) for entry in row["seen_in"]},
        scan_sha256=row.get("scan_sha256"),
        patient=row.get("patient"),
    )


def save_slices(records: Sequence[SliceRecord], path: Place) -> int:
    """Write slices as a table, and say how many bytes it takes.

    The file is replaced as a whole, durably.
    """
    table = pa.Table.from_pylist([_row(record) for record in records], schema=SLICE_SCHEMA)
    if is_remote(path):
        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression="zstd")
        whole = content.getvalue().to_pybytes()
        put_bytes(path, whole)
        return len(whole)
    with replacing(path) as file:
        # Images are compressed already; the rest is small.
        pq.write_table(table, file, compression="zstd")
        return file.tell()


def load_slices(path: Place) -> list[SliceRecord]:
    """The slices of a file, in its order."""
    return records_of(read_slices(path))


def records_of(table: pa.Table) -> list[SliceRecord]:
    """The slices of a table, in its order."""
    return [_record(row) for row in table.to_pylist()]


def read_slices(path: Place, columns: Sequence[str] | None = None) -> pa.Table:
    """The table, or some columns of it; a volume's is a few megabytes."""
    content: Place | pa.BufferReader = path
    if is_remote(path):
        (found,) = get_many([path])
        content = pa.BufferReader(found)
    with pq.ParquetFile(content) as file:  # half the time of read_table, which looks for a data set of many files
        return file.read(columns=columns, use_threads=False)
