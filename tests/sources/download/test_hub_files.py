import hashlib

import pytest

from dataset_builder.core.errors import FetchError
from dataset_builder.sources.download.hub_files import HubFile, download_from_hub
from tests.helpers.loopback_hub import LoopbackHub, client

CONTENT = bytes(range(256)) * 4000
FILE = HubFile("labels.zip", "me/knees")


@pytest.fixture
def hub(monkeypatch):
    with LoopbackHub() as one:
        api = client(one, monkeypatch)
        api.create_repo(FILE.hub, repo_type="dataset")
        api.upload_file(path_or_fileobj=CONTENT, path_in_repo=FILE.name, repo_id=FILE.hub, repo_type="dataset")
        yield one


def test_a_file_comes_whole_and_once(hub, tmp_path):
    seen = []
    path = download_from_hub(FILE, tmp_path, lambda *counts: seen.append(counts))
    assert path == tmp_path / "labels.zip"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("check labels.zip", len(CONTENT), len(CONTENT))
    seen.clear()
    assert download_from_hub(FILE, tmp_path, lambda *counts: seen.append(counts)) == path
    assert not seen


def test_a_damaged_file_is_refused_and_removed(hub, tmp_path):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    hub.objects[sha256] = CONTENT[:-1] + b"x"
    with pytest.raises(FetchError, match=rf"arrived damaged.*instead of {sha256}"):
        download_from_hub(FILE, tmp_path)
    assert not (tmp_path / "labels.zip").exists()


def test_what_is_not_there_is_a_sentence(hub, tmp_path):
    with pytest.raises(FetchError, match="someone/elsewhere"):
        download_from_hub(HubFile("x.zip", "someone/elsewhere"), tmp_path)


def test_another_file_of_that_name_is_left_as_it_is(hub, tmp_path):
    """The Hub's own client would replace it."""
    (tmp_path / FILE.name).write_bytes(b"my labels")
    with pytest.raises(FetchError, match=r"another file.*left unchanged"):
        download_from_hub(FILE, tmp_path)
    assert (tmp_path / FILE.name).read_bytes() == b"my labels"
