import hashlib
import json

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_builder.building.datasets_builder import FEATURES, SLICE_FEATURES
from dataset_builder.dataset.croissant import croissant_text
from dataset_builder.dataset.format import VERSION
from dataset_builder.dataset.manifest import BuildNote, Record, SourceNote, SplitNote, read_record
from dataset_builder.dataset.summary import file_hashes
from dataset_builder.imaging.masks import encode_mask
from tests.helpers.small_ground import CELLS, write_ground
from tests.helpers.tiny_dataset import row


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_ground(tmp_path_factory.mktemp("croissant") / "ground")


@pytest.fixture(scope="module")
def described(ground):
    return json.loads((ground / "croissant.json").read_text(encoding="utf-8"))


def test_every_file_is_listed_with_its_checksum(ground, described):
    listed = {one["contentUrl"]: one["sha256"] for one in described["distribution"] if one["@type"] == "cr:FileObject"}
    paths = ground.rglob("*.parquet")
    assert listed == {
        path.relative_to(ground).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def test_record_sets_have_the_columns_of_their_files(ground, described):
    sets = {one["name"]: one for one in described["recordSet"]}
    assert set(sets) == {"ct_axial", "ct_coronal", "mri_axial", "slices"}
    files = {one["@id"]: one["includes"] for one in described["distribution"] if one["@type"] == "cr:FileSet"}
    for name, one in sets.items():
        columns = [field["source"]["extract"]["column"] for field in one["field"]]
        assert columns == pq.read_schema(ground / files[f"files-{name}"][0]).names
        assert {field["source"]["fileSet"]["@id"] for field in one["field"]} == {f"files-{name}"}


def test_licence_version_and_citations(ground, described):
    record = read_record(ground)
    assert described["license"] == "https://www.apache.org/licenses/LICENSE-2.0"
    assert described["version"] == f"{VERSION}+{record.content}"
    assert "Makers of sample" in described["citeAs"]


def test_it_is_the_same_for_the_same_data(ground):
    record = read_record(ground)
    assert croissant_text(record, file_hashes(ground)) == (ground / "croissant.json").read_text(encoding="utf-8")


def test_columns_of_a_real_build():
    """Lists of lists are arrays, lists of structs have a field a member, images are images."""
    features = {"rows": FEATURES.to_dict(), "slices": SLICE_FEATURES.to_dict()}
    splits = {key: SplitNote(1, 1, 1, (f"{key[0]}.parquet",)) for key in (("stack", "test"), ("slices", "test"))}
    source = SourceNote("phantom", "CC0-1.0", "", "", 1)
    record = Record((BuildNote("0", "1", {}, "", (source,), (), 1, 0, features, splits),), "0")
    found = json.loads(croissant_text(record, {"stack.parquet": "0", "slices.parquet": "1"}))
    fields = {field["@id"]: field for one in found["recordSet"] for field in one["field"]}
    assert fields["stack/images"]["dataType"] == "sc:ImageObject"
    assert fields["stack/images"]["repeated"]
    assert (fields["stack/boxes"]["isArray"], fields["stack/boxes"]["arrayShape"]) == (True, "-1,4")
    assert fields["stack/options"]["dataType"] == "sc:Text"
    assert fields["stack/answer_index"]["dataType"] == "sc:Integer"
    assert [part["name"] for part in fields["slices/names"]["subField"]] == ["names/value", "names/name"]
    assert fields["slices/affine"]["arrayShape"] == "4,4"


def test_croissants_own_library_accepts_it_and_reads_the_rows(ground):
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(ground / "croissant.json"))
    assert not dataset.metadata.issues.errors
    # A build's bytes do not depend on the day, so it states none.
    assert all("datePublished" in warning for warning in dataset.metadata.issues.warnings)
    written = pq.read_table(ground / "data" / "mri_axial" / "anatomical_label.parquet").to_pylist()
    rows = list(dataset.records("mri_axial"))
    assert [row["mri_axial/id"].decode() for row in rows] == [row["id"] for row in written]
    assert [row["mri_axial/boxes"] for row in rows] == [row["boxes"] for row in written]
    assert all(row["mri_axial/images"][0].size == (64, 64) for row in rows)


def test_its_library_reads_masks_and_measurements(tmp_path):
    import mlcroissant

    masks = [encode_mask(np.eye(64, dtype=bool)), encode_mask(np.ones((64, 64), bool))]
    answers = ({"masks": masks}, {"masks": [], "value": 52.5, "unit": "mm", "tolerance": 5.25})
    rows = [dict.fromkeys(FEATURES) | row(CELLS[0], number) | answer for number, answer in enumerate(answers)]
    pq.write_table(datasets.Dataset.from_list(rows, features=FEATURES).data.table, tmp_path / "locate.parquet")
    splits = {("locate", "test"): SplitNote(2, 1, 1, ("locate.parquet",))}
    source = SourceNote("phantom", "CC0-1.0", "", "", 1)
    record = Record((BuildNote("0", "1", {}, "", (source,), (), 1, 0, {"rows": FEATURES.to_dict()}, splits),), "0")
    digest = hashlib.sha256((tmp_path / "locate.parquet").read_bytes()).hexdigest()
    (tmp_path / "croissant.json").write_text(croissant_text(record, {"locate.parquet": digest}), encoding="utf-8")
    place, number = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json")).records("locate")
    read = [
        {"size": one["locate/masks/size"], "counts": one["locate/masks/counts"].decode()}
        for one in place["locate/masks"]
    ]
    assert read == masks
    assert (number["locate/value"], number["locate/unit"], number["locate/tolerance"]) == (52.5, b"mm", 5.25)
