import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dataset_builder.core.errors import SourceError, UnreadableError
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import torso, write_totalsegmentator


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("public")
    write_totalsegmentator(folder, {f"s000{n}": torso(n, spacing=12.0, coverage="abdomen") for n in range(2)})
    return folder


def pack(folder: Path, archive: Path, under: str = "", change=lambda name, content: (name, content)) -> Path:
    """Zip a folder, as the public archive is: some under a folder of their own."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name, content = change(under + path.relative_to(folder).as_posix(), path.read_bytes())
                packed.writestr(name, content)
    return archive


@pytest.mark.parametrize("under", ["", "Totalsegmentator_dataset_v201/"])
def test_a_packed_subject_is_read_as_an_unpacked_one(unpacked, tmp_path, under):
    pack(unpacked, tmp_path / "data.zip", under)
    plain, packed = (
        open_source(f"totalsegmentator:{unpacked}", keep_names=True),
        open_source(f"totalsegmentator:{tmp_path}", keep_names=True),
    )
    cases = list(packed.cases())
    assert [case.subject for case in cases] == [case.subject for case in plain.cases()] == ["s0000", "s0001"]
    assert {case.paths for case in cases} == {(tmp_path / "data.zip",)}
    for one, other in zip(plain.cases(), cases, strict=True):
        first, second = plain.read(one), packed.read(other)
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.labels, second.labels)
        assert first.names == second.names
        assert np.array_equal(first.affine, second.affine)


def test_it_travels_to_another_process(unpacked, tmp_path):
    pack(unpacked, tmp_path / "data.zip")
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    source, cases = pickle.loads(pickle.dumps((source, list(source.cases()))))
    assert source.read(cases[1]).subject == "s0001"


def test_a_damaged_member_is_the_case_s_trouble(unpacked, tmp_path):
    archive = pack(unpacked, tmp_path / "data.zip")
    with zipfile.ZipFile(archive) as packed:
        entry = packed.getinfo("s0001/ct.nii.gz")
    content = bytearray(archive.read_bytes())
    content[entry.header_offset + 200] ^= 0xFF
    archive.write_bytes(content)
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    first, second = source.cases()
    source.read(first)
    with pytest.raises(UnreadableError, match=r"damaged.*data\.zip/s0001/ct\.nii\.gz.*CRC"):
        source.read(second)


def test_a_truncated_archive_is_told(unpacked, tmp_path):
    archive = pack(unpacked, tmp_path / "data.zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(SourceError, match="cannot be read"):
        list(open_source(f"totalsegmentator:{tmp_path}", keep_names=True).cases())


def test_two_archives_with_the_same_subject_are_told(unpacked, tmp_path):
    pack(unpacked, tmp_path / "a.zip")
    pack(unpacked, tmp_path / "b.zip")
    with pytest.raises(SourceError, match=r"s0000 in a\.zip and b\.zip"):
        list(open_source(f"totalsegmentator:{tmp_path}", keep_names=True).cases())


def test_members_that_lead_elsewhere_are_passed_over(unpacked, tmp_path):
    archive = pack(unpacked, tmp_path / "data.zip")
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("s0000/segmentations/../../../../evil.nii.gz", b"evil")
    source = open_source(f"totalsegmentator:{tmp_path}", keep_names=True)
    case = next(iter(source.cases()))
    source.read(case)
    assert not list(tmp_path.parent.rglob("evil*"))
