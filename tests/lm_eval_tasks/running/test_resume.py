"""A run that was killed or broken off: no answer is lost, and none is asked for twice."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest

from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.running import answer_store as resume
from lm_eval_tasks.running import evaluate
from tests.helpers.harness_files import only_our_tasks
from tests.helpers.tiny_dataset import write_dataset

SLOW = """
import json, os, sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from lm_eval_tasks.running import answer_store as resume
from test_request import Request

log = open({log!r}, "a")

def ask(requests):
    answers = []
    for request in requests:
        time.sleep(0.004)
        log.write(request.args[0] + "\\n")
        log.flush()
        answers.append("re: " + request.args[0])
    return answers

requests = [Request("question %d" % n) for n in range(240)]
keys = resume.request_keys(requests, "run", lambda task: 1)
answers = resume.answer_all(requests, keys, ask, resume.AnswerStore(Path({folder!r})), "run", 8)
Path({out!r}).write_text(json.dumps(answers))
"""


def test_kill_minus_nine_at_any_moment(tmp_path):
    """Killed again and again at moments that have nothing to do with its chunks, the run ends as an unbroken one."""
    (tmp_path / "test_request.py").write_text(
        "class Request:\n    task_name = 'x'\n    def __init__(self, p):\n        self.args = (p, {})\n"
    )
    log, out = tmp_path / "log", tmp_path / "out"
    script = SLOW.format(
        tests=str(tmp_path),
        root=str(Path(resume.__file__).parents[2]),
        log=str(log),
        folder=str(tmp_path / "kept"),
        out=str(out),
    )
    log.touch()
    kills = 0
    for wait in (17, 30, 41, 66, 93):
        process = subprocess.Popen([sys.executable, "-c", script])
        before = log.read_text().count("\n")
        while process.poll() is None and log.read_text().count("\n") < before + wait:
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        stored = sqlite3.connect(tmp_path / "kept" / resume.FILE).execute("SELECT count(*) FROM answers").fetchone()[0]
        assert stored % 8 == 0  # whole chunks
    assert kills >= 4
    subprocess.run([sys.executable, "-c", script], check=True)
    assert json.loads(out.read_text()) == [f"re: question {n}" for n in range(240)]
    asked = Counter(log.read_text().split("\n")[:-1])
    # Only what was in the hands of the model when it was killed is asked again: less than a chunk a kill.
    assert set(asked) == {f"question {n}" for n in range(240)}
    assert sum(asked.values()) - 240 <= 8 * kills


@pytest.fixture(scope="module")
def looking():
    """A model whose answer depends on the image and the prompt, and that notes what it is asked."""
    from lm_eval.api.registry import register_model

    from lm_eval_tasks.running.baselines import ConstantAnswer

    @register_model("looking-model")
    class Looking(ConstantAnswer):
        asked: ClassVar[list] = []
        stop_after = None
        batch_size = 4

        def __init__(self, log=None, pause=0.0, **_):
            super().__init__()
            self.log, self.pause = log, float(pause)

        def get_model_info(self):
            return {"seed": 1}

        def generate_until(self, requests, disable_tqdm=False):
            answers = []
            for request in requests:
                images = [resume.image_hash(image) for image in request.args[2]["visual"]]
                if self.stop_after is not None and len(self.asked) >= self.stop_after:
                    raise KeyboardInterrupt
                self.asked.append((request.args[0], *images))
                if self.log:
                    with open(self.log, "a") as file:
                        file.write(json.dumps([request.args[0], *images]) + "\n")
                    time.sleep(self.pause)
                options = request.doc["options"]
                number = int(hashlib.sha256(repr((request.args[0], images)).encode()).hexdigest(), 16)
                answers.append(options[number % len(options)])
            return answers

    return Looking


TASKS = "mis_ground_ct_axial_directional_box,mis_ground_ct_axial_directional_mask,mis_ground_ct_coronal_relational_none"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Rows of which some have the same question and another image."""
    folder = tmp_path_factory.mktemp("resume")

    def change(row):
        return row | {"question": f"By {row['prompt']}, is A right or left of B?\nOptions: right; left"}

    return write_dataset(folder / "ground", rows_per_cell=20, modalities=("ct",), change=change)


def arguments(ground, out, *more):
    return [
        *("--model", "looking-model", "--tasks", TASKS, "--log_samples", "--output_path", str(out)),
        *("--metadata", json.dumps({"dataset": str(ground)}), *more),
    ]


def answers_of(out):
    (run,) = read_runs([str(out)]).runs
    return run.answers


def test_a_broken_run_goes_on_and_equals_an_unbroken_one(looking, ground, tmp_path, monkeypatch, capfd):
    only_our_tasks(monkeypatch)
    looking.asked, looking.stop_after = [], None
    assert evaluate.main(arguments(ground, tmp_path / "plain")) == 0
    whole = list(looking.asked)
    assert len(whole) == len(set(whole)) == 60
    looking.asked, looking.stop_after = [], 29
    kept = ["--resume", str(tmp_path / "kept")]
    assert evaluate.main(arguments(ground, tmp_path / "broken", *kept)) == 130
    assert "mis-ground eval --model looking-model" in capfd.readouterr().err
    first = list(looking.asked)
    looking.asked, looking.stop_after = [], None
    assert evaluate.main(arguments(ground, tmp_path / "broken", *kept)) == 0
    second = list(looking.asked)
    assert Counter(first + second) - Counter(whole) == Counter(first[24:])  # in hand when the run was stopped
    assert set(first[:24]).isdisjoint(second)
    assert answers_of(tmp_path / "broken") == answers_of(tmp_path / "plain")
    printed = capfd.readouterr().err
    assert "60 questions, 24 answered before, 60 images, 3 task(s)" in printed
    assert "24 from an earlier run" in printed
    looking.asked = []
    assert evaluate.main(arguments(ground, tmp_path / "again", f"--resume={tmp_path / 'kept'}")) == 0
    assert looking.asked == []
    assert answers_of(tmp_path / "again") == answers_of(tmp_path / "plain")
    # Other settings are other answers.
    assert evaluate.main(arguments(ground, tmp_path / "other", *kept, "--gen_kwargs", "max_gen_toks=9")) == 0
    assert len(looking.asked) == 60


def test_a_run_killed_in_the_harness_goes_on(looking, ground, tmp_path, monkeypatch):
    only_our_tasks(monkeypatch)
    looking.asked, looking.stop_after = [], None
    log = tmp_path / "log"
    log.touch()
    given = arguments(ground, tmp_path / "out", "--resume", str(tmp_path / "kept"))
    given += ["--model_args", f"log={log},pause=0.02"]
    child = os.fork()
    if child == 0:
        try:
            evaluate.main(given)
        finally:
            os._exit(1)
    end = time.monotonic() + 120
    while log.read_text().count("\n") < 25 and time.monotonic() < end:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    first = log.read_text().split("\n")[:-1]
    assert 25 <= len(first) < 60
    assert evaluate.main(given) == 0
    lines = Counter(log.read_text().split("\n")[:-1])
    assert len(lines) == 60
    assert sum(lines.values()) - 60 <= 8
    assert len(answers_of(tmp_path / "out")) == 60
