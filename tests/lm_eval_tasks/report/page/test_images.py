"""Images of a report: where they are looked for, which are left out, and what lies beside the page."""

import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.files.own_files import add_to_list
from lm_eval_tasks.report import images as images_module
from lm_eval_tasks.report.runs import Run, read_runs
from lm_eval_tasks.report.write import write_report
from tests.helpers.report_page import EVERY, ROWS, hashes, reveal, write_images


def test_many_images_lie_beside_the_page_made_small(browser, places, folder, tmp_path, monkeypatch, reading):
    monkeypatch.setattr(images_module, "EMBEDDED_BYTES", 10_000)
    monkeypatch.setattr(images_module, "THUMBNAIL", 32)
    stale = tmp_path / "report" / "images" / "0123456789abcdef0123.webp"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier report")
    add_to_list(tmp_path / "report", ["images/0123456789abcdef0123.webp"])
    (tmp_path / "report" / "images" / "mine.webp").write_bytes(b"mine")
    (tmp_path / "report" / "cards").mkdir()
    (tmp_path / "report" / "cards" / "mine.md").write_text("mine")
    write_report(places, tmp_path / "report", folder / "ground")
    assert (tmp_path / "report" / "cards" / "mine.md").read_text() == "mine"
    files = [path for path in (tmp_path / "report" / "images").iterdir() if path.name != "mine.webp"]
    assert len(files) == len({name for each in EVERY for name in hashes(each)})
    assert not stale.exists()
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "data:image" not in text
    browser.messages.clear()
    browser.requests.clear()
    identity = next(each["id"] for each in ROWS if each["prompt"] == "none")
    browser.open(tmp_path / "report" / "index.html", f"item={identity}")
    reveal(browser, True)
    browser.wait_for("!!document.querySelector('#detail-body svg rect')")
    assert browser.evaluate("document.querySelector('#detail-body img').naturalWidth") == 32
    # Outlines are in pixels of the stored image.
    assert browser.evaluate("document.querySelector('#detail-body svg').getAttribute('viewBox')") == "0 0 64 64"
    assert browser.messages == []
    loaded = [request for request in browser.requests if "/images/" in request]
    assert 0 < len(loaded) < len(files)  # those in sight only


def test_images_that_the_model_was_not_shown_are_left_out(folder, places, tmp_path):
    write_images(tmp_path / "ground", [each | {"fact_id": "other"} for each in EVERY[:10]] + EVERY[10:30])
    reading = read_runs(places)
    found = images_module.gather(reading, tmp_path / "ground", tmp_path)
    assert set(found.of) == {each["id"] for each in EVERY[10:30]}
    assert any("10 question(s) have another image" in warning for warning in found.warnings)
    assert any(f"{len(EVERY) - 30} question(s) are not in" in warning for warning in found.warnings)


def test_images_are_looked_for_where_the_tasks_look(folder, places, tmp_path, monkeypatch):
    reading = read_runs(places)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIS_GROUND_DATASET", raising=False)
    nothing = images_module.gather(reading, None, tmp_path)
    assert nothing.of == {}
    assert "--dataset" in nothing.warnings[0]
    monkeypatch.setenv("MIS_GROUND_DATASET", str(folder / "ground"))
    assert len(images_module.gather(reading, None, tmp_path).of) == len(EVERY)
    monkeypatch.setenv("MIS_GROUND_DATASET", "/not/there")
    assert images_module.gather(reading, None, tmp_path).of == {}
    reading.runs[0] = Run("x", "pictures", "x", {}, {}, reading.runs[0].answers, dataset=str(folder / "ground"))
    assert len(images_module.gather(reading, None, tmp_path).of) == len(EVERY)


def test_a_data_set_that_is_not_there_or_damaged_is_told(reading, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="not a MIS-Ground data set"):
        images_module.gather(reading, tmp_path / "nothing", tmp_path)
    path = tmp_path / "ground" / "data" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(BuildError, match=r"cannot be read.*x\.parquet"):
        images_module.gather(reading, tmp_path / "ground", tmp_path)
