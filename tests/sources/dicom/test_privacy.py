"""Nothing that is written, shown or logged says who the patient is."""

import copy
import json
import logging
import os
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from dataset_builder.building.builder import build
from dataset_builder.core.errors import MISGroundError, SlicePositionError
from dataset_builder.core.settings import Settings
from dataset_builder.files.pseudonyms import pseudonym_file
from dataset_builder.sources import open_source
from dataset_builder.sources.dicom.identifiers import IDENTIFYING, identifiers_in, without_identifiers
from dataset_builder.sources.phantoms import torso
from tests.helpers import dicom_files as dicom
from tests.helpers.dicom_body import AFFINE

SECRETS = ("Musterfrau", "Erika", "HOSP-4711-X", "19640812", "20231107", "20231108", "ACC998877", "Beispielstadt")
SECRETS += ("Wilhelmina", "SN12345", "Doktor")


def everything_in(folder: Path) -> bytes:
    """All bytes below a folder, names of files included, and text of Parquet files as it stands in them."""
    import pyarrow.parquet as pq

    found = []
    for path in sorted(folder.rglob("*")):
        found.append(str(path.relative_to(folder)).encode())
        if path.suffix == ".parquet":
            rows = pq.read_table(path).to_pylist()
            found.append(repr(rows).encode())
        if path.is_file():
            found.append(path.read_bytes())
    return b"\n".join(found)


def leaks(said: bytes, uids: set[str]) -> list[str]:
    text = said.decode("utf-8", "replace").lower()
    return [secret for secret in (*SECRETS, *uids) if secret.lower() in text]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> tuple[Path, set[str]]:
    """Two studies in folders named by the patient: a sound one, one of another size, and files that are damaged."""
    folder = tmp_path_factory.mktemp("pacs")
    uids = set()
    for number in range(2):
        body = torso(number, spacing=10.0)
        images = dicom.series(np.rint(body.image).astype(np.int16), body.affine)
        present = [value for value in body.names if (body.labels == value).any()][:12]
        segments = [dicom.segment(at, body.names[value]) for at, value in enumerate(present, 1)]
        seg = dicom.segmentation(images, body.labels, segments, values=present)
        if number:
            del images[4]
        place = folder / "Musterfrau_Erika_HOSP-4711-X" / f"{dicom.PATIENT['StudyDate']}_{number}"
        dicom.save(images, place / images[0].SeriesInstanceUID, [f"{one.SOPInstanceUID}.dcm" for one in images])
        dicom.save([seg], place / "Musterfrau segmentation")
        uids |= {str(one.SOPInstanceUID) for one in images} | {
            str(seg.SOPInstanceUID),
            str(images[0].SeriesInstanceUID),
        }
        uids |= {str(images[0].StudyInstanceUID), str(images[0].FrameOfReferenceUID)}
    (folder / "Musterfrau.txt").write_text("Erika Musterfrau")
    broken = copy.deepcopy(images[0])
    broken.SOPInstanceUID = dicom.generate_uid()
    path = dicom.save([broken], folder / "broken")[0]
    path.write_bytes(path.read_bytes()[:400])
    return folder, uids


def built(folder: Path, out: Path, *options: str) -> tuple[bytes, int]:
    """What a build writes, shows and logs, as the command line does it."""
    run = "from dataset_builder.cli.main import main; main()"
    command = [sys.executable, "-c", run, "build", "--source", f"dicom:{folder}", "--out", str(out)]
    done = subprocess.run([*command, "--image-size", "64", *options], capture_output=True, cwd=out.parent)
    shown = done.stdout + done.stderr
    # The folder is the user's own word; the test puts the patient's name only below it.
    return shown + everything_in(out.parent), done.returncode


def test_a_build_writes_and_shows_nothing_that_says_who_the_patient_is(hospital, tmp_path):
    folder, uids = hospital
    (tmp_path / "out").mkdir()
    said, status = built(folder, tmp_path / "out" / "data", "--store", str(tmp_path / "out" / "store"))
    assert status == 0, said[-3000:].decode("utf-8", "replace")
    assert leaks(said, uids) == []
    quarantine = (tmp_path / "out" / "data" / "quarantine.jsonl").read_text()
    assert "slice_positions" in quarantine
    record = json.loads((tmp_path / "out" / "data" / "build.json").read_text())
    build = record["builds"][0]
    assert build["left_out"] == {"not DICOM": 1, "damaged DICOM files": 1}
    assert build["files_left_out"].keys() == build["left_out"].keys()
    assert b"unknown" in (tmp_path / "out" / "data" / "README.md").read_bytes()
    file = pseudonym_file()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())["pseudonyms"]
    for (named,) in build["files_left_out"].values():  # by a pseudonym; the file itself is named here only
        assert (folder / kept[named]["file"]).is_file()
    subject = json.loads(quarantine)["subject"]
    assert kept[subject]["patient"].startswith("ID HOSP-4711-X")  # only there can its folder be looked up
    assert "20231107_1" in kept[subject]["folder"]


