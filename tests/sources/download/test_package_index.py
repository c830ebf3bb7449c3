import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from dataset_builder.core.errors import FetchError
from dataset_builder.sources.download import package_index as fetching
from dataset_builder.sources.download.package_index import (
    MANIFEST,
    cache_folder,
    download_from_index,
    fetch_members,
    unpack_members,
)

WANTED = {"tiny_part/data.txt": "data.txt", "tiny_part/more.bin": "inner/more.bin"}
CONTENT = {"tiny_part/data.txt": b"hello\n", "tiny_part/more.bin": bytes(range(256))}
METADATA = b"Metadata-Version: 2.1\nName: tiny-part\nVersion: 1.0\n"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A wheel with two data files."""
    path = tmp_path / "index" / "tiny_part-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in CONTENT.items():
            packed.writestr(name, content)
        packed.writestr("tiny_part-1.0.dist-info/METADATA", METADATA)
        packed.writestr(
            "tiny_part-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr("tiny_part-1.0.dist-info/RECORD", "")
    return path


def tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """pip knows this folder and nothing else; the cache is an empty folder."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "index"


def visible(folder: Path) -> list[str]:
    """All files below a folder but locks."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix != ".lock")


# Fetching


def test_members_of_a_wheel_come_once_and_whole(index, wheel, monkeypatch):
    folder = fetch_members("tiny", "tiny-part==1.0", sha256(wheel), WANTED)
    assert folder == cache_folder() / "tiny"
    assert (folder / "data.txt").read_bytes() == CONTENT["tiny_part/data.txt"]
    assert (folder / "inner" / "more.bin").read_bytes() == CONTENT["tiny_part/more.bin"]
    assert visible(cache_folder()) == ["tiny", "tiny/data.txt", "tiny/inner", "tiny/inner/more.bin", f"tiny/{MANIFEST}"]
    monkeypatch.setattr(fetching, "download_from_index", lambda *_, **__: pytest.fail("fetched again"))
    assert fetch_members("tiny", "tiny-part==1.0", sha256(wheel), WANTED) == folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "data.txt").write_bytes(b"hellO\n"),
        lambda folder: (folder / "data.txt").unlink(),
        lambda folder: (folder / MANIFEST).write_text("{"),
        lambda folder: (folder / MANIFEST).write_text("[]"),
    ],
    ids=["changed", "removed", "truncated manifest", "other manifest"],
)
def test_a_damaged_folder_is_made_again(index, wheel, monkeypatch, damage):
    archive_sha256 = sha256(wheel)
    folder = cache_folder() / "tiny"
    unpack_members(wheel, WANTED, folder)
    damage(folder)

    def local(requirement, expected, target, *, source_archive):
        assert (requirement, expected, source_archive) == ("tiny-part==1.0", archive_sha256, False)
        return wheel

    monkeypatch.setattr(fetching, "download_from_index", local)
    fetch_members("tiny", "tiny-part==1.0", archive_sha256, WANTED)
    assert (folder / "data.txt").read_bytes() == CONTENT["tiny_part/data.txt"]
    assert visible(cache_folder()) == ["tiny", "tiny/data.txt", "tiny/inner", "tiny/inner/more.bin", f"tiny/{MANIFEST}"]


def test_a_folder_of_another_archive_is_made_again(index, wheel, tmp_path):
    older = tar(tmp_path / "older.tar.gz", [(name, b"old") for name in WANTED])
    unpack_members(older, WANTED, cache_folder() / "tiny")
    folder = fetch_members("tiny", "tiny-part==1.0", sha256(wheel), WANTED)
    assert (folder / "data.txt").read_bytes() == CONTENT["tiny_part/data.txt"]


def test_a_source_archive_is_fetched_without_building_it(index, tmp_path):
    index.mkdir()
    setup = b"import setuptools\nsetuptools.setup(name='tiny-part', version='1.0', py_modules=[])\n"
    root = "tiny_part-1.0"
    archive = tar(
        index / f"{root}.tar.gz",
        [(f"{root}/setup.py", setup), (f"{root}/PKG-INFO", METADATA), (f"{root}/scan.bin", b"\0\1")],
    )
    got = download_from_index("tiny-part==1.0", sha256(archive), tmp_path / "got", source_archive=True)
    assert (got.name, sha256(got)) == (archive.name, sha256(archive))
    assert visible(tmp_path / "got") == [archive.name]


def test_another_content_than_the_one_asked_for_is_refused(index, wheel, tmp_path):
    with pytest.raises(FetchError, match="not the expected file") as caught:
        fetch_members("tiny", "tiny-part==1.0", "0" * 64, WANTED)
    assert sha256(wheel) in str(caught.value)
    assert visible(cache_folder()) == []


def test_what_pip_said_is_told_in_one_line(index):
    index.mkdir()
    with pytest.raises(FetchError) as caught:
        fetch_members("tiny", "tiny-part==1.0", "0" * 64, WANTED)
    assert "No matching distribution found for tiny-part==1.0" in str(caught.value)
    assert "PIP_FIND_LINKS" in caught.value.remedy
    assert "\n" not in str(caught.value)
    assert visible(cache_folder()) == []


def test_an_index_out_of_reach_is_told_as_such(index, monkeypatch):
    index.mkdir()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(FetchError, match="cannot be reached") as caught:
        fetch_members("tiny", "tiny-part==1.0", "0" * 64, WANTED)
    assert "refused" in str(caught.value.value)
    assert "\n" not in str(caught.value)


def test_a_python_without_pip_is_told_how_to_get_it(index, monkeypatch):
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FetchError, match="ensurepip"):
        fetch_members("tiny", "tiny-part==1.0", "0" * 64, WANTED)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError, match="MIS_GROUND_CACHE"):
        fetch_members("tiny", "tiny-part==1.0", "0" * 64, WANTED)


def test_the_cache_folder_is_the_users_unless_named(monkeypatch):
    monkeypatch.delenv("MIS_GROUND_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert cache_folder().name == "mis-ground"
    if sys.platform == "linux":
        assert cache_folder() == Path("/somewhere/cache/mis-ground")
    monkeypatch.setenv("MIS_GROUND_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"


def test_two_at_once_fetch_once(index, wheel, monkeypatch):
    fetched = []

    def slow(*_, **__):
        fetched.append(1)
        time.sleep(0.2)
        return wheel

    monkeypatch.setattr(fetching, "download_from_index", slow)
    digest, folders = sha256(wheel), []
    threads = [
        threading.Thread(target=lambda: folders.append(fetch_members("tiny", "tiny-part==1.0", digest, WANTED)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(folders), len(fetched)) == (3, 1)


def test_what_a_killed_fetch_left_is_no_result_and_is_removed(index, wheel):
    code = (
        "import os, sys; from pathlib import Path\n"
        "from dataset_builder.sources.download import package_index as fetching\n"
        "def copy(stream, target, limit, archive):\n"
        "    target.write_bytes(stream.read()[:3]); os._exit(9)\n"
        "fetching._copy = copy; fetching.download_from_index = lambda *_, **__: Path(sys.argv[1])\n"
        "fetching.fetch_members('tiny', 'tiny-part==1.0', sys.argv[2], {'tiny_part/data.txt': 'data.txt'})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(wheel), sha256(wheel)], check=False)
    assert killed.returncode == 9
    assert not (cache_folder() / "tiny").exists()
    assert any(path.startswith(".partial-") for path in visible(cache_folder()))
    fetch_members("tiny", "tiny-part==1.0", sha256(wheel), WANTED)
    assert visible(cache_folder()) == ["tiny", "tiny/data.txt", "tiny/inner", "tiny/inner/more.bin", f"tiny/{MANIFEST}"]


# Unpacking


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder that is there already; a failure must leave it as it is."""
    folder = tmp_path / "to" / "folder"
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    return folder


