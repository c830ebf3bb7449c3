"""What ``mis-ground eval`` shows and does around a run."""

import io
import json

import pytest
from rich.console import Console

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.generate import TASK_VERSION
from lm_eval_tasks.running import answer_store as resume
from lm_eval_tasks.running import evaluate, preflight, progress, watching
from tests.helpers.harness_files import factorial_rows, only_our_tasks
from tests.helpers.tiny_dataset import write_dataset

TASKS = "mis_ground_ct_axial_directional_box,mis_ground_ct_axial_relational_none"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("watching") / "ground", rows_per_cell=16, modalities=("ct",))


@pytest.fixture
def evaluated(ground, monkeypatch, capfd):
    """Runs the constant answer, which does not look; gives what was printed."""
    only_our_tasks(monkeypatch)

    def run(*more):
        given = ["--model", "mis-ground-constant", "--tasks", TASKS, "--metadata", json.dumps({"dataset": str(ground)})]
        assert evaluate.main([*given, *more]) == 0
        return capfd.readouterr()

    return run


def test_a_short_run_is_not_probed_and_is_summed_up(evaluated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    printed = evaluated().err
    assert "fatal: not a git repository" not in printed
    assert "32 questions, 32 images, 2 task(s)" in printed
    assert "Warning" not in printed
    assert "32 answers in" in printed
    assert "0 from an earlier run" in printed
    assert "directional" in printed
    assert "50.0" in printed


def test_a_long_run_of_a_model_that_does_not_look_warns(evaluated, monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "LONG_RUN", 30)
    printed = evaluated("--resume", str(tmp_path)).err
    assert "0 of 12 trial questions are answered differently without their image" in printed
    assert "Warning: All 12 questions were answered the same" in printed
    # Remembered: when the run goes on, the same is not tried again, but said again.
    store = resume.AnswerStore(tmp_path)
    store._base.execute("DELETE FROM answers")
    store.close()
    printed = evaluated("--resume", str(tmp_path)).err
    assert "trial questions" not in printed
    assert "Warning: All 12" in printed


def test_strict_stops_it(evaluated):
    with pytest.raises(MISGroundError, match=r"All 12 questions.*without --strict|All 12 questions.*leave out"):
        evaluated("--strict")


def test_questions_without_images_are_not_doubted(ground, monkeypatch, capfd):
    only_our_tasks(monkeypatch)
    given = ["--model", "mis-ground-constant", "--tasks", "blind_mis_ground_none", "--strict"]
    assert evaluate.main([*given, "--metadata", json.dumps({"dataset": str(ground)})]) == 0
    printed = capfd.readouterr().err
    assert "144 questions, 0 images, 1 task(s)" in printed


def test_help_names_both_kinds_of_options(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["run", "--help"])
    printed = capsys.readouterr().out
    assert "--resume DIR" in printed
    assert "--apply_chat_template" in printed


class Model:
    world_size = 1

    def generate_until(self, requests, disable_tqdm=False):
        return ["x" for _ in requests]


def test_models_are_watched_however_they_are_made(monkeypatch):
    from lm_eval.api import registry

    class Made(Model):
        @classmethod
        def create_from_arg_obj(cls, arguments, more=None):
            assert more == {"batch_size": 2}
            made = cls()
            made.given = {name: arguments.pop(name) for name in list(arguments)}
            return made

    monkeypatch.setattr(registry, "get_model", original := lambda name: Made)
    with watching.watched(watching.Watch()):
        one = registry.get_model("made").create_from_arg_string("a=1,b=x", {"batch_size": 2})
        two = registry.get_model("made").create_from_arg_obj({"a": 1, "b": "x"}, {"batch_size": 2})
    assert registry.get_model is original
    for made in (one, two):
        assert made.given == {"a": 1, "b": "x"}
        assert made.generate_until.__name__ == "generate_until"
        assert made.generate_until is not Made.generate_until
        assert made.generate_until([]) == []


def test_a_model_spread_by_a_launcher_cannot_keep_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MISGroundError, match="over several processes"):
        watching.Watch(tmp_path).over("hf", {}, Model())
    watching.Watch().over("hf", {}, Model())
    parallel = Model()
    parallel.world_size = 2
    watching.Watch(tmp_path).over("hf", {}, parallel)


def test_progress_is_told_in_lines_where_there_is_no_terminal():
    stream, times = io.StringIO(), iter([0.0, 5.0, 12.0, 30.0, 75.0])
    lines = progress.Lines(Console(file=stream, width=200), clock=lambda: next(times))
    for asked in (0, 50, 120, 300, 750):
        lines.show(resume.Progress(2000, 100, asked))
    assert stream.getvalue().splitlines() == [
        "220 of 2,000 answers, 10.0 a second, 3 min left",
        "850 of 2,000 answers, 10.0 a second, 2 min left",
    ]


def test_progress_is_a_bar_in_a_terminal():
    stream = io.StringIO()
    with progress.shown_progress(Console(file=stream, force_terminal=True, width=120)) as report:
        report(resume.Progress(20, 5, 0))
        report(resume.Progress(20, 5, 15))
    assert "20/20" in stream.getvalue()
    with progress.shown_progress(None) as report:
        report(resume.Progress(1, 0, 1))


def test_summary_has_the_numbers_of_a_report():
    rows = factorial_rows(volumes=4, facts=2)
    answered = [(each, each["options"][0]) for each in rows]
    stream = io.StringIO()
    Console(file=stream, width=120).print(watching.summary_table(answered))
    lines = {line.split("│")[1].strip(): line for line in stream.getvalue().splitlines() if "│" in line}
    assert lines.keys() >= {"directional", "anatomical", "all"}
    right = sum(each["answer_index"] == 0 for each in rows)
    assert f"{100 * right / len(rows):.1f} (" in lines["all"]
    assert f"{len(rows):,}" in lines["all"]
    assert " 25.0 " in lines["anatomical"]  # chance


def test_an_answer_that_an_api_failed_to_give_is_none(monkeypatch):
    class Behind:
        _concurrent = 1

    assert not watching.is_answer(Behind(), "")
    assert not watching.is_answer(Behind(), None)
    assert watching.is_answer(Model(), "")  # a model of one's own may well say nothing
    monkeypatch.setenv("LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER", "failed")
    assert watching.is_answer(Behind(), "")
    assert not watching.is_answer(Behind(), "failed")


def test_the_version_of_our_tasks_is_known():
    assert watching.task_version("mis_ground_ct_axial_directional_box") == TASK_VERSION
    assert watching.task_version("blind_mis_ground_none") == TASK_VERSION
    assert watching.task_version("mmlu") is None


def test_times_are_told_in_words():
    assert [progress.duration(s) for s in (3.4, 89, 100, 3600, 7500)] == [
        "3 s",
        "89 s",
        "2 min",
        "1 h 0 min",
        "2 h 5 min",
    ]
    assert [progress.rate(*each) for each in ((10, 5), (1, 30), (0, 0))] == [
        "2.0 a second",
        "2.0 a minute",
        "0.0 a minute",
    ]
