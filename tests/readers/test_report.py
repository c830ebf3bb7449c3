"""People beside a model in a report: accuracy, the same questions, agreement, and what they complain of."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from dataset_builder.core.errors import MISGroundError
from dataset_builder.readers.answers import FORMAT, read_answers
from lm_eval_tasks.report.contents import schema
from lm_eval_tasks.report.human import read_all
from lm_eval_tasks.report.readers import kappa
from lm_eval_tasks.report.terminal import show
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import luck
from tests.helpers.json_schema import complaints
from tests.helpers.reader_page import page_data


def reader_file(folder, page, asked, name, right, complaints=None, **changes):
    """What a reader exports who is right where ``right(row)`` says so."""
    data = page_data(page.out)
    answers = []
    for number, (item, row) in enumerate(asked.items()):
        reason, answered = (complaints or {}).get(number, ("", True))
        answers.append(
            {
                "id": item,
                "kind": row["answer_type"],
                "reason": reason,
                "remark": "look here" if reason else "",
                "seconds": 2.0 + number,
                "answered_at": "2026-01-02T03:04:05.000Z",
                **said(row, right(row), answered),
            }
        )
    whole = {
        "format": FORMAT,
        "format_version": 1,
        **{key: data[key] for key in ("made_by", "page", "dataset", "seed")},
        "reader": name,
        "started": "2026-01-02T03:00:00.000Z",
        "exported": "2026-01-02T04:00:00.000Z",
        "complete": True,
        "items": [{key: item[key] for key in ("id", "question_sha256", "image_sha256")} for item in data["items"]],
        "answers": answers,
    } | changes
    path = folder / f"answers-{name}.json"
    path.write_text(json.dumps(whole))
    return path


def said(row, right, answered):
    if not answered:
        return {"answer": None, "values": [], "image": None}
    if row["answer_type"] == "choice":
        wrong = next(option for option in row["options"] if option != row["answer"])
        return {"answer": row["answer"] if right else wrong, "values": [], "image": None}
    true = (
        [row["value"]] if row["answer_type"] == "number" else row[{"box": "boxes"}.get(row["answer_type"], "points")][0]
    )
    values = [float(value) if right else float(value) / 9 + 1 for value in true]
    return {"answer": ", ".join(map(str, values)), "values": values, "image": row["answer_image"]}


COMPLAINTS = {1: ("ambiguous", False), 4: ("wrong marker", True), 7: ("not known", False)}


@pytest.fixture(scope="module")
def files(page, asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [
        reader_file(folder, page, asked, "ann", lambda row: luck("ann", row["id"]) < 0.9, COMPLAINTS),
        reader_file(folder, page, asked, "bob", lambda row: luck("bob", row["id"]) < 0.7, {4: ("wrong marker", True)}),
    ]


@pytest.fixture(scope="module")
def reported(files, small_model, ground, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "report"
    return out, write_report([str(small_model), *map(str, files)], out, ground)


def test_a_person_is_a_run_beside_the_small_model(reported, asked):
    out, report = reported
    assert [run["name"] for run in report["runs"]] == ["mis-ground-small", "ann", "bob"]
    assert list(complaints(report, schema(), schema())) == []
    ann = report["runs"][1]
    choices = [row for number, row in enumerate(asked.values()) if row["answer_type"] == "choice"]
    right = [
        luck("ann", row["id"]) < 0.9 and COMPLAINTS.get(number, ("", True))[1]
        for number, row in enumerate(asked.values())
        if row["answer_type"] == "choice"
    ]
    overall = ann["scores"][0]
    assert overall["items"] == len(choices)
    assert overall["accuracy"]["value"] == pytest.approx(sum(right) / len(right), abs=1e-6)
    assert overall["accuracy"]["method"] == "t by volume"
    assert {tuple(score["by"]) for score in ann["scores"]} >= {("modality",), ("prompt",), ("terminology",)}
    assert ann["positions"]  # points, boxes and numbers too
    assert not list((out / "cards").glob("ann*"))  # a person has no model card


def test_person_and_model_are_compared_on_the_same_questions(reported, asked):
    _, report = reported
    compared = {(each["from"], each["to"]): each["overall"] for each in report["comparisons"]}
    both = [
        row["id"]
        for row in asked.values()
        if row["input"] == "slice" and row["view"] == "plain" and row["answer_type"] == "choice"
    ]
    found = compared["mis-ground-small", "ann"]
    assert found["items"] == len(both) > 4
    assert found["difference"]["value"] == pytest.approx(found["accuracy_to"] - found["accuracy_from"], abs=1e-6)
    assert ("ann", "bob") in compared


def test_agreement_is_fleiss_kappa():
    # Fleiss (1971) by hand: three readers, four questions, two options.
    ratings = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    counts = np.stack([(ratings == one).sum(axis=1) for one in (0, 1)], axis=1)
    observed = ((counts**2).sum(axis=1) - 3).mean() / 6
    expected = ((counts.sum(axis=0) / 12) ** 2).sum()
    assert kappa(ratings, 3) == pytest.approx((observed - expected) / (1 - expected))
    assert np.isnan(kappa(np.zeros((4, 2), int), 3))


def test_readers_agree_on_what_both_answered(reported, asked):
    found = reported[1]["readers"]["agreement"]
    assert all(each["readers"] == ["ann", "bob"] for each in found)
    assert {each["options"] for each in found} == {len(row["options"]) for row in asked.values() if row["options"]}
    assert sum(each["items"] for each in found) == sum(row["answer_type"] == "choice" for row in asked.values())
    assert all(0 < each["agree"] < 1 and -1 < each["kappa"] < 1 for each in found)


def test_the_terminal_says_so(reported):
    stream = io.StringIO()
    show(reported[1], Console(file=stream, width=80))
    words = " ".join(stream.getvalue().split())
    assert "Readers ann, bob: Fleiss' kappa 0." in words
    assert "of 2 volumes" in words
    assert "Readers call 2 question(s) wrong or unanswerable" in words


def test_what_readers_complain_of_is_listed_for_curation(reported, asked):
    out, report = reported
    rows = list(asked.values())
    flagged = report["readers"]["flagged"]
    assert [entry["id"] for entry in flagged] == [rows[4]["id"], rows[1]["id"]]  # that of two readers first
    assert [len(entry["reports"]) for entry in flagged] == [2, 1]
    written = json.loads((out / "flagged.json").read_text())
    assert [item["fact_id"] for item in written["items"]] == [rows[4]["fact_id"], rows[1]["fact_id"]]
    assert report["readers"]["readers"][0]["cannot_be_answered"] == 2
    assert report["readers"]["readers"][1]["median_seconds"] == 2.0 + 19.5


def test_the_page_shows_them_with_their_images(browser, reported):
    out, report = reported
    browser.messages.clear()
    browser.open(out / "index.html")
    assert browser.evaluate("byId('readers').checkVisibility()")
    text = browser.evaluate("byId('readers').textContent")
    assert "ann: wrong (wrong marker): look here" in text
    assert "Fleiss' kappa" in text
    browser.evaluate("document.querySelectorAll('.flagged li').forEach((one) => one.scrollIntoView())")
    browser.wait_for(
        "[...document.querySelectorAll('.flagged img')].slice(-1).every((image) => image.naturalWidth === 128)"
    )
    assert browser.evaluate("document.querySelectorAll('.flagged img').length") >= 2
    names = browser.evaluate("[...document.querySelectorAll('#scores .score h3')].map((one) => one.textContent)")
    assert names == ["mis-ground-small", "ann", "bob"]
    browser.evaluate("document.querySelector('.flagged a').click()")
    browser.wait_for("byId('detail').open")
    assert report["readers"]["flagged"][0]["id"] in browser.evaluate("byId('detail-title').textContent")
    assert browser.messages == []


def test_files_are_found_in_folders_and_take_names(files, ground):
    reading = read_all([str(files[0].parent)], ground)
    assert [run.name for run in reading.runs] == ["ann", "bob"]
    assert [run.name for run in read_all([f"A. N.={files[0]}"], ground).runs] == ["A. N."]


def test_what_does_not_fit_is_refused(files, page, asked, ground, tmp_path, monkeypatch):
    right = lambda row: True  # noqa: E731
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIS_GROUND_DATASET", raising=False)
    with pytest.raises(MISGroundError, match="needs the data set"):
        read_all([str(files[0])])
    items = json.loads(files[0].read_text())["items"]
    other = reader_file(
        tmp_path, page, asked, "other", right, items=[items[0] | {"question_sha256": "0" * 64}, *items[1:]]
    )
    with pytest.raises(MISGroundError, match=r"another data set.*1 have another text"):
        read_all([str(other)], ground)
    copy = tmp_path / "copy.json"
    copy.write_bytes(files[0].read_bytes())
    with pytest.raises(MISGroundError, match="same reader and page"):
        read_all([str(files[0]), str(copy)], ground)
    for changes, problem in (
        ({"format_version": 9}, "format version is 9"),
        ({"answers": [{"id": "x"}]}, "'answer' is missing"),
        ({"items": []}, "none of its questions"),
        ({"dataset": {}}, "'content' is missing"),
    ):
        with pytest.raises(MISGroundError, match=problem):
            read_answers(reader_file(tmp_path, page, asked, "odd", right, **changes))
    (tmp_path / "cut.json").write_text(files[0].read_text()[:900])
    with pytest.raises(MISGroundError, match="cannot be read"):
        read_all([str(tmp_path / "cut.json")], ground)