def test_a_strict_build_stops_with_an_error_that_says_nothing_either(hospital, tmp_path, capfd):
    folder, uids = hospital
    source = open_source(f"dicom:{folder}")
    with pytest.raises(SlicePositionError, match="missing") as reported:
        build([source], tmp_path / "out" / "data", Settings(image_size=64, answer_types=("choice",)), strict=True)
    shown = "".join(capfd.readouterr()) + str(reported.value)
    assert leaks(shown.encode() + everything_in(tmp_path), uids) == []


def patients(cases) -> set[str]:
    return {case.subject.partition("-")[0] for case in cases}


def test_series_of_one_patient_begin_alike_and_names_are_kept_only_if_asked(hospital):
    folder, _ = hospital
    cases = list(open_source(f"dicom:{folder}").cases())
    assert len(cases) == 2
    assert len(patients(cases)) == 1
    assert {case.patient for case in cases} == patients(cases)
    assert all(re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{8}", case.subject) for case in cases)
    assert {case.licence for case in cases} == {"unknown"}
    assert [case.subject for case in open_source(f"dicom:{folder}").cases()] == [case.subject for case in cases]
    kept = list(open_source(f"dicom:{folder}", keep_names=True).cases())
    assert all(case.subject.startswith("HOSP-4711-X-") for case in kept)
    assert {case.patient for case in kept} == {"HOSP-4711-X"}


def test_another_patient_another_name(tmp_path, images, seg, image, labels, segments):
    other = dicom.series(image, AFFINE, PatientID="HOSP-4712-X")
    for number, group in enumerate((images, [seg], other, [dicom.segmentation(other, labels, segments)])):
        dicom.save(group, tmp_path / str(number))
    assert len(patients(open_source(f"dicom:{tmp_path}").cases())) == 2


def spoiled(keyword: str, value: object):
    def change(images, seg):
        for one in images:
            setattr(one, keyword, value)

    return change


def label_with_a_name(images, seg):
    seg.SegmentSequence[0].SegmentLabel = "Musterfrau liver 20231107"


def values_against_the_standard(images, seg):
    """What makes pydicom warn, with the value in the warning."""
    for one in (*images, seg):
        one.PatientBirthDate = "1964 08 12 Musterfrau"
        one.add_new("StudyTime", "TM", "Musterfrau")
        one.add_new("PatientAge", "AS", "HOSP-4711-X")


@pytest.mark.parametrize(
    "change",
    [
        label_with_a_name,
        values_against_the_standard,
        spoiled("RescaleSlope", "1.5"),
        spoiled("PhotometricInterpretation", "PALETTE COLOR"),
        spoiled("BurnedInAnnotation", "YES"),
        spoiled("ImagePositionPatient", [1, 2, 3]),
    ],
)
def test_no_error_warning_or_log_line_says_who_it_is(study, images, seg, caplog, change, recwarn):
    change(images, seg)
    source = study(images, [seg])
    caplog.set_level(logging.DEBUG, logger="pydicom")
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            (case,) = source.cases()
            source.read(case)
        except MISGroundError as error:
            said += [] if error.__cause__ is None else ["Musterfrau: a cause is shown by MIS_GROUND_TRACEBACK"]
            said += [str(error), repr(error.__context__ if not error.__suppress_context__ else "")]
    said += [str(one.message) for one in warned] + [record.getMessage() for record in caplog.records]
    uids = {str(images[0].SeriesInstanceUID), str(seg.SOPInstanceUID)}
    assert leaks("\n".join(said).encode(), uids) == []


def test_identifiers_are_whole_values_and_parts_of_names_and_go_as_words():
    one = dicom.Dataset()
    one.PatientName, one.PatientID, one.StudyDate = "Ann^Lee Li", "47", "20240131"
    assert identifiers_in(one) == {"Ann^Lee Li", "Ann", "Lee", "20240131"}
    assert without_identifiers("ANN: pancreas, channel of Lee_1", identifiers_in(one)) == (
        "[removed]: pancreas, channel of [removed]_1"
    )
    assert (
        without_identifiers("1.2.840.10008.5.1 on 2024-01-31, 12.5 mm", frozenset())
        == "[removed] on [removed], 12.5 mm"
    )
    assert {"PatientName", "PatientID", "StudyInstanceUID"} <= set(IDENTIFYING)


def test_the_key_is_not_sent_to_workers(hospital):
    import pickle

    folder, _ = hospital
    source = open_source(f"dicom:{folder}")
    list(source.cases())
    key = json.loads(pseudonym_file().read_text())["key"]
    sent = pickle.dumps(source)
    assert bytes.fromhex(key) not in sent
    assert os.fsencode(key) not in sent
