import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builder.core.errors import BuildError, SourceError
from dataset_builder.sources import KNOWN, check_channel, open_source
from dataset_builder.sources.base import Case, Source
from dataset_builder.sources.phantoms import Phantom, knee, torso, write_nnunet, write_oaizib_cm, write_totalsegmentator


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A small data set in each layout."""
    root = tmp_path_factory.mktemp("layouts")
    ct, mr = (torso(0, modality, spacing=12.0, coverage="abdomen") for modality in ("ct", "mri"))
    write_totalsegmentator(root / "ct", {"s0000": ct})
    write_totalsegmentator(root / "mr", {"s0000": mr})
    small = knee(0, "left", spacing=8.0)
    keep = {value: name for value, name in small.names.items() if name != "fibula"}
    labels = small.labels * (small.labels != small.value("fibula"))
    write_nnunet(root / "knee", {"a": Phantom(small.image, labels, keep, small.affine, "mri", "left")})
    write_oaizib_cm(root / "oai", {"a": small}, zipped=True)
    return {
        "totalsegmentator": root / "ct",
        "totalsegmentator_mri": root / "mr",
        "oai_knee": root / "oai",
        "nnunet": root / "knee",
    }


@pytest.mark.parametrize(
    "name", ["totalsegmentator", "totalsegmentator_mri", "oai_knee", "nnunet", "phantom", "sample"]
)
def test_every_source_travels_to_another_process_and_reads_the_same_there(folders, name, sample_folder):
    source: Source = open_source(f"{name}:{folders[name]}" if name in folders else name)
    assert source.name == name
    assert source.licence
    assert isinstance(source.citation, str)
    assert isinstance(source.url, str)
    if name == "phantom":
        return  # read in test_phantom.py
    case = next(iter(source.cases()))
    there, there_case = pickle.loads(pickle.dumps((source, case)))
    assert there_case == case
    assert list(there.cases()) == list(source.cases())
    here, away = source.read(case), there.read(there_case)
    assert (here.labels == away.labels).all()
    assert here.names == away.names
    assert (here.source, here.subject, here.modality, here.licence, here.side) == (
        name,
        case.subject,
        case.modality,
        source.licence,
        case.side,
    )


def test_the_paths_of_a_case_exist(folders):
    for name, folder in folders.items():
        for case in open_source(f"{name}:{folder}").cases():
            assert case.paths
            assert all(path.exists() for path in case.paths)


def test_a_case_is_compared_by_what_it_says():
    case = Case(source="a", subject="b", modality="ct", licence="c")
    assert case == Case("a", "b", "ct", "c", (), None)
    assert len({case, Case("a", "b", "ct", "c")}) == 1


@pytest.mark.parametrize("spec", ["", "nowhere", "nowhere:x", ":x", "Sample", "totalsegmentator_ct:x"])
def test_an_unknown_name_is_told_the_known_ones(spec):
    with pytest.raises(SourceError, match="source does not exist") as caught:
        open_source(spec)
    assert caught.value.value == spec
    assert all(known in caught.value.remedy for known in KNOWN)


@pytest.mark.parametrize("name", ["totalsegmentator", "totalsegmentator_mri", "oai_knee", "nnunet"])
def test_a_folder_that_is_missing_not_there_or_none(name, tmp_path):
    for spec in (name, f"{name}:"):
        with pytest.raises(SourceError, match=f"{name}:DIR"):
            open_source(spec)
    with pytest.raises(SourceError, match="does not exist") as caught:
        open_source(f"{name}:{tmp_path / 'gone'}")
    assert str(tmp_path / "gone") in str(caught.value)
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(SourceError, match="Unpack it"):
        open_source(f"{name}:{tmp_path / 'data.zip'}")


def test_a_folder_may_hold_a_colon_and_start_at_home(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a:b").symlink_to(folders["nnunet"])
    assert len(list(open_source("nnunet:~/a:b", keep_names=True).cases())) == 1


@pytest.mark.parametrize("spec", ["sample:", "sample:somewhere"])
def test_the_sample_takes_no_folder(spec):
    with pytest.raises(SourceError, match="takes no folder") as caught:
        open_source(spec)
    assert caught.value.value == spec


@pytest.mark.parametrize("count", ["", "0", "-1", "two", "1.5", "²", " 3"])
def test_the_phantom_takes_a_number(count):
    with pytest.raises(SourceError, match="whole number from 1") as caught:
        open_source(f"phantom:{count}")
    assert caught.value.value == f"phantom:{count}"


def test_a_wrong_vocabulary_is_told_at_once(folders, tmp_path):
    with pytest.raises(BuildError, match=r"gone\.yaml"):
        open_source(f"nnunet:{folders['nnunet']}", tmp_path / "gone.yaml", keep_names=True)


def test_opening_a_source_imports_nothing_heavy():
    code = (
        "import sys\nfrom dataset_builder.sources import open_source\nopen_source('phantom')\n"
        "print(sorted({'torch', 'transformers', 'lm_eval', 'datasets', 'cv2'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_channel_is_refused_where_no_scan_can_have_several():
    sample = open_source("sample")
    check_channel([sample], None)
    with pytest.raises(SourceError, match="one channel each") as caught:
        check_channel([sample, open_source("phantom:2")], "1")
    assert "nnunet" in caught.value.remedy
