"""What :mod:`tests.benchmarks.fuzz` reads of the formats beside NIfTI: a small sound scan of each, and what changes it.

Each target is a folder with a whole case; one of its files is changed, and the case is read as a build reads it.
"""

import gzip
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.core.errors import CaseError, SourceError
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources import open_source
from tests.helpers import ways_in
from tests.helpers.ways_in import Scan

Read = Callable[[Path, bytes], object]
Mutate = Callable[[bytes, random.Random], bytes]

WORDS = (
    *("-1", "0", "1", "2", "3", "255", "256", "65536", "99999999999", "4294967296", "1e308", "-1e-300", "nan", "inf"),
    *("", " ", "none", "None", "null", "~", "true", "yes", "left", "right", "liver", "spleen", "int", "float", "raw"),
    *("gzip", "ascii", "space", "left-posterior-superior", "right-anterior-superior", "((", "))", "(1,0,0)", "[", "]"),
    *("{", "}", ":", "'", '"', "\\", "\t", "\n", "\r", "\0", "é", "../..", "{case}", "*", "**/", "&a", "*a", "!!int"),
    *("Segment0_Layer", "Segment1_LabelValue", "index", "name", "images", "labels"),
    *("%d", "%n%s", "LIST", "a" * 300, "a" * 3000, "MET_LONG", "Position", "0 1 0", "=", "HeaderSize", "skip"),
)
"""What takes the place of words in text."""


def mutate_text(data: bytes, draw: random.Random, mutate: Mutate) -> bytes:
    """Text changed byte by byte, word by word or line by line."""
    kind = draw.randrange(5)
    if kind == 0:
        return mutate(data, draw)
    text = data.decode("utf-8", "surrogateescape")
    if kind == 1:
        lines = text.splitlines(keepends=True)
        for _ in range(draw.choice((1, 1, 2))):
            at = draw.randrange(len(lines) or 1)
            how = draw.randrange(4)
            if how == 0:
                del lines[at : at + 1]
            elif how == 1:
                lines[at:at] = lines[at : at + 1]
            elif how == 2:
                draw.shuffle(lines)
            else:
                lines[at:at] = [f"{draw.choice(WORDS)}: {draw.choice(WORDS)}\n"]
        text = "".join(lines)
    else:
        words = re.split(r"(\w[\w.-]*|\s+)", text)
        for _ in range(draw.choice((1, 1, 2, 4))):
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        text = "".join(words)
    return text.encode("utf-8", "surrogateescape")


