"""Logged answers of old runs, read anew: by the report itself, and written out by ``mis-ground rescore``."""

import json

import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.reading import READER_VERSION
from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.reread import is_changed
from lm_eval_tasks.report.rescore import METRICS, rescore
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, write_run

ROWS = [each for each in factorial_rows(volumes=2, facts=2, prior=True) if each["options"]]
OTHER = "The reply names {} first, but the correct answer is {}."
REFUSAL = "I'm sorry, but I can't interpret medical images."


def other(each):
    return next(option for option in each["options"] if option != each["answer"])


def explaining(each):
    """Names the wrong option first and answers rightly; one model in seven refuses, and names an option."""
    if int(each["id"][-1], 36) % 7 == 0:
        return f"{REFUSAL} Is it {each['answer']}?"
    return OTHER.format(other(each), each["answer"])


def first_found(document, reply):
    """The scores of the first reader: the first option in the reply."""
    said = min((option for option in document["options"] if option in reply), key=reply.index, default=None)
    right = said == document["answer"]
    return {"acc": float(right), "invalid": float(said is None), "pair_acc": (document["pair_id"], right)}


def predicted(document, reply):
    """A run with --predict_only."""
    return {"bypass": 999}


REFUSED = [each for each in ROWS if explaining(each).startswith(REFUSAL)]


@pytest.fixture
def old_run(tmp_path):
    return write_run(tmp_path, ROWS, explaining, reader=None, score=first_found)


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_reads_the_answers_of_an_older_reader_anew_and_says_how_many_changed(old_run):
    reading = read_runs([str(old_run)])
    (run,) = reading.runs
    assert [answer.right for answer in run.answers.values()].count(True) == len(ROWS) - len(REFUSED)
    assert {run.answers[each["id"]].status for each in REFUSED} == {"refused"}
    (note,) = reading.warnings
    assert f"{len(ROWS)} answers of org/some-model were scored with reader 1" in note
    assert f"read again with reader {READER_VERSION}: {len(ROWS)} changed" in note
    assert f"{len(ROWS) - len(REFUSED)} wrong -> right" in note
    assert f"{len(REFUSED)} right -> refused" in note
    overall = contents(reading)["runs"][0]["scores"][0]
    assert overall["no_answer"]["refused"] == pytest.approx(len(REFUSED) / len(ROWS), abs=1e-4)
    assert overall["invalid"]["value"] == pytest.approx(sum(overall["no_answer"].values()), abs=1e-3)


def test_rescoring_writes_new_files_beside_the_old_ones(old_run):
    before = snapshot(old_run.parent)
    (done,) = rescore([old_run.parent])
    after = snapshot(old_run.parent)
    assert {name: after[name] for name in before} == before, "the old files are as they were"
    assert (done.before, done.now) == (len(REFUSED) / len(ROWS), (len(ROWS) - len(REFUSED)) / len(ROWS))
    assert done.changes == {("wrong", "right"): len(ROWS) - len(REFUSED), ("right", "refused"): len(REFUSED)}
    new = json.loads(done.new.read_text(encoding="utf-8"))
    assert new["rescored"] == {"from": old_run.name, "reader": READER_VERSION}
    total = sum(task["sample_len"] for task in new["results"].values())
    mean = sum(task["acc,none"] * task["sample_len"] for task in new["results"].values()) / total
    assert mean == pytest.approx(done.now)
    for task in new["results"].values():
        assert {f"{metric},none" for metric in METRICS} <= task.keys()
        parts = sum(task[f"{status},none"] for status in ("refused", "truncated", "unread"))
        assert task["invalid,none"] == pytest.approx(parts)
        assert task["acc_stderr,none"] == "N/A" or task["acc_stderr,none"] >= 0


def test_a_report_of_a_rescored_folder_is_that_of_the_old_answers_read_anew_without_a_note(old_run):
    anew = read_runs([str(old_run.parent)])
    rescore([old_run.parent])
    rescored = read_runs([str(old_run.parent)])
    assert rescored.runs[0].answers == anew.runs[0].answers
    assert len(rescored.runs) == 1
    assert rescored.warnings == []


def test_what_was_rescored_is_not_rescored_again_unless_wanted(old_run):
    rescore([old_run.parent])
    count = len(list(old_run.parent.iterdir()))
    assert [done.new for done in rescore([old_run.parent])] == [None]
    assert len(list(old_run.parent.iterdir())) == count
    assert [done.new for done in rescore([old_run.parent], again=True)] != [None]


def test_runs_with_predict_only_are_scored(tmp_path):
    path = write_run(tmp_path, ROWS, explaining, score=predicted)
    results = json.loads(path.read_text())
    for task in results["results"].values():
        task["bypass,none"] = 999
    path.write_text(json.dumps(results))
    reading = read_runs([str(tmp_path)])
    assert "had no scores (--predict_only)" in reading.warnings[0]
    (done,) = rescore([tmp_path])
    assert (done.before, done.now) == (None, (len(ROWS) - len(REFUSED)) / len(ROWS))
    assert not any("bypass,none" in task for task in json.loads(done.new.read_text())["results"].values())
    assert read_runs([str(tmp_path)]).warnings == []


def test_groups_are_means_over_their_leaves(old_run):
    results = json.loads(old_run.read_text())
    tasks = list(results["results"])
    results["results"]["mis_ground"] = {"acc,none": 0.0, "alias": "mis_ground"}
    results["groups"] = {"mis_ground": {"acc,none": 0.0, "alias": "mis_ground"}}
    results["group_subtasks"] = {"mis_ground": ["mis_ground_tag"], "mis_ground_tag": tasks, **{t: [] for t in tasks}}
    old_run.write_text(json.dumps(results))
    (done,) = rescore([old_run])
    group = json.loads(done.new.read_text())["groups"]["mis_ground"]
    assert group["acc,none"] == pytest.approx(done.now)
    assert group["alias"] == "mis_ground"


def test_how_a_reply_ended_is_taken_from_the_samples(tmp_path):
    cut = "In the image, structure A lies on the other side."
    write_run(tmp_path, ROWS, lambda each: cut, reader=None, score=first_found, finish_reason="length")
    statuses = {answer.status for answer in read_runs([str(tmp_path)]).runs[0].answers.values()}
    assert statuses == {"truncated"}


def test_scores_of_a_newer_reader_are_kept(tmp_path):
    write_run(tmp_path, ROWS, explaining, reader="999", score=first_found)
    reading = read_runs([str(tmp_path)])
    assert sum(answer.right for answer in reading.runs[0].answers.values()) == len(REFUSED)
    assert "are read differently by this version" in reading.warnings[0]


def test_an_old_file_that_does_not_say_why_there_is_no_answer_is_no_change():
    assert not is_changed("no answer", "refused")
    assert is_changed("no answer", "right")
    assert is_changed("unread", "refused")
    assert not is_changed("unscored", "right")


def test_the_command_says_what_changed(old_run):
    done = CliRunner().invoke(app, ["rescore", str(old_run.parent)])
    assert done.exit_code == 0, done.output
    assert f"{len(ROWS)} of {len(ROWS)} answers changed from reader 1 to {READER_VERSION}" in done.output
    again = CliRunner().invoke(app, ["rescore", str(old_run.parent)])
    assert f"scored with reader {READER_VERSION} already" in again.output


def test_a_place_without_results_is_refused(tmp_path):
    with pytest.raises(MISGroundError, match="no results of MIS-Ground"):
        rescore([tmp_path])
