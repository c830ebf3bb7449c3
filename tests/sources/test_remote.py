"""Sources in object storage: a real S3 server on this machine, with faults."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.engines import Dask
from dataset_builder.building.worker import Quarantined, store_case
from dataset_builder.cli import main as cli
from dataset_builder.core.errors import BuildError, SourceError
from dataset_builder.core.settings import Settings
from dataset_builder.files import object_storage as storage_module
from dataset_builder.files.object_storage import place_of_store, remote_path
from dataset_builder.slices.store import StoredVolume, content_fingerprint, volumes_in
from dataset_builder.sources import open_source, remote
from dataset_builder.sources.phantoms import torso, write_nnunet, write_totalsegmentator
from tests.helpers.folders import contents
from tests.helpers.loopback_s3 import LoopbackS3, upload

SMALL = Settings(
    slices_per_volume=2,
    questions_per_volume=6,
    inputs=("slice",),
    views=("plain",),
    image_size=64,
    answer_types=("choice",),
)


@pytest.fixture(scope="module")
def server():
    import s3fs

    with LoopbackS3() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        patch.setattr(s3fs.S3FileSystem, "retries", 1)  # its own attempts take seconds
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("scans")
        yield running
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def storage(server):
    import s3fs

    return s3fs.S3FileSystem()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(storage_module, "WAIT_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def no_faults(server):
    server.asked.clear()
    yield
    server.cut.clear()
    server.refused.clear()


@pytest.fixture(scope="module")
def body():
    return torso(1, spacing=12.0)


@pytest.fixture(scope="module")
def here(body, tmp_path_factory):
    """The same scans on this machine and in the bucket: two layouts, one case damaged."""
    folder = tmp_path_factory.mktemp("someone")
    write_nnunet(folder / "own", {"one": body, "two": body, "broken": body})
    broken = folder / "own" / "labelsTr" / "broken.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-200])
    write_totalsegmentator(folder / "ct", {"s0000": body})
    (folder / "ct" / "s0000" / "segmentations" / "notes.txt").write_text("not a mask")
    return folder


@pytest.fixture(scope="module")
def uploaded(here, storage):
    upload(storage, here, "scans")
    return "s3://scans"


def sources_in(place: object) -> list:
    return [
        open_source(f"nnunet:{place}/own", keep_names=True),
        open_source(f"totalsegmentator:{place}/ct", keep_names=True),
    ]


def put_aside(spec: str, subject: str, tmp_path: Path):
    source = open_source(spec, keep_names=True)
    (case,) = (case for case in source.cases() if case.subject == subject)
    return store_case((source, case), SMALL, tmp_path / "store", None, False)


# --- the same bytes --------------------------------------------------------------------------------------------------


def test_a_cluster_builds_the_same_bytes_from_and_into_object_storage_and_reads_nothing_twice(
    here, uploaded, server, storage, tmp_path
):
    local = build(sources_in(here), tmp_path / "local", SMALL)
    assert (local.volumes, len(local.quarantined)) == (3, 1)
    kept = place_of_store("s3://scans/kept")
    cluster = Dask(None, 1)
    try:
        build(sources_in(uploaded), tmp_path / "remote", SMALL, store=kept, engine=cluster)
        assert contents(tmp_path / "remote") == contents(tmp_path / "local")
        assert len(server.got("_0000.nii.gz")) == 3
        assert not server.got("notes.txt")
        server.asked.clear()
        build(sources_in(uploaded), tmp_path / "again", SMALL, store=kept, engine=cluster)
        assert server.got("_0000.nii.gz") == ["/scans/own/imagesTr/broken_0000.nii.gz"]
        assert not server.got("liver.nii.gz")
        assert contents(tmp_path / "again") == contents(tmp_path / "local")
        # Another content: the workers, which live on, see it.
        write_nnunet(tmp_path / "changed", {"one": torso(2, spacing=12.0)})
        upload(storage, tmp_path / "changed" / "labelsTr", "scans/own/labelsTr")
        upload(storage, tmp_path / "changed" / "imagesTr", "scans/own/imagesTr")
        server.asked.clear()
        build(sources_in(uploaded), tmp_path / "changed-out", SMALL, store=kept, engine=cluster)
        read = sorted(server.got("_0000.nii.gz"))
        assert read == [f"/scans/own/imagesTr/{name}_0000.nii.gz" for name in ("broken", "one")]
    finally:
        cluster.close()
        upload(storage, here / "own", "scans/own")


def test_a_store_in_a_bucket_holds_what_one_on_this_machine_does(here, server, storage, tmp_path, monkeypatch):
    """Also by the command line, and asked from alone."""
    kept, source = "s3://scans/own-store", f"totalsegmentator:{here / 'ct'}"
    options = ("--slices-per-volume", "2", "--questions-per-volume", "6", "--inputs", "slice", "--image-size", "64")
    for arguments in (("--source", source, "--keep-names", "--out", "one"), ("--out", "two")):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["mis-ground", "build", "--store", kept, *arguments, *options])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code in (0, None)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    (case,) = open_source(source, keep_names=True).cases()
    plain = store_case((open_source(source, keep_names=True), case), SMALL, tmp_path / "store", None, False)
    assert storage.cat_file("scans/own-store/totalsegmentator/s0000.parquet") == plain.path.read_bytes()
    (found,) = volumes_in(place_of_store(kept))
    assert (found.subject, found.modality) == ("s0000", "ct")
    assert json.loads(storage.cat_file("scans/own-store/totalsegmentator/s0000.json"))["slices"] == 2


def test_a_store_that_breaks_off_before_the_note_does_not_count(here, server, storage, tmp_path):
    source = open_source(f"totalsegmentator:{here / 'ct'}", keep_names=True)
    (case,) = source.cases()
    kept = place_of_store("s3://scans/cut-store")
    server.refused.add("PUT /scans/cut-store/totalsegmentator/s0000.json")
    with pytest.raises(SourceError, match="denies access"):
        store_case((source, case), SMALL, kept, None, False)
    assert storage.ls("scans/cut-store/totalsegmentator") == ["scans/cut-store/totalsegmentator/s0000.parquet"]
    with pytest.raises(BuildError, match="no finished volume"):
        volumes_in(kept)
    server.refused.clear()
    assert store_case((source, case), SMALL, kept, None, False) == volumes_in(kept)[0]


@pytest.mark.parametrize("place", ["s3://no-such-bucket/kept", "s3://scans/secret-store"])
def test_a_store_that_cannot_be_is_told(server, place):
    server.refused.add("secret")
    with pytest.raises(SourceError, match="does not exist" if "no-such" in place else "denies access"):
        place_of_store(place)


def test_quarantine_names_the_object_not_its_copy(uploaded, tmp_path):
    reported = put_aside(f"nnunet:{uploaded}/own", "broken", tmp_path)
    assert (reported.reason, reported.file) == ("unreadable", "labelsTr/broken.nii.gz")
    assert "mis-ground-" not in json.dumps(vars(reported))


def test_a_mask_that_is_not_there_is_told_as_on_this_machine(here, uploaded, storage, tmp_path):
    storage.pipe_file("scans/few/s0001/ct.nii.gz", (here / "ct" / "s0000" / "ct.nii.gz").read_bytes())
    reported = put_aside("totalsegmentator:s3://scans/few", "s0001", tmp_path)
    assert (reported.reason, reported.file) == ("missing_labels", "s0001/segmentations")


def test_an_archive_is_read_where_it_lies(here, storage, tmp_path):
    """Also if the storage has the public zip file: what is beside the subject in it is not fetched."""
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((here / "ct" / "s0000").rglob("*.nii.gz")):
            packed.write(path, f"Totalsegmentator_dataset/s0000/{path.relative_to(here / 'ct' / 's0000')}")
    storage.put_file(str(archive), "scans/zipped/set.zip")
    packed_volume = put_aside("totalsegmentator:s3://scans/zipped", "s0000", tmp_path)
    assert isinstance(packed_volume, StoredVolume)
    shutil.copytree(here / "ct" / "s0000", tmp_path / "own" / "s0000")  # without meta.csv: as private as that archive
    source = open_source(f"totalsegmentator:{tmp_path / 'own'}", keep_names=True)
    (case,) = source.cases()
    plain = store_case((source, case), SMALL, tmp_path / "plain", None, False)
    assert packed_volume.path.read_bytes() == plain.path.read_bytes()


def test_content_is_told_by_hash_if_asked_for(here, uploaded):
    prints = []
    for place in (here, uploaded):
        (case,) = open_source(f"totalsegmentator:{place}/ct", keep_names=True).cases()
        prints.append(content_fingerprint(case, SMALL))
    assert prints[0] == prints[1]


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_download_that_breaks_is_begun_again(uploaded, server, tmp_path):
    server.cut["liver.nii.gz"] = 1
    assert isinstance(put_aside(f"totalsegmentator:{uploaded}/ct", "s0000", tmp_path), StoredVolume)
    assert len(server.got("liver.nii.gz")) == 2


def test_one_that_breaks_again_and_again_puts_the_case_aside(uploaded, server, tmp_path):
    server.cut["two_0000.nii.gz"] = 99
    summary = build([open_source(f"nnunet:{uploaded}/own", keep_names=True)], tmp_path / "out", SMALL)
    assert summary.volumes == 1
    reported = {case.subject: case for case in summary.quarantined}["two"]
    assert (reported.reason, reported.file) == ("unreadable", "imagesTr/two_0000.nii.gz")
    assert "storage" in reported.problem
    assert reported.remedy
    assert len(server.got("two_0000.nii.gz")) == storage_module.ATTEMPTS


def test_an_object_that_nobody_may_read_puts_its_case_aside(uploaded, server, tmp_path):
    server.refused.add("labelsTr/one.nii.gz")
    reported = put_aside(f"nnunet:{uploaded}/own", "one", tmp_path)
    assert isinstance(reported, Quarantined)
    assert (reported.reason, reported.file) == ("unreadable", "labelsTr/one.nii.gz")


def test_storage_that_refuses_all_of_a_sudden_stops_the_build(uploaded, server, tmp_path):
    source = open_source(f"nnunet:{uploaded}/own", keep_names=True)
    cases = list(source.cases())
    server.refused.add("/scans")
    with pytest.raises(SourceError, match="denies access"):
        store_case((source, cases[1]), SMALL, tmp_path / "store", None, False)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_full_temporary_folder_is_not_blamed_on_the_case(uploaded, monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(OSError, match="TMPDIR"):
        put_aside(f"nnunet:{uploaded}/own", "one", tmp_path)


@pytest.mark.parametrize(
    ("place", "problem", "reported"),
    [
        ("s3://no-such-bucket/ct", "does not exist", "no-such-bucket"),
        ("s3://scans/nothing", "does not exist", "scans/nothing"),
        ("s3://scans/own/dataset.json", "not a folder", "dataset.json"),
        ("s3://scans/secret", "denies access", "credentials"),
        ("gs://bucket/ct", "needs a package", "pip install gcsfs"),
        ("nowhere://bucket/ct", "protocol is unknown", "s3://"),
        ("sftp://me:hush@host/ct", "password", "environment"),
    ],
)
def test_a_place_that_cannot_be_used_is_told(uploaded, server, place, problem, reported):
    server.refused.add("secret")
    with pytest.raises(SourceError, match=problem) as caught:
        open_source(f"nnunet:{place}", keep_names=True)
    assert reported in str(caught.value)
    assert "hush" not in str(caught.value)


def test_without_the_extra_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(SourceError, match=r"pip install 'mis-ground\[remote\]'"):
        open_source("nnunet:s3://scans/own", keep_names=True)


def test_a_file_url_is_a_path_of_this_machine(here):
    assert remote_path(f"file://{here}/ct") == here / "ct"
    (case,) = open_source(f"totalsegmentator:file://{here}/ct", keep_names=True).cases()
    assert case.paths[0] == here / "ct" / "s0000" / "ct.nii.gz"
