import hashlib
import os
import random
import shutil

import pytest
from filelock import FileLock

from dataset_builder.core.errors import FetchError
from dataset_builder.sources.download import http as module
from dataset_builder.sources.download.checksums import RemoteFile
from dataset_builder.sources.download.http import download
from tests.helpers.loopback_files import Behaviour, LoopbackFiles

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """No waiting; the waits that would have been are listed."""
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return waited


def serve(*behaviours):
    return LoopbackFiles({"/scans.zip": CONTENT}, list(behaviours))


def scans(server, **known):
    known = known or {"bytes": len(CONTENT), "md5": MD5}
    return RemoteFile("scans.zip", f"{server.root}/scans.zip?download=1", **known)


def only_the_file(folder):
    """No partial file and no note of one is left."""
    return sorted(path.name for path in folder.iterdir() if "lock" not in path.name) == [
        ".scans.zip.checked",
        "scans.zip",
    ]


@pytest.mark.parametrize("known", [{"bytes": len(CONTENT), "md5": MD5}, {"sha256": SHA256}, {}])
def test_a_file_comes_and_is_checked(tmp_path, known):
    reported = []
    with serve() as server:
        file = scans(server, **known) if known else RemoteFile("scans.zip", f"{server.root}/scans.zip")
        path = download(file, tmp_path / "new" / "folder", lambda *call: reported.append(call))
    assert path.read_bytes() == CONTENT
    assert only_the_file(path.parent)
    assert reported[0] == ("scans.zip", 0, len(CONTENT))
    assert ("scans.zip", len(CONTENT), len(CONTENT)) in reported
    assert (reported[-1] == ("check scans.zip", len(CONTENT), len(CONTENT))) == bool(known)


def test_what_is_there_is_not_fetched_again_until_it_changes(tmp_path):
    with serve() as server:
        path = download(scans(server), tmp_path)
        assert download(scans(server), tmp_path) == path
        assert len(server.asked) == 1
        path.write_bytes(CONTENT[:-1] + b"x")
        with pytest.raises(FetchError, match=r"in this folder is damaged, or another file.*md5"):
            download(scans(server), tmp_path)
        assert path.exists()
        path.unlink()
        assert download(scans(server), tmp_path).read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_checked_and_taken(tmp_path):
    (tmp_path / "scans.zip").write_bytes(CONTENT)
    with serve() as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
        assert server.asked == []
    assert only_the_file(tmp_path)


def test_a_larger_file_put_there_by_hand_is_left(tmp_path):
    (tmp_path / "scans.zip").write_bytes(CONTENT + b"more")
    with serve() as server, pytest.raises(FetchError, match="300004 bytes instead of 300000"):
        download(scans(server), tmp_path)
    assert (tmp_path / "scans.zip").read_bytes() == CONTENT + b"more"


@pytest.mark.parametrize("content", [CONTENT[:1000], b"x" * len(CONTENT)])
def test_another_file_of_that_name_is_left_as_it_is(tmp_path, content):
    """A shorter one too: it may be the start of the file, or anything."""
    (tmp_path / "scans.zip").write_bytes(content)
    for _ in range(2):
        with serve(Behaviour(ranges=False)) as server, pytest.raises(FetchError, match=r"another file.*left unchanged"):
            download(scans(server), tmp_path)
        assert (tmp_path / "scans.zip").read_bytes() == content
        assert server.asked == []


def test_cut_connections_are_taken_up_where_they_were_cut(tmp_path, waits):
    cuts = [Behaviour(cut=50_000) for _ in range(5)]
    with serve(*cuts, Behaviour()) as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
        assert server.sent == len(CONTENT)
        assert server.asked == ["", *(f"bytes={50_000 * n}-" for n in range(1, 6))]
    assert waits == [1.0] * 5  # each try brought something


def test_a_later_command_goes_on_too(tmp_path):
    with (
        serve(Behaviour(cut=100_000), Behaviour(status=503)) as server,
        pytest.raises(FetchError, match=r"0\.1 MB have arrived"),
    ):
        download(scans(server), tmp_path)
    assert not (tmp_path / "scans.zip").exists()
    with serve() as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
        assert server.asked == ["bytes=100000-"]


def test_a_server_without_ranges_starts_anew(tmp_path):
    with serve(Behaviour(cut=100_000), Behaviour(ranges=False)) as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
        assert server.sent == len(CONTENT) + 100_000


def test_a_file_that_changes_in_between_is_not_glued_together(tmp_path):
    with serve(Behaviour(cut=100_000, content=OTHER), Behaviour()) as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
        assert server.asked == ["", "bytes=100000-"]


