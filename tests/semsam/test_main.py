import re

import pytest

from semsam import __main__ as command
from tests.helpers.tiny_models import save_tiny_llama


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        command.main(list(arguments))
    printed = capsys.readouterr()
    return ended.value.code or 0, printed.out, printed.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    return str(save_tiny_llama(tmp_path / "model"))


def test_neighbourhood_of_real_words(smollm2, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = run(capsys, "neighbours", str(smollm2), "superior", "--k", "3")
    assert code == 0
    rows = re.findall(r"│ +(\d) │ +(\d+) │ +([\d.]+) │ '(.*?)' ", out)
    assert [(rank, token) for rank, _, _, token in rows] == [("0", " superior"), ("1", " inferior"), ("2", " Superior")]
    assert float(rows[0][2]) == 1
    assert float(rows[1][2]) == pytest.approx(0.77, abs=0.01)
    _, out, _ = run(capsys, "neighbours", str(smollm2), "superior", "--k", "3", "--guard", "antonyms")
    assert " inferior" not in out
    assert " superiority" in out


def test_word_without_a_token_is_shown_in_pieces(folder, capsys):
    code, out, _ = run(capsys, "neighbours", folder, "ab", "c", "--k", "2")
    assert code == 0
    assert "No single token stands for 'ab'" in out
    shown = re.findall(r"│ +0 │ +\d+ │ +1.000 │ '(.*?)'", out)
    assert shown == [" ", "a", "b", "c"]


def test_control_token_has_no_neighbours(folder, capsys):
    code, out, _ = run(capsys, "neighbours", folder, "<|im_end|>")
    assert code == 0
    assert "is a control token" in out


def test_tables_are_made_and_their_file_named(folder, capsys):
    from semsam import cache

    code, out, _ = run(capsys, "tables", folder, "--k", "4")
    assert code == 0
    file = out.strip().splitlines()[-1]
    assert file == str(next(cache.folder().glob("*.safetensors")))
    assert cache.load(file).k == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["neighbours", "/no/such/folder", "left"], "folder does not exist"),
        (["neighbours", "{folder}", "left", "--k", "0"], "'k' must be a whole number"),
        (["neighbours", "{folder}", "left", "--guard", "x"], "'guard' must be one of: none, antonyms"),
        (["neighbours", "{folder}", " "], "A word must not be empty"),
    ],
)
def test_mistakes_end_with_one_line(folder, capsys, arguments, message):
    code, out, err = run(capsys, *(argument.replace("{folder}", folder) for argument in arguments))
    assert code == 1
    assert err.startswith("Error: ")
    assert message in err
    assert "Traceback" not in out + err
