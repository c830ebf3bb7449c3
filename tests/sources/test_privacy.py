"""Of private scans in whatever format, nothing that is published, and no error, says who the patient is."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.errors import CaseError, MISGroundError
from dataset_builder.core.settings import Settings
from dataset_builder.files.pseudonyms import VARIABLE
from dataset_builder.sources import open_source
from dataset_builder.sources.private import PrivateCase, without_names
from tests.helpers import small_brain
from tests.helpers.ways_in import WAYS, Scan

SECRETS = ("Musterfrau", "Erika", "HOSP4711", "19640812", "1.2.840.113619.2.55")
NAME = "MusterfrauErika19640812"
"""Legal in BIDS, too; of the other formats the names have all that file names may have."""
OTHERS = [way for way in WAYS if not way.startswith("dicom")]  # which has a test of its own
SETTINGS = Settings(
    slices_per_volume=1,
    questions_per_volume=4,
    stacks_per_volume=0,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


def name_of(way: str, number: int) -> str:
    plain = f"{NAME}HOSP4711x{number}"
    return plain if way == "bids" else f"Musterfrau_Erika-HOSP4711 {number} 1964-08-12_1.2.840.113619.2.55.{number}"


@pytest.fixture(scope="module")
def brain() -> Scan:
    image, labels, names, affine = small_brain.draw()
    return Scan(image, labels, names, affine, "MR")


def told(folder: Path) -> str:
    """All that stands in files below a folder, and how they are called."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows = pq.read_table(path).to_pylist() if path.suffix == ".parquet" else []
        found += [str(path.relative_to(folder)), repr(rows), path.read_bytes().decode("latin-1")]
    return "\n".join(found)


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize("way", OTHERS)
def test_no_output_and_no_error_says_who_the_patient_is(brain, tmp_path, monkeypatch, capfd, way):
    file = tmp_path / "own" / "pseudonyms.json"
    monkeypatch.setenv(VARIABLE, str(file))
    folder = tmp_path / "scans"
    shifted = brain.affine.copy()
    shifted[0, 3] += 1.1
    sound, damaged, elsewhere = (replace(brain, name=name_of(way, number)) for number in range(3))
    before: set[Path] = set()
    for scan in (sound, damaged, elsewhere):
        spec = WAYS[way](folder, scan)
        new = sorted(path for path in folder.rglob("*") if path.is_file() and path not in before)
        before |= {*new}
        if scan is damaged:
            labels = next(path for path in new if path.stat().st_size > 500 and not is_image(path))
            labels.write_bytes(labels.read_bytes()[:200])
        if scan is elsewhere:
            WAYS[way](tmp_path / "moved", replace(elsewhere, affine=shifted))
            for path in new:
                moved = tmp_path / "moved" / path.relative_to(folder)
                if is_image(path):
                    path.write_bytes(moved.read_bytes())
    source = open_source(spec)
    cases = list(source.cases())
    refused = []
    for case in cases:
        try:
            source.read(case)
        except CaseError as error:
            refused.append(error)
    assert len(refused) == len(cases) - 1
    assert all(error.__cause__ is None and error.__suppress_context__ for error in refused)
    assert [leaks(f"{error} {error.file} {error.value}") for error in refused] == [[] for _ in refused]
    build([source], tmp_path / "out" / "data", SETTINGS, store=tmp_path / "out" / "store")
    shown = "".join(capfd.readouterr())
    assert leaks(told(tmp_path / "out") + shown) == []
    quarantine = [json.loads(line) for line in (tmp_path / "out" / "data" / "quarantine.jsonl").open()]
    assert {line["subject"] for line in quarantine} < {case.subject for case in cases}
    assert all(line["subject"] in line["file"] and line["remedy"] for line in quarantine)
    kept = json.loads(file.read_text())["pseudonyms"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for case in cases:  # there, and only there, the files can be looked up
        assert (folder / kept[case.subject]["image"]).exists()
        assert (folder / kept[case.subject]["labels"]).exists()


def is_image(path: Path) -> bool:
    return (
        path.name.startswith(("MR.", "image.", "orig.")) or "_0000." in path.name or path.name.endswith("_T1w.nii.gz")
    )


def test_names_go_and_words_stay():
    folder = Path("/data/study")
    paths = (folder / "Meier_Anna" / "ct_1966.nrrd", folder / "Meier_Anna" / "seg.nrrd")
    known = ("pairs", "Meier_Anna", "ct", "unknown", paths)
    case = PrivateCase("pairs", "5f0c9a31e2b4", *known[2:], original=None)
    case = replace(case, original=type(case)(*known), folder=folder)
    said = f"sitk.ReadImage('Meier_Anna/seg.nrrd'), '{paths[0]}', ct_1966.nrrd: liver_Meier of MEIER, segment 3"
    assert without_names(said, case) == (
        "sitk.ReadImage('LABELS'), 'IMAGE', IMAGE: liver_[removed] of [removed], segment 3"
    )


@pytest.mark.parametrize("name", ["a", "in", "liver", "case", "01"])
def test_a_case_called_as_a_word_leaves_sentences_whole(name):
    paths = (Path(f"/data/{name}.nrrd"), Path(f"/data/{name}_seg.nrrd"))
    known = ("pairs", name, "ct", "unknown", paths)
    case = replace(PrivateCase(*known), subject="5f0c9a31e2b4", folder=Path("/data"))
    case = replace(case, original=type(case)(*known))
    said = "The image is in a case of the liver, in slices 01 to 10."
    assert without_names(f"{said} [file: {name}.nrrd]", case) == f"{said} [file: IMAGE]"


def test_a_file_name_that_is_not_utf_8_gets_a_pseudonym_as_any_other(brain, tmp_path):
    """Of public scans such a name is refused, since it would stand in rows."""
    spec = WAYS["nnunet .nii.gz"](tmp_path, replace(brain, name="M\udcfcller"))
    source = open_source(spec)
    (case,) = source.cases()
    assert source.read(case).subject == case.subject
    np.testing.assert_equal(len(case.subject), 12)


def test_an_error_that_is_no_case_s_is_not_hidden(tmp_path):
    with pytest.raises(MISGroundError):
        open_source(f"nnunet:{tmp_path}")
