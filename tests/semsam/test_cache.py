import dataclasses
import logging
import stat

import pytest
import torch
from safetensors import safe_open

from semsam import cache
from semsam.neighbours import build
from semsam.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path))
    return tmp_path / "semsam"


@pytest.fixture
def tables():
    embedding = torch.randn(80, 8, generator=torch.Generator().manual_seed(0))
    made = build(embedding, torch.ones(80, dtype=torch.bool), 4)
    return dataclasses.replace(made, fingerprint=cache.fingerprint(embedding, made.content, None, "none"))


def same(a, b) -> bool:
    parts = ("ids", "weights", "content")
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in parts) and a.guard == b.guard


def test_what_is_kept_is_found(tables, folder):
    assert cache.find(tables.fingerprint, Settings(k=4)) is None
    cache.keep(tables)
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]
    found = cache.find(tables.fingerprint, Settings(k=4))
    assert same(found, tables)
    assert found.fingerprint == tables.fingerprint


def test_file_is_plain_safetensors(tables):
    cache.keep(tables)
    with safe_open(cache.path(tables), framework="pt") as file:
        assert set(file.keys()) == {"ids", "weights", "content"}
        assert file.get_tensor("ids").dtype == torch.int32


def test_more_neighbours_serve_for_fewer(tables):
    cache.keep(tables)
    assert same(cache.find(tables.fingerprint, Settings(k=2)), tables.first(2))
    assert cache.find(tables.fingerprint, Settings(k=5)) is None


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_truncated_file_is_not_used(tables, length, caplog):
    cache.keep(tables)
    whole = cache.path(tables).read_bytes()
    cache.path(tables).write_bytes(whole[:length])
    assert cache.find(tables.fingerprint, Settings(k=4)) is None
    assert "rebuilt" in caplog.text
    cache.keep(tables)
    assert same(cache.find(tables.fingerprint, Settings(k=4)), tables)


def test_file_with_one_flipped_bit_is_not_used(tables):
    cache.keep(tables)
    content = bytearray(cache.path(tables).read_bytes())
    content[-100] ^= 1
    cache.path(tables).write_bytes(content)
    assert cache.find(tables.fingerprint, Settings(k=4)) is None


def test_other_tables_under_this_name_are_not_used(tables):
    other = dataclasses.replace(tables, fingerprint="0" * 64)
    cache.save(other, cache.path(tables))
    assert cache.find(tables.fingerprint, Settings(k=4)) is None


def test_file_without_notes_is_not_used(tables):
    from safetensors.torch import save_file

    cache.keep(tables)
    save_file({"ids": tables.ids, "weights": tables.weights, "content": tables.content}, cache.path(tables))
    assert cache.find(tables.fingerprint, Settings(k=4)) is None


def test_stopped_write_leaves_nothing(tables, folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        cache.keep(tables)
    assert list(folder.iterdir()) == []


def test_folder_that_cannot_be_written_is_no_obstacle(tables, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        cache.keep(tables)
    assert "cannot be cached" in caplog.text
    with cache.lock(tables.fingerprint):
        assert cache.find(tables.fingerprint, Settings(k=4)) is None


def test_kept_file_can_be_read_by_others(tables):
    cache.keep(tables)
    assert stat.S_IMODE(cache.path(tables).stat().st_mode) & 0o444 == 0o444


def test_fingerprint_changes_with_all_that_decides_the_tables():
    embedding = torch.randn(20, 4)
    content = torch.ones(20, dtype=torch.bool)
    apart = torch.tensor([[1, 2], [2, 1]])
    one_less = content.clone()
    one_less[3] = False
    other = embedding.clone()
    other[7, 2] += 1e-6
    assert not torch.equal(other, embedding)
    prints = [
        cache.fingerprint(embedding, content, None, "none"),
        cache.fingerprint(other, content, None, "none"),
        cache.fingerprint(embedding.bfloat16(), content, None, "none"),
        cache.fingerprint(embedding.view(40, 2), content, None, "none"),
        cache.fingerprint(embedding, one_less, None, "none"),
        cache.fingerprint(embedding, content, apart, "antonyms"),
        cache.fingerprint(embedding, content, apart[:1], "antonyms"),
        cache.fingerprint(embedding, content, apart[:0], "antonyms"),
    ]
    assert len(set(prints)) == len(prints)
    assert cache.fingerprint(embedding.clone(), content, None, "none") == prints[0]
