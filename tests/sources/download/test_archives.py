import hashlib
import io
import random
import shutil
import stat
import zipfile
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from dataset_builder.cli import main as cli
from dataset_builder.core.errors import FetchError
from dataset_builder.dataset.licences import licence
from dataset_builder.sources import KNOWN, oai_knee, open_source
from dataset_builder.sources.download import archives as module
from dataset_builder.sources.download.archives import Archive, archives, check_folder, fetch_archive, unpack
from dataset_builder.sources.download.checksums import RemoteFile
from dataset_builder.sources.download.hub_files import HubFile
from dataset_builder.sources.phantoms import torso, write_totalsegmentator
from dataset_builder.sources.published import SUBJECTS
from dataset_builder.sources.totalsegmentator import open_ct
from dataset_builder.sources.totalsegmentator_mri import open_mri
from tests.helpers.loopback_files import LoopbackFiles


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return stream.getvalue()


def write(path, members):
    path.write_bytes(zipped(members))
    return path


# ------------------------------------------------------------------------------------------------------------ the table


def test_the_table_is_complete_and_goes_over_https():
    table = archives()
    assert set(table) == {"totalsegmentator", "totalsegmentator-small", "totalsegmentator-mri", "oaizib-cm"}
    for archive in table.values():
        assert f"{archive.source}:DIR" in KNOWN
        assert licence(archive.licence).share
        assert archive.accept == (not licence(archive.licence).commercial)
        assert archive.citation
        assert archive.subjects > 0
        for file in archive.files:
            if isinstance(file, HubFile):
                assert file.hub in archive.url
                continue
            assert urlsplit(file.url).scheme == "https"
            assert urlsplit(file.url).path.endswith(f"/{file.name}")
            assert file.bytes
            assert len(file.md5) == 32


def test_licences_and_citations_are_those_of_the_sources(tmp_path):
    terms = {
        "totalsegmentator": open_ct(tmp_path).archive,
        "totalsegmentator_mri": open_mri(tmp_path).archive,
        "oai_knee": oai_knee.ARCHIVE,
    }
    for archive in archives().values():
        known = terms[archive.source]
        assert (archive.licence, archive.citation) == (known.licence, known.citation)
        assert archive.subjects in SUBJECTS[archive.source]


def test_a_zip_file_is_the_published_one_by_name_and_size(tmp_path):
    (small,) = archives()["totalsegmentator-small"].files
    with (tmp_path / small.name).open("wb") as file:
        file.truncate(small.bytes)
    assert open_ct(tmp_path).public
    (tmp_path / "own.zip").write_bytes(b"one more")
    assert not open_ct(tmp_path).public
    (tmp_path / "own.zip").unlink()
    with (tmp_path / small.name).open("wb") as file:
        file.truncate(small.bytes - 1)
    assert not open_ct(tmp_path).public


# ------------------------------------------------------------------------------------------------------------- fetching


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """Small archives in the real layouts, by path."""
    folder = tmp_path_factory.mktemp("public")
    write_totalsegmentator(folder, {f"s000{n}": torso(n, spacing=14.0, coverage="abdomen") for n in range(2)})
    members = {
        f"Totalsegmentator_dataset_v201/{p.relative_to(folder)}": p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file()
    }
    knees = {"info.zip": {"info/kneeSideInfo.csv": "oaizib_001.nii.gz,right\n"}}
    for part in ("Tr", "Ts"):
        knees[f"images{part}.zip"] = {f"images{part}/oaizib_001_0000.nii.gz": b"x"}
        knees[f"labels{part}.zip"] = {f"labels{part}/oaizib_001.nii.gz": b"x"}
    files = {f"/{name}": zipped(content) for name, content in knees.items()}
    files |= {
        f"/{file.name}": zipped(members)
        for archive in archives().values()
        for file in archive.files
        if isinstance(file, RemoteFile)
    }
    return files


