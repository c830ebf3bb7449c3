"""A judge model reads what the reader leaves unread; both readings are kept, and no score changes."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from dataset_builder.cli.main import app
from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.report.contents import schema
from lm_eval_tasks.report.judge import KEPT, SAMPLE, Judgement, LocalJudge, ServerJudge, judge_of, judgement
from lm_eval_tasks.report.write import write_report
from tests.helpers.chat_server import ChatServer
from tests.helpers.harness_files import factorial_rows, write_run
from tests.helpers.json_schema import complaints
from tests.helpers.tiny_models import save_tiny_llama

ROWS = [each for each in factorial_rows(volumes=2, facts=2, prior=True) if each["options"]]
RIDDLE = "Whichever word comes later in the list of options."
BOTH = "Both."
SIDES = ["right", "left"]


def reply(number, each):
    return (RIDDLE, BOTH, each["answer"])[number % 3]


REPLIES = {each["id"]: reply(number, each) for number, each in enumerate(ROWS)}


class JudgeServer(ChatServer):
    """Understands the riddle, and reads a plain word as anybody does."""

    def _answered(self, kind, mode, sent, text, images, attempt):
        options = [line.partition(". ")[2] for line in text.split("\n") if line[:1].isdigit() and ". " in line[:4]]
        said = text.partition("<<<\n")[2].partition("\n>>>")[0]
        if said in options:
            answer = str(options.index(said) + 1)
        else:
            answer = f"{len(options)}. {options[-1]}" if said == RIDDLE else "None."
        message = {"role": "assistant", "content": answer}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}, {}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("2", Judgement("option", "left")),
        ("2.", Judgement("option", "left")),
        ("2. left", Judgement("option", "left")),
        ("**2**", Judgement("option", "left")),
        ("<think>1? no</think>2", Judgement("option", "left")),
        ("left", Judgement("option", "left")),
        ("Answer: 1", Judgement("option", "right")),
        ("none", Judgement("none")),
        ("None.", Judgement("none")),
        ("2. right", Judgement("unclear")),
        ("3", Judgement("unclear")),
        ("1 or 2", Judgement("unclear")),
        ("<think>it may be 2", Judgement("unclear")),
        ("", Judgement("unclear")),
    ],
)
def test_a_judges_answer_is_a_number_or_none(answer, expected):
    assert judgement(answer, SIDES) == expected


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, ROWS, lambda each: REPLIES[each["id"]])
    return folder


def test_only_unread_replies_and_a_sample_are_judged_and_no_score_changes(run, tmp_path):
    without = write_report([str(run)], tmp_path / "without")
    with JudgeServer() as server:
        report = write_report([str(run)], tmp_path / "with", judge=ServerJudge("judge", server.url))
        asked = len(server.requests)
        again = write_report([str(run)], tmp_path / "with", judge=ServerJudge("judge", server.url))
        assert len(server.requests) == asked, "no reply is judged twice"
    kinds = list(REPLIES.values())
    riddles, both = kinds.count(RIDDLE), kinds.count(BOTH)
    plain = min(SAMPLE, len(kinds) - riddles - both)
    right = sum(REPLIES[each["id"]] == RIDDLE and each["options"][-1] == each["answer"] for each in ROWS)
    judged = report["runs"][0].pop("judge")
    assert judged == {
        "model": "judge",
        "unread": riddles + both,
        "given_an_option": riddles,
        "of_these_right": right,
        "none": both,
        "unclear": 0,
        "read_sample": plain,
        "agree": plain,
    }
    assert again["runs"][0]["judge"] == judged
    assert report == without, "the judge changes no number"
    stored = json.loads((tmp_path / "with" / "report.json").read_text(encoding="utf-8"))
    assert list(complaints(stored, schema(), schema())) == []
    assert (tmp_path / "with" / KEPT).is_file()
    items = list(csv.DictReader(io.StringIO((tmp_path / "with" / "items.csv").read_text(encoding="utf-8"))))
    of_riddles = [item for item in items if item["reply"] == RIDDLE]
    assert of_riddles
    assert all(item["said"] == "" and item["status"] == "unread" and item["judged"] for item in of_riddles)
    assert "judged" not in (tmp_path / "without" / "items.csv").read_text(encoding="utf-8").split("\n")[0]


def test_the_command_shows_what_the_judge_read(run, tmp_path):
    with JudgeServer() as server:
        arguments = ["report", str(run), "--out", str(tmp_path / "report"), "--judge", "judge"]
        done = CliRunner().invoke(app, [*arguments, "--judge-url", server.url])
    assert done.exit_code == 0, done.output
    assert "Judge judge on some-model: of" in done.output
    assert "it agrees with the reader on" in done.output
    alone = CliRunner().invoke(app, ["report", str(run), "--judge-url", "http://127.0.0.1:1/v1"])
    assert alone.exit_code != 0


def test_a_local_model_judges(tmp_path):
    write_run(tmp_path / "run", ROWS[:6], lambda each: REPLIES[each["id"]])
    judge = LocalJudge(str(save_tiny_llama(tmp_path / "llama")))
    judged = write_report([str(tmp_path / "run")], tmp_path / "report", judge=judge)["runs"][0]["judge"]
    kinds = [REPLIES[each["id"]] for each in ROWS[:6]]
    assert judged["unread"] == kinds.count(RIDDLE) + kinds.count(BOTH)
    assert judged["given_an_option"] + judged["none"] + judged["unclear"] == judged["unread"]


def test_a_judge_that_cannot_be_loaded_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(MISGroundError, match="judge model cannot be loaded"):
        judge_of(str(tmp_path / "nowhere"))
