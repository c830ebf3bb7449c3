import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dataset_builder.building.worker import Quarantined, store_case
from dataset_builder.core.errors import BuildError, TooLargeError
from dataset_builder.core.settings import Settings
from dataset_builder.imaging import memory_limit as memory
from dataset_builder.imaging.nifti import open_nifti
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import torso, write_nnunet

SMALL = Settings(slices_per_volume=2, questions_per_volume=6, inputs=("slice",), answer_types=("choice",))
LARGE = (700, 700, 400)  # int16 and uint8: 588 MB; in the files, half a megabyte


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A sound case, and one that is large in memory."""
    folder = tmp_path_factory.mktemp("scans")
    body = torso(1, spacing=12.0)
    write_nnunet(folder, {"small": body})
    for name, kind in (("imagesTr/large_0000", np.int16), ("labelsTr/large", np.uint8)):
        image = nibabel.Nifti1Image(np.broadcast_to(np.zeros(1, kind), LARGE), np.eye(4))
        image.set_sform(np.eye(4), code=1)
        image.header.set_data_dtype(kind)
        (folder / f"{name}.nii.gz").write_bytes(_gzip_of_zeros(image, int(np.prod(LARGE)) * np.dtype(kind).itemsize))
    return folder


def _gzip_of_zeros(image: nibabel.Nifti1Image, size: int) -> bytes:
    """The file without its voxels ever being in memory: a gzip file may be of many members."""
    image.header["vox_offset"] = 352
    image.header["magic"] = b"n+1"
    whole, rest = divmod(size, 1 << 20)
    members = [image.header.binaryblock + bytes(4), bytes(rest)]
    first, last = (gzip.compress(member, 1) for member in members)
    return first + gzip.compress(bytes(1 << 20), 1) * whole + last


def cases_of(folder: Path):
    source = open_source(f"nnunet:{folder}", keep_names=True)
    return {case.subject: (source, case) for case in source.cases()}


def test_what_reading_takes_is_told_before_it_is_asked_for(scans, monkeypatch, tmp_path):
    monkeypatch.setenv(memory.VARIABLE, "500M")
    reported = store_case(cases_of(scans)["large"], SMALL, tmp_path, None, False)
    assert isinstance(reported, Quarantined)
    assert (reported.reason, reported.file) == ("memory", "imagesTr/large_0000.nii.gz")
    needed = float(re.search(r"700 x 700 x 400 voxels take ([\d.]+) GB; this process has 0\.5 GB", reported.found)[1])
    voxels = 700 * 700 * 400
    assert voxels * 3 <= needed * 1e9 + 5e7
    assert needed * 1e9 <= voxels * 3 * 1.2
    assert memory.VARIABLE in reported.remedy
    assert store_case(cases_of(scans)["small"], SMALL, tmp_path, None, False).subject == "small"
    with pytest.raises(TooLargeError):
        store_case(cases_of(scans)["large"], SMALL, tmp_path, None, True)


@pytest.mark.parametrize("estimate", [True, False])
def test_a_case_beyond_the_memory_limit_does_not_stop_the_others(scans, tmp_path, estimate):
    """A real limit on a real process: told by the header, or, where the estimate is wrong, by the failed allocation."""
    code = (
        "import json, resource, sys\n"
        "from pathlib import Path\n"
        "from dataset_builder.imaging import memory_limit, volume\n"
        "from dataset_builder.building.worker import store_case\n"
        "from dataset_builder.core.settings import Settings\n"
        "from dataset_builder.sources import open_source\n"
        f"if not {estimate}: volume.check_fits = lambda *_: None\n"
        "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + (400 << 20),) * 2)\n"
        "source = open_source('nnunet:' + sys.argv[1], keep_names=True)\n"
        "few = dict(slices_per_volume=2, questions_per_volume=6, inputs=('slice',), answer_types=('choice',))\n"
        "settings = Settings(**few)\n"
        "for case in sorted(source.cases(), key=lambda case: case.subject):\n"
        "    told = store_case((source, case), settings, Path(sys.argv[2]), None, False)\n"
        "    print(json.dumps(vars(told), default=str))\n"
    )
    command = [sys.executable, "-c", code, str(scans), str(tmp_path)]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert ran.returncode == 0, ran.stderr
    large, small = map(json.loads, ran.stdout.splitlines())
    assert (large["subject"], large["reason"]) == ("large", "memory")
    assert ("voxels take" in large["found"]) is estimate
    assert large["remedy"]
    assert Path(small["path"]).is_file()


def test_memory_that_is_short_without_the_case_is_the_machines_trouble(scans, monkeypatch, tmp_path):
    def nothing_left(*_):
        raise MemoryError

    monkeypatch.setattr("dataset_builder.building.worker.store_volume", nothing_left)
    assert store_case(cases_of(scans)["small"], SMALL, tmp_path, None, False).reason == "memory"
    monkeypatch.setattr(memory, "bytearray", nothing_left, raising=False)
    with pytest.raises(MemoryError):
        store_case(cases_of(scans)["small"], SMALL, tmp_path, None, False)


def test_values_that_are_scaled_count_as_they_are_read(scans, tmp_path):
    image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), np.eye(4))
    image.set_sform(np.eye(4), code=1)
    image.header.set_slope_inter(0.5, 1)
    nibabel.save(image, tmp_path / "scaled.nii")
    opened = open_nifti(tmp_path / "scaled.nii")
    assert opened.value_type == opened.read().dtype == np.float32
    plain = open_nifti(scans / "labelsTr" / "small.nii.gz")
    assert plain.value_type == plain.read().dtype == np.uint8


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1000), ("6G", 6 << 30), ("1.5 GiB", 3 << 29), ("512mb", 512 << 20)]
)
def test_sizes_are_read_as_people_write_them(monkeypatch, text, size):
    monkeypatch.setenv(memory.VARIABLE, text)
    assert memory.left() == size


def test_a_size_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "much")
    with pytest.raises(BuildError, match=r"MIS_GROUND_MEMORY.*much.*6G"):
        memory.left()


def test_one_of_several_processes_has_its_share(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    alone = memory.left()
    assert 0 < alone < 1 << 50
    memory.set_share(12345)
    try:
        assert memory.left() == 12345
    finally:
        memory.set_share(None)


def group(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")
    return folder


def test_the_tightest_of_nested_control_groups_counts(tmp_path):
    """Version 2: files of the cache are memory that can be had back, and "max" is no limit."""
    group(tmp_path / "job", memory_max=1000, memory_current=700, memory_stat="anon 1\ninactive_file 50\nactive_file 9")
    group(tmp_path / "job" / "step", memory_max="max", memory_current=10, memory_stat="")
    (tmp_path / "self").write_text("0::/job/step\n")
    assert list(memory._of_groups(tmp_path / "self", tmp_path)) == [350]


def test_control_groups_of_the_first_version_count(tmp_path):
    top = group(tmp_path / "memory", memory_limit_in_bytes=1 << 62, memory_usage_in_bytes=0, memory_stat="")
    group(top / "box", memory_limit_in_bytes=900, memory_usage_in_bytes=300, memory_stat="total_inactive_file 100")
    (tmp_path / "self").write_text("9:name=systemd:/\n4:cpu,memory:/box\n0::/\n")
    assert list(memory._of_groups(tmp_path / "self", tmp_path)) == [700, 1 << 62]
