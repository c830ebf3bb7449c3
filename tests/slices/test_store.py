import json
import os
import time

import pytest

from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import Settings
from dataset_builder.files.atomic import write_atomically
from dataset_builder.slices.store import input_fingerprint, store_volume, volume_notes, volumes_in
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case
from dataset_builder.sources.phantoms import torso, write_nnunet

SETTINGS = Settings(slices_per_volume=2)


@pytest.fixture
def stored(tmp_path):
    source = open_source("phantom:1")
    (case,) = source.cases()
    return source, case, store_volume(source, case, SETTINGS, tmp_path)


def test_a_stored_volume_is_used_again_while_nothing_changed(stored, tmp_path):
    source, case, volume = stored
    before = volume.path.stat().st_mtime_ns
    assert store_volume(source, case, SETTINGS, tmp_path) == volume
    assert volume.path.stat().st_mtime_ns == before


def test_other_slice_settings_cut_again(stored, tmp_path):
    source, case, volume = stored
    store_volume(source, case, Settings(slices_per_volume=3), tmp_path)
    assert len([record for record in volume.load() if not record.stack]) == 3


def test_a_volume_without_its_note_does_not_count(stored, tmp_path):
    source, case, volume = stored
    volume.path.with_suffix(".json").unlink()
    with pytest.raises(BuildError, match="no finished volume"):
        volumes_in(tmp_path)
    store_volume(source, case, SETTINGS, tmp_path)
    assert volumes_in(tmp_path) == [volume]


def test_a_truncated_note_is_made_again(stored, tmp_path):
    source, case, volume = stored
    note = volume.path.with_suffix(".json")
    whole = note.read_text()
    note.write_text(whole[:20])
    store_volume(source, case, SETTINGS, tmp_path)
    assert note.read_text() == whole


def test_the_note_says_where_the_volume_is_from(stored):
    source, case, volume = stored
    (note,) = volume_notes([volume])
    assert (note["source"], note["subject"]) == (case.source, case.subject)
    assert note["licence"] == source.licence
    assert note["slices"] == 2
    assert len(note["stored_axes"]) == 3


def test_a_subject_with_a_slash_stays_inside_the_store(stored, tmp_path):
    source, case, _ = stored

    class Renamed:
        citation = url = ""

        def read(self, _):
            return source.read(case)

    odd = Case(source=case.source, subject="../../a/b", modality=case.modality, licence=case.licence)
    volume = store_volume(Renamed(), odd, SETTINGS, tmp_path)
    assert tmp_path in volume.path.resolve().parents
    assert ("phantom", "../../a/b") in [(v.source, v.subject) for v in volumes_in(tmp_path)]


def test_the_fingerprint_follows_the_input_files(tmp_path):
    image, masks = tmp_path / "ct.nii.gz", tmp_path / "segmentations"
    image.write_bytes(b"1")
    masks.mkdir()
    (masks / "liver.nii.gz").write_bytes(b"1")
    case = Case(source="x", subject="s", modality="ct", licence="", paths=(image, masks))
    prints = {input_fingerprint(case, SETTINGS)}
    image.write_bytes(b"12")
    prints.add(input_fingerprint(case, SETTINGS))
    os.utime(masks / "liver.nii.gz", ns=(time.time_ns(), 12345))
    prints.add(input_fingerprint(case, SETTINGS))
    (masks / "spleen.nii.gz").write_bytes(b"1")
    prints.add(input_fingerprint(case, SETTINGS))
    image.unlink()
    prints.add(input_fingerprint(case, SETTINGS))
    assert len(prints) == 5


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "note.json"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, json.dumps({"new": True}))
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["note.json"]


def test_content_tells_a_copy_from_a_change(tmp_path):
    """With verify_content a file that was touched is not read again, one of the same size and time but changed is."""
    body = torso(1, spacing=12.0)
    write_nnunet(tmp_path / "data", {"one": body})
    source = open_source(f"nnunet:{tmp_path / 'data'}", keep_names=True)
    (case,) = source.cases()
    labels = case.paths[1]

    def stored(verify):
        volume = store_volume(source, case, SETTINGS, tmp_path / "store", None, verify)
        changed = volume.path.stat().st_mtime_ns
        os.utime(volume.path, ns=(1, 1))
        return changed != 1, json.loads(volume.path.with_suffix(".json").read_text())

    made, note = stored(True)
    assert made
    assert len(note["content"]) == 16
    assert stored(True) == (False, note)
    os.utime(labels, ns=(7, 7))
    made, touched = stored(True)
    assert not made
    assert touched["fingerprint"] != note["fingerprint"]
    assert stored(False) == (False, touched)
    data = bytearray(labels.read_bytes())
    data[4] ^= 1  # the time in the gzip header: other bytes, same size
    labels.write_bytes(data)
    os.utime(labels, ns=(7, 7))
    assert not stored(False)[0]
    assert stored(True)[0]


def test_a_store_made_without_hashes_is_made_again_when_they_are_asked_for(stored, tmp_path):
    source, case, volume = stored
    os.utime(volume.path, ns=(1, 1))
    store_volume(source, case, SETTINGS, tmp_path, None, True)
    assert volume.path.stat().st_mtime_ns != 1
