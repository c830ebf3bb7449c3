import json
import stat
from pathlib import Path

import pytest

from dataset_builder.core.errors import SourceError
from dataset_builder.files.pseudonyms import Pseudonyms, open_pseudonyms, pseudonym_file


def test_the_same_scan_has_the_same_pseudonym_in_every_build_and_another_under_another_key(tmp_path):
    first, again = open_pseudonyms(tmp_path / "a" / "p.json"), open_pseudonyms(tmp_path / "a" / "p.json")
    other = open_pseudonyms(tmp_path / "b.json")
    assert first.of("nnunet", "case_1") == again.of("nnunet", "case_1") != other.of("nnunet", "case_1")
    assert first.of("nnunet", "case_1") != first.of("nnunet", "case_2")
    assert first.of("ab", "c") != first.of("a", "bc")
    assert len(first.of("x")) == 12
    assert "case" not in first.of("nnunet", "case_1")


def test_key_and_list_are_the_owners_alone_and_lists_of_two_builds_are_joined(tmp_path):
    file = tmp_path / "p.json"
    first, second = open_pseudonyms(file), open_pseudonyms(file)
    for build, subject in ((first, "Müller"), (second, "Doe")):
        build.note(build.of(subject), {"subject": subject})
        build.save()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert {row["subject"] for row in kept["pseudonyms"].values()} == {"Müller", "Doe"}
    assert bytes.fromhex(kept["key"]) == first.key


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path):
    file = tmp_path / "p.json"
    key = open_pseudonyms(file).key
    file.chmod(0o644)
    assert open_pseudonyms(file).key == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"key": "zz", "pseudonyms": {}}', '{"key": "00", "pseudonyms": {}}']
)
def test_a_damaged_file_is_refused_not_replaced(tmp_path, content):
    file = tmp_path / "p.json"
    file.write_text(content)
    with pytest.raises(SourceError, match="pseudonyms cannot be read"):
        open_pseudonyms(file)
    assert file.read_text() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be written"):
        open_pseudonyms(tmp_path / "file" / "p.json")


def test_the_place_is_the_users_data_folder_or_what_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_PSEUDONYMS", str(tmp_path / "p.json"))
    assert pseudonym_file() == tmp_path / "p.json"
    monkeypatch.delenv("MIS_GROUND_PSEUDONYMS")
    assert pseudonym_file().name == "pseudonyms.json"


def test_what_a_pseudonym_is_does_not_change():
    assert Pseudonyms(Path("p"), bytes(32)).of("nnunet", "case_1") == "ea3e83a8380a"
