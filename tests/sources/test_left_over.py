"""Whatever looks like a scan is read or named, in every layout."""

import pytest

from dataset_builder.sources import open_source
from dataset_builder.sources.base import left_out_of
from dataset_builder.sources.phantoms import knee, write_oaizib_cm
from tests.benchmarks.fuzz_formats import BRAIN, SCAN
from tests.helpers import ways_in

FOLDERS = [way for way in ways_in.WAYS if not way.startswith("dicom")]
STRAYS = {"deep/er/stray.nii.gz", "Stray.MHA", "sub-two/anat/sub-two_bold.nii.gz", "other/scan.NRRD", "x.nhdr", "y.mgh"}


def strays_named(folder, spec):
    source = open_source(spec, keep_names=True)
    subjects = [case.subject for case in source.cases()]
    assert list(left_out_of(source)) == []
    for name in (*STRAYS, ".hidden.nii.gz", ".cache/x.nii.gz", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no scan")
    again = open_source(spec, keep_names=True)
    assert [case.subject for case in again.cases()] == subjects
    left = list(left_out_of(again))
    assert all(one.reason for one in left)
    return sorted(one.file for one in left)


@pytest.mark.parametrize("way", FOLDERS)
def test_a_scan_that_is_part_of_no_case_is_named(tmp_path, way):
    spec = ways_in.WAYS[way](tmp_path, BRAIN if way == "freesurfer" else SCAN)
    assert strays_named(tmp_path, spec) == sorted(STRAYS)


@pytest.mark.parametrize("zipped", [False, True])
def test_of_knees_too(tmp_path, zipped):
    write_oaizib_cm(tmp_path, {"oaizib_001": knee(0, "right", spacing=6.0)}, zipped=zipped)
    assert strays_named(tmp_path, f"oai_knee:{tmp_path}") == sorted(STRAYS)


def test_of_freesurfer_the_other_volumes_of_a_subject_too(tmp_path):
    spec = ways_in.WAYS["freesurfer"](tmp_path, BRAIN)
    (tmp_path / "one" / "mri" / "wm.mgz").write_bytes(b"")
    source = open_source(spec, keep_names=True)
    list(source.cases())
    assert [one.file for one in left_out_of(source)] == ["one/mri/wm.mgz"]
