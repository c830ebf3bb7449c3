import json
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

import dataset_builder.check
from dataset_builder.check.report import to_json, to_markdown, write_report
from dataset_builder.check.terminal import show
from dataset_builder.cli import main as cli
from dataset_builder.core.errors import BuildError


@pytest.fixture(params=["sound", "broken"])
def audit(request, sound, broken):
    return sound if request.param == "sound" else broken[2]


def test_json_has_every_number(audit, tmp_path):
    _, path = write_report(audit, tmp_path / "new" / "folder")
    found = json.loads(path.read_text())
    assert found == json.loads(json.dumps(to_json(audit)))
    assert found["ok"] is audit.ok
    assert found["rows"] == audit.rows > 100
    assert {check["name"]: check["status"] for check in found["checks"]} == {
        check.name: check.status for check in audit.findings.checks.values()
    }
    for cell in found["guessers"]["cells"]:
        for guesser in cell["guessers"].values():
            assert 0 <= guesser["accuracy"] <= 1
            assert guesser["rows"] > 0
    without_options = sum(kind["rows"] for kind in found["blind_places_and_numbers"])
    assert sum(cell["rows"] for cell in found["balance"]) + without_options == audit.rows


def test_markdown_tells_every_check_and_violation_in_whole_tables(audit):
    text = to_markdown(audit)
    for check in audit.findings.checks.values():
        assert f"| {check.name} |" in text
        for violation in check.violations.values():
            assert violation.problem in text
            assert violation.examples[0] in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block[:300]
    assert ("No check is violated" in text) is audit.ok


def test_the_terminal_tells_checks_and_violations(audit):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show(audit, console)
    text = console.export_text()
    for check in audit.findings.checks.values():
        assert check.name in text
        for violation in check.violations.values():
            assert violation.problem in text


def test_the_exit_status_says_whether_anything_is_violated(audit, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_builder.check, "check_dataset", lambda *_, **__: audit)
    result = CliRunner().invoke(cli.app, ["check", "anywhere", "--out", str(tmp_path)])
    assert result.exit_code == (0 if audit.ok else 1), result.output
    assert (tmp_path / "check.md").exists()
    assert (tmp_path / "check.json").exists()


def test_a_folder_that_cannot_be_written_is_told(sound, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BuildError, match="cannot be written"):
        write_report(sound, tmp_path / "file")