def test_a_partial_file_of_unknown_origin_is_not_used(tmp_path):
    (tmp_path / ".scans.zip.partial").write_bytes(OTHER[:1000])
    with serve() as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT


def test_a_server_that_does_not_say_how_long_the_file_is(tmp_path):
    with serve(Behaviour(no_length=True)) as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
    with serve(Behaviour(no_length=True, cut=1000), Behaviour(no_length=True)) as server:
        assert download(scans(server), tmp_path / "b").read_bytes() == CONTENT


def test_all_was_here_but_the_name(tmp_path):
    with serve() as server:
        file = scans(server, sha256=SHA256)
        download(file, tmp_path)
        (tmp_path / "scans.zip").rename(tmp_path / ".scans.zip.partial")
        (tmp_path / ".scans.zip.partial.json").write_text("{}")
        assert download(file, tmp_path).read_bytes() == CONTENT
        assert server.asked[1:] == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize(
    ("known", "message"),
    [({"md5": "0" * 32}, MD5), ({"sha256": "1" * 64}, SHA256), ({"bytes": 5}, "300000 bytes instead of 5")],
)
def test_another_file_than_was_asked_for_is_not_kept(tmp_path, known, message):
    with serve() as server, pytest.raises(FetchError, match=message) as caught:
        download(scans(server, **known), tmp_path)
    assert "?download" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if "lock" not in path.name] == []


@pytest.mark.parametrize(
    ("status", "message"), [(401, "browser"), (403, "Access is denied"), (404, "moved"), (410, "withdrawn")]
)
def test_an_answer_that_will_not_change_is_told_at_once(tmp_path, waits, status, message):
    with serve(Behaviour(status=status)) as server, pytest.raises(FetchError, match=rf"HTTP {status}.*{message}"):
        download(scans(server), tmp_path)
    assert (len(server.asked), waits) == (1, [])


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_passing_trouble_is_waited_out(tmp_path, waits, status):
    with serve(Behaviour(status=status, headers={"Retry-After": "7"}), Behaviour(status=status), Behaviour()) as server:
        assert download(scans(server), tmp_path).read_bytes() == CONTENT
    assert waits == [7.0, 2.0]


def test_patience_ends(tmp_path, waits):
    with (
        serve(Behaviour(status=429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(FetchError, match="HTTP 429"),
    ):
        download(scans(server), tmp_path)
    assert waits == []
    with serve(Behaviour(status=500)) as server, pytest.raises(FetchError, match="nothing has arrived yet"):
        download(scans(server), tmp_path)
    assert waits == list(module.WAITS)


def test_a_server_that_cannot_be_reached(tmp_path, waits):
    with serve() as server:
        file = scans(server)
    with pytest.raises(FetchError, match=r"connection failed.*put it into"):
        download(file, tmp_path)
    assert len(waits) == len(module.WAITS)


def test_there_must_be_room(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda _: usage._replace(free=len(CONTENT) + module.SPARE_BYTES - 1)
    )
    with serve() as server, pytest.raises(FetchError, match="not enough space"):
        download(scans(server), tmp_path)
    assert server.sent < len(CONTENT) or not (tmp_path / "scans.zip").exists()


def test_a_disk_that_is_full_in_the_middle(tmp_path):
    """/dev/full takes nothing, as a full disk does."""
    part = tmp_path / ".scans.zip.partial"
    with serve() as server:
        monkey = pytest.MonkeyPatch()
        monkey.setattr(module._Part, "size", 0)
        monkey.setattr(module._Part, "drop", lambda self: None)
        real_unlink = type(part).unlink
        monkey.setattr(type(part), "unlink", lambda self, **k: None if self == part else real_unlink(self, **k))
        os.symlink("/dev/full", part)
        try:
            with pytest.raises(FetchError, match=r"cannot be written here.*No space left.*Free some space"):
                download(scans(server), tmp_path)
        finally:
            monkey.undo()


def test_only_one_process_fetches(tmp_path):
    with FileLock(tmp_path / ".scans.zip.lock"), serve() as server, pytest.raises(FetchError, match="Another process"):
        download(scans(server), tmp_path)


def test_no_way_leads_from_https_to_http():
    request = module.urllib.request.Request("https://somewhere.org/file")
    with pytest.raises(FetchError, match="without HTTPS"):
        module._Redirects().redirect_request(request, None, 302, "", {}, "http://somewhere.org/file?token=x")