def format_targets(folder: Path, mutate: Mutate) -> dict[str, tuple[bytes, Mutate, Read]]:
    """Sound file, what changes it and what reads it, by what is fuzzed."""

    def text(data: bytes, draw: random.Random) -> bytes:
        return mutate_text(data, draw, mutate)

    def header(data: bytes, draw: random.Random) -> bytes:
        """The text before an empty line, or anything."""
        if draw.random() < 0.3:
            return mutate(data, draw)
        start, empty, voxels = data.partition(b"\n\n")
        return mutate_text(start, draw, mutate) + empty + voxels

    def meta(data: bytes, draw: random.Random) -> bytes:
        """The text of a MetaImage before its voxels, or anything."""
        at = data.find(b"\n", data.find(b"ElementDataFile")) + 1
        return mutate(data, draw) if draw.random() < 0.3 else mutate_text(data[:at], draw, mutate) + data[at:]

    def packed(data: bytes, draw: random.Random) -> bytes:
        if draw.random() < 0.3:
            return mutate(data, draw)
        return gzip.compress(mutate(gzip.decompress(data), draw), 1)

    found: dict[str, tuple[bytes, Mutate, Read]] = {}

    def add(name: str, way: str, file: str, change: Mutate) -> None:
        place = folder / "formats" / str(len(found))
        spec = ways_in.WAYS[way](place, SCAN if way != "freesurfer" else BRAIN)
        found[name] = ((place / file).read_bytes(), change, _reader(spec, place / file))

    add("NRRD image", "nnunet .nrrd", "imagesTr/one_0000.nrrd", header)
    add("NRRD labels", "nnunet .nrrd", "labelsTr/one.nrrd", header)
    add("Slicer segmentation", "slicer .seg.nrrd", "one/Segmentation.seg.nrrd", header)
    add("Slicer segmentation, layers", "slicer .seg.nrrd, layers", "one/Segmentation.seg.nrrd", header)
    add("MetaImage .mha image", "nnunet .mha", "imagesTr/one_0000.mha", meta)
    add("MetaImage .mha labels", "nnunet .mha", "labelsTr/one.mha", meta)
    place = folder / "formats" / "mhd"
    spec = ways_in.WAYS["nnunet .mha"](place, SCAN)
    sitk.WriteImage(sitk.ReadImage(str(place / "labelsTr" / "one.mha")), str(place / "labelsTr" / "one.mhd"))
    (place / "labelsTr" / "one.mha").unlink()
    mhd = place / "labelsTr" / "one.mhd"
    found["MetaImage .mhd labels"] = (mhd.read_bytes(), text, _reader(spec, mhd))
    add("MGH .mgz image", "nnunet .mgz", "imagesTr/one_0000.mgz", packed)
    add("MGH .mgz labels", "nnunet .mgz", "labelsTr/one.mgz", packed)
    add("FreeSurfer aparc+aseg.mgz", "freesurfer", "one/mri/aparc+aseg.mgz", packed)
    add("FreeSurfer orig.mgz", "freesurfer", "one/mri/orig.mgz", packed)
    add("BIDS dseg.tsv", "bids", "derivatives/model/sub-one/anat/sub-one_desc-organs_dseg.tsv", text)
    add("BIDS dseg.nii.gz", "bids", "derivatives/model/sub-one/anat/sub-one_desc-organs_dseg.nii.gz", packed)
    add("pairs YAML", "pairs", "pairs.yaml", text)
    add("pairs names.json", "pairs", "names.json", text)
    add("nnU-Net dataset.json", "nnunet .nii.gz", "dataset.json", text)
    add("TotalSegmentator --ml", "totalsegmentator --ml", "one/seg.nii.gz", packed)
    for ending, table in TABLES.items():
        place = folder / "formats" / ending
        spec = ways_in.WAYS["pairs"](place, SCAN)
        pairs = (place / "pairs.yaml").read_text()
        (place / "pairs.yaml").write_text(pairs.replace("names.json", f"names{ending}"))
        found[f"names{ending}"] = (table.encode(), text, _reader(spec, place / f"names{ending}"))
    return found


def _reader(spec: str, file: Path) -> Read:
    sound = {path: path.read_bytes() for path in file.parent.rglob("*") if path.is_file()}

    def read(_: Path, data: bytes) -> object:
        file.write_bytes(data)
        try:
            source = open_source(spec, keep_names=True)
            volumes, refused = [], None
            for case in source.cases():
                try:
                    volumes.append(summary(source.read(case)))
                except CaseError as error:
                    refused = error
            if refused is not None and not volumes:
                raise refused
            return volumes or _nothing(spec)
        finally:
            for path in set(file.parent.rglob("*")) - sound.keys():
                if path.is_file():
                    path.unlink()

    return read


def _nothing(spec: str) -> object:
    raise SourceError("There is no case.", file=spec, remedy="None: the fuzzer says so.")


def summary(volume: Volume) -> object:
    """What tells one volume from another."""
    names = {name: int((volume.labels == value).sum()) for value, name in volume.names.items()}
    return volume.image.shape, np.round(volume.affine, 4).tolist(), int(np.sum(volume.image, dtype=np.float64)), names


def _scan(names: dict[int, str], modality: str) -> Scan:
    values = np.arange(8 * 7 * 6, dtype=np.int16).reshape(8, 7, 6)
    labels = np.zeros(values.shape, np.uint8)
    labels[1:4, 1:5, 1:5], labels[5:7, 1:5, 1:5] = 1, 2
    return Scan(values - (1000 if modality == "CT" else 0), labels, names, np.diag([-2.0, -2, 3, 1]), modality)


SCAN = _scan({1: "liver", 2: "spleen"}, "CT")
BRAIN = _scan({1: "hippocampus_right", 2: "hippocampus_left"}, "MR")
TABLES = {
    ".tsv": "index\tname\tcolor\n0\tbackground\t#000000\n1\tliver\t#ff0000\n2\tspleen\t#00ff00\n",
    ".csv": "value,label_name\n1,liver\n2,spleen\n",
    ".txt": '# ITK-SnAP Label Description File\n    0     0    0    0        0  0  0    "Clear Label"\n'
    '    1   255    0    0        1  1  1    "liver"\n    2     0  255    0        1  1  1    "spleen"\n',
    ".ctbl": "# Color table file\n0 background 0 0 0 0\n1 liver 255 0 0 255\n2 spleen 0 255 0 255\n",
    ".yaml": "1: liver\n2: spleen\n",
}