def assert_untouched(old: Path) -> None:
    assert visible(old.parent) == ["folder", "folder/old.txt"]
    assert (old / "old.txt").read_text() == "old"


def test_the_manifest_holds_the_hash_of_each_file(tmp_path, old):
    archive = tar(tmp_path / "a.tar.gz", [("x/one", b"1"), ("x/two", b"2"), ("x/three", b"3")])
    unpack_members(archive, {"x/one": "one", "x/three": "deep/three"}, old)
    assert visible(old) == ["deep", "deep/three", MANIFEST, "one"]
    assert json.loads((old / MANIFEST).read_text()) == {
        "archive_sha256": sha256(archive),
        "files": {"deep/three": hashlib.sha256(b"3").hexdigest(), "one": hashlib.sha256(b"1").hexdigest()},
    }
    assert visible(old.parent) == ["folder", *(f"folder/{name}" for name in visible(old))]


@pytest.mark.parametrize(
    ("member", "target"),
    [
        ("../x", "x"),
        ("/x", "x"),
        ("a/../../x", "x"),
        ("x", "../x"),
        ("x", "/tmp/x"),
        ("x", "a/../../x"),
        ("x", "C:\\x"),
        ("x", ""),
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path, old, member, target):
    archive = tar(tmp_path / "a.tar.gz", [(member, b"evil")])
    with pytest.raises(FetchError, match="has a path outside the folder"):
        unpack_members(archive, {member: target}, old)
    assert_untouched(old)


def test_evil_members_that_nobody_asked_for_are_never_written(tmp_path, old):
    archive = tar(
        tmp_path / "a.tar.gz",
        [
            ("../outside", b"evil"),
            (str(tmp_path / "absolute"), b"evil"),
            (special("link", tarfile.SYMTYPE, ".."), b""),
            ("link/through", b"evil"),
            ("x", b"good"),
        ],
    )
    unpack_members(archive, {"x": "x"}, old)
    assert visible(old) == [MANIFEST, "x"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "to"]
    assert visible(old.parent) == ["folder", f"folder/{MANIFEST}", "folder/x"]


@pytest.mark.parametrize(
    "member",
    [
        special("x", tarfile.SYMTYPE, "/etc/hostname"),
        special("x", tarfile.SYMTYPE, "y"),
        special("x", tarfile.LNKTYPE, "y"),
        special("x", tarfile.DIRTYPE),
        special("x", tarfile.FIFOTYPE),
        special("x", tarfile.CHRTYPE),
    ],
    ids=["symlink out", "symlink in", "hard link", "folder", "pipe", "device"],
)
def test_members_that_are_no_plain_files_are_refused(tmp_path, old, member):
    archive = tar(tmp_path / "a.tar.gz", [("y", b"y"), (member, b"")])
    with pytest.raises(FetchError, match="link or special file"):
        unpack_members(archive, {"x": "x"}, old)
    assert_untouched(old)


def test_a_link_in_a_zip_is_refused(tmp_path, old):
    link = zipfile.ZipInfo("x")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/hostname")
    with pytest.raises(FetchError, match="link or special file"):
        unpack_members(tmp_path / "a.zip", {"x": "x"}, old)
    assert_untouched(old)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_more_than_the_limit_is_not_unpacked(tmp_path, old, kind):
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("x", bytes(600))
            packed.writestr("y", bytes(600))
    else:
        tar(archive, [("x", bytes(600)), ("y", bytes(600))])
    unpack_members(archive, {"x": "x"}, tmp_path / "one", limit_bytes=1000)
    with pytest.raises(FetchError, match="exceed the size limit"):
        unpack_members(archive, {"x": "x", "y": "y"}, old, limit_bytes=1000)
    assert_untouched(old)


def test_a_missing_member_is_named(tmp_path, old):
    archive = tar(tmp_path / "a.tar.gz", [("x", b"x")])
    with pytest.raises(FetchError, match="lacks an expected file") as caught:
        unpack_members(archive, {"x": "x", "pkg/y": "y"}, old)
    assert caught.value.value == "pkg/y"
    assert_untouched(old)


@pytest.mark.parametrize("kind", ["tar.gz", "whl"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.95])
def test_a_truncated_archive_is_refused(tmp_path, old, kind, keep):
    archive, noise = tmp_path / f"a.{kind}", os.urandom(4000)
    if kind == "whl":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("x", noise)
    else:
        tar(archive, [("x", noise)])
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(FetchError, match=r"cannot be read|lacks an expected file"):
        unpack_members(archive, {"x": "x"}, old)
    assert_untouched(old)


def test_flipped_bits_are_refused(tmp_path, old):
    archive = tar(tmp_path / "a.tar.gz", [("x", b"words, words, words " * 500)])
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(FetchError, match=r"cannot be read|lacks an expected file"):
        unpack_members(archive, {"x": "x"}, old)
    assert_untouched(old)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_unpacking_leaves_nothing_half(tmp_path, old, monkeypatch, error):
    archive = tar(tmp_path / "a.tar.gz", [("x", b"x"), ("y", b"y")])
    real = fetching._copy

    def stopping(stream, target, limit, path):
        if target.name == "y":
            raise error
        return real(stream, target, limit, path)

    monkeypatch.setattr(fetching, "_copy", stopping)
    with pytest.raises(type(error)):
        unpack_members(archive, {"x": "x", "y": "y"}, old)
    assert_untouched(old)