@pytest.fixture
def public(contents, monkeypatch):
    """The public records on loopback, and the table that leads to them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = dict(contents)
    with LoopbackFiles(files) as server:
        table = {}
        for name, archive in archives().items():
            moved = []
            for file in archive.files:
                content = files[f"/{file.name}"]
                md5 = hashlib.md5(content).hexdigest()
                known = {"bytes": len(content), "md5": md5} if isinstance(file, RemoteFile) else {}
                moved.append(RemoteFile(file.name, f"{server.root}/{file.name}", **known))
            table[name] = Archive(**{**archive.__dict__, "files": tuple(moved)})
        monkeypatch.setattr(module, "archives", lambda: table)
        yield server, table


def run(*arguments):
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False)
    return done, " ".join(done.output.split())


def test_the_command_fetches_and_says_what_to_do_next(public, tmp_path):
    server, _ = public
    done, said = run("fetch", "totalsegmentator", "--small", "--out", tmp_path)
    assert done.exit_code == 0
    assert (tmp_path / "Totalsegmentator_dataset_small_v201.zip").is_file()
    assert "CC-BY-4.0" in said
    assert "Wasserthal et al." in said
    assert f"mis-ground build --source totalsegmentator:{tmp_path}" in said.replace("\n", "")
    assert [case.subject for case in open_source(f"totalsegmentator:{tmp_path}", keep_names=True).cases()] == [
        "s0000",
        "s0001",
    ]
    asked = len(server.asked)
    run("fetch", "totalsegmentator", "--small", "--out", tmp_path)
    assert len(server.asked) == asked


def test_the_large_one_and_the_mr(public, tmp_path):
    run("fetch", "totalsegmentator", "--out", tmp_path / "ct")
    run("fetch", "totalsegmentator-mri", "--out", tmp_path / "mr", "--unpack", "--accept-licence")
    assert (tmp_path / "ct" / "Totalsegmentator_dataset_v201.zip").is_file()
    assert (tmp_path / "mr" / "Totalsegmentator_dataset_v201" / "s0001" / "ct.nii.gz").is_file()


def test_a_licence_that_must_be_accepted(public, tmp_path):
    server, _ = public
    for name, licence_name in (("oaizib-cm", r"CC-BY-NC-4\.0"), ("totalsegmentator-mri", r"CC-BY-NC-SA-2\.0")):
        with pytest.raises(FetchError, match=f"{licence_name}.*--accept-licence"):
            run("fetch", name, "--out", tmp_path)
    assert server.asked == []
    run("fetch", "oaizib-cm", "--out", tmp_path, "--accept-licence")
    names = {path.name for path in tmp_path.glob("[!.]*")}
    assert names == {"info.zip", "imagesTr.zip", "imagesTs.zip", "labelsTr.zip", "labelsTs.zip"}
    assert not check_folder(f"oai_knee:{tmp_path}").missing


def test_without_a_folder_it_goes_into_the_cache(public, tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path))
    run("fetch", "totalsegmentator-mri", "--accept-licence")
    assert (tmp_path / "archives" / "totalsegmentator-mri" / "TotalsegmentatorMRI_dataset_v200.zip").is_file()


# ------------------------------------------------------------------------------------------------------------ unpacking


def test_unpacking_and_going_on_with_it(tmp_path):
    members = {f"top/s{n}/ct.nii.gz": random.Random(n).randbytes(5000) for n in range(4)}
    archive = write(tmp_path / "a.zip", members)
    reported = []
    assert unpack(archive, tmp_path / "out", lambda *call: reported.append(call)) == 4
    for name, content in members.items():
        assert (tmp_path / "out" / name).read_bytes() == content
    assert reported[-1] == ("unpack", 20_000, 20_000)
    (tmp_path / "out" / "top/s1/ct.nii.gz").unlink()
    (tmp_path / "out" / "top/s2/ct.nii.gz").write_bytes(b"corrected by hand")
    reported.clear()
    with pytest.raises(FetchError, match=r"differ from those in the archive.*top/s2/ct\.nii\.gz"):
        unpack(archive, tmp_path / "out", lambda *call: reported.append(call))
    assert (tmp_path / "out" / "top/s2/ct.nii.gz").read_bytes() == b"corrected by hand"
    assert not (tmp_path / "out" / "top/s1/ct.nii.gz").exists()
    assert reported == []
    (tmp_path / "out" / "top/s2/ct.nii.gz").unlink()
    unpack(archive, tmp_path / "out", lambda *call: reported.append(call))
    assert reported == [("unpack", 5000, 10_000), ("unpack", 10_000, 10_000)]
    assert not list((tmp_path / "out").rglob("*.partial"))


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "C:/evil"])
def test_a_member_that_leads_elsewhere_stops_all(tmp_path, name):
    archive = write(tmp_path / "a.zip", {"good": b"good", name: b"evil"})
    with pytest.raises(FetchError, match="does not belong"):
        unpack(archive, tmp_path / "out" / "deep")
    assert not (tmp_path / "out" / "deep" / "good").exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_link_in_an_archive_stops_all(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(FetchError, match=r"does not belong.*link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_damaged_and_truncated_archives(tmp_path):
    archive = write(tmp_path / "a.zip", {"a": random.Random(1).randbytes(5000)})
    content = bytearray(archive.read_bytes())
    content[1000] ^= 1
    archive.write_bytes(content)
    with pytest.raises(FetchError, match=r"damaged.*CRC"):
        unpack(archive, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("a*"))
    archive.write_bytes(content[:2000])
    with pytest.raises(FetchError, match=r"damaged.*fetch it again"):
        unpack(archive, tmp_path / "out")


def test_unpacking_needs_room(tmp_path, monkeypatch):
    archive = write(tmp_path / "a.zip", {"a": bytes(5000)})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module, "disk_usage", lambda _: usage._replace(free=4999))
    with pytest.raises(FetchError, match="not enough space"):
        unpack(archive, tmp_path / "out")


# --------------------------------------------------------------------------------------------------------- completeness


def test_whether_a_folder_is_complete(public, tmp_path):
    for n in range(3):
        (tmp_path / f"s000{n}" / "segmentations").mkdir(parents=True)
        (tmp_path / f"s000{n}" / "ct.nii.gz").write_bytes(b"x")
        (tmp_path / f"s000{n}" / "segmentations" / "liver.nii.gz").write_bytes(b"x")
    (tmp_path / "meta.csv").write_text("image_id;split\ns0000;train\ns0001;train\ns0002;test\n")
    whole = check_folder(f"totalsegmentator:{tmp_path}", expected=3)
    assert (whole.cases, whole.missing, whole.complete) == (3, (), True)
    assert not check_folder(f"totalsegmentator:{tmp_path}").complete  # the smallest public one has 102
    (tmp_path / "s0001" / "ct.nii.gz").unlink()
    shutil.rmtree(tmp_path / "s0002" / "segmentations")
    found = check_folder(f"totalsegmentator:{tmp_path}", expected=3)
    assert set(found.missing) == {("s0001", "s0001/ct.nii.gz"), ("s0002", "s0002/segmentations")}
    done, said = run("fetch", "check", f"totalsegmentator:{tmp_path}", "--expected", "3")
    assert done.exit_code == 1
    assert "s0001: s0001/ct.nii.gz" in said
    shutil.rmtree(tmp_path / "s0001")
    shutil.rmtree(tmp_path / "s0002")
    (tmp_path / "meta.csv").unlink()
    done, said = run("fetch", "check", f"totalsegmentator:{tmp_path}", "--expected", "1")
    assert (done.exit_code, "complete" in said) == (0, True)


def test_whether_an_archive_is_complete(public, tmp_path):
    _, table = public
    fetch_archive(table["totalsegmentator-small"], tmp_path)
    assert check_folder(f"totalsegmentator:{tmp_path}", expected=2).complete
    members = {"s0000/ct.nii.gz": b"x", "s0001/ct.nii.gz": b"x", "s0001/segmentations/liver.nii.gz": b"x"}
    for path in tmp_path.glob("*.zip"):
        path.unlink()
    write(tmp_path / "a.zip", members)
    assert check_folder(f"totalsegmentator:{tmp_path}", expected=2).missing == (("s0000", "no labels in a.zip"),)
