"""Reading the harness's files: what counts as a run, what it is called, and what is refused."""

import json
import re

import pytest

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.report.runs import read_runs
from tests.helpers.harness_files import factorial_rows, image_hash, row, write_run

ROWS = factorial_rows(volumes=2, facts=1)


def right(each):
    return each["answer"]


def first_option(each):
    return f"I think it is **{each['options'][0]}**."


def test_answers_are_as_scored_and_as_read(tmp_path):
    write_run(tmp_path, ROWS, lambda each: "cannot tell" if each["register"] == "lay" else first_option(each))
    reading = read_runs([str(tmp_path)])
    (run,) = reading.runs
    assert (run.name, run.mode, run.model) == ("some-model", "pictures", "org/some-model")
    assert set(run.answers) == {each["id"] for each in ROWS} == set(reading.questions)
    for each in ROWS:
        answer = run.answers[each["id"]]
        if each["register"] == "lay":
            assert (answer.said, answer.right, answer.reply) == (None, False, "cannot tell")
        else:
            assert answer.said == each["options"][0]
            assert answer.right == (each["answer_index"] == 0)
    question = reading.questions[ROWS[0]["id"]]
    assert question["image_hashes"] == [image_hash(ROWS[0]["id"])]
    assert "images" not in question
    assert "paired" not in question
    assert run.versions == {
        "lm_eval": "0.4.13",
        "transformers": "5.24.0",
        "torch": "2.13.0+cpu",
        "python": "3.11.2",
        "tasks": "2.0",
        "data": "2.0.0",
    }
    assert not reading.warnings


def test_a_result_file_is_a_run_too(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    assert len(read_runs([str(path)]).runs) == 1


def test_evaluations_of_one_model_are_one_run_and_the_later_answer_counts(tmp_path):
    write_run(tmp_path, ROWS, right, date="2026-02-01T00-00-00.000000")
    write_run(tmp_path, ROWS[:4], lambda _: "?", date="2026-01-01T00-00-00.000000")
    write_run(tmp_path, ROWS[:2], lambda _: "?", date="2026-03-01T00-00-00.000000")
    (run,) = read_runs([str(tmp_path)]).runs
    wrong = {identity for identity, answer in run.answers.items() if not answer.right}
    assert wrong == {each["id"] for each in ROWS[:2]}
    assert len(run.dates) == 3


def test_other_settings_are_another_run(tmp_path):
    write_run(tmp_path, ROWS, right)
    write_run(tmp_path, ROWS, right, gen_kwargs={"temperature": 0.7}, date="2026-02-01T00-00-00.000000")
    write_run(tmp_path, ROWS, right, limit=4.0, batch_size=1, date="2026-03-01T00-00-00.000000")
    names = {run.name for run in read_runs([str(tmp_path)]).runs}
    assert names == {"some-model", "some-model [temperature=0.7]"}


def test_runs_are_told_apart_by_their_settings(tmp_path):
    arguments = {"pretrained": "org/m"}
    write_run(tmp_path / "a", ROWS, right, model_args={**arguments, "dtype": "float16"})
    write_run(tmp_path / "b", ROWS, right, model_args={**arguments, "dtype": "float32"})
    names = [run.name for run in read_runs([str(tmp_path / "a"), str(tmp_path / "b")]).runs]
    assert names == ["m [dtype=float16]", "m [dtype=float32]"]
    twice = [run.name for run in read_runs([str(tmp_path / "a"), str(tmp_path / "a")]).runs]
    assert len(set(twice)) == 2


@pytest.mark.parametrize(
    ("model", "config", "name"),
    [
        ("mis-semsam", {"semsam_guard": "none", "semsam_strength": 1.0}, "m + SemSam"),
        ("mis-semsam", {"semsam_guard": "antonyms", "semsam_strength": 1.0}, "m + SemSam (antonyms)"),
        ("mis-semsam", {"semsam_strength": 0.0}, "m"),
        ("vllm-vlm", {"gen_kwargs": {"extra_args": {"semsam_k": 16}}}, "m + SemSam"),
        ("hf-multimodal", {}, "m"),
    ],
)
def test_semantic_sampling_is_in_the_name(tmp_path, model, config, name):
    write_run(tmp_path, ROWS, right, model=model, model_args={"pretrained": "/models/m/"}, **config)
    assert [run.name for run in read_runs([str(tmp_path)]).runs] == [name]


def test_plain_answers_of_a_comparing_run_are_a_run_before_it(tmp_path):
    write_run(
        tmp_path,
        ROWS,
        right,
        plain=first_option,
        model="mis-semsam",
        model_args={"pretrained": "org/m", "semsam_compare": True, "semsam_k": 8},
        semsam_k=8,
        semsam_strength=1.0,
    )
    plain, sampled = read_runs([str(tmp_path)]).runs
    assert (plain.name, sampled.name) == ("m", "m + SemSam")
    assert all(answer.right for answer in sampled.answers.values())
    assert {each["id"] for each in ROWS if each["answer_index"] == 0} == {
        identity for identity, answer in plain.answers.items() if answer.right
    }
    assert "semsam_k" not in json.dumps(plain.settings)
    assert sampled.settings["semsam_k"] == 8


def test_blind_answers_are_a_run_of_their_own(tmp_path):
    write_run(tmp_path / "seen", ROWS, right)
    write_run(tmp_path / "blind", ROWS, first_option, blind=True, model="hf")
    reading = read_runs([str(tmp_path / "blind"), str(tmp_path / "seen")])
    assert [(run.name, run.mode) for run in reading.runs] == [
        ("some-model, blind", "blind"),
        ("some-model", "pictures"),
    ]
    assert reading.questions[ROWS[0]["id"]]["image_hashes"]  # known from the other run


def test_names_can_be_given(tmp_path):
    write_run(tmp_path / "x", ROWS, right)
    write_run(tmp_path / "y", ROWS, right, blind=True)
    names = [run.name for run in read_runs([f"Mine={tmp_path / 'x'}", f"Mine={tmp_path / 'y'}"]).runs]
    assert names == ["Mine", "Mine, blind"]
    write_run(tmp_path / "x", ROWS, right, model_args={"pretrained": "other"})
    with pytest.raises(MISGroundError, match="several runs"):
        read_runs([f"Mine={tmp_path / 'x'}"])


def test_a_model_without_a_name_goes_by_its_kind(tmp_path):
    write_run(tmp_path, ROWS, right, model="mis-ground-constant", model_args={})
    assert read_runs([str(tmp_path)]).runs[0].name == "mis-ground-constant"


def test_scores_in_the_files_count_when_an_answer_would_be_read_differently_now(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    for samples in path.parent.glob("samples_*.jsonl"):
        lines = [json.loads(line) | {"acc": 0.0} for line in samples.read_text().splitlines()]
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    reading = read_runs([str(tmp_path)])
    assert not any(answer.right for answer in reading.runs[0].answers.values())
    assert f"{len(ROWS)} answer(s) of org/some-model are read differently" in reading.warnings[0]


def test_empty_leaves_and_other_tasks_are_passed_over(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    results = json.loads(path.read_text())
    results["results"] |= {"mmlu": {}, "mis_ground_mri_axial_directional_box": {}}
    path.write_text(json.dumps(results))
    empty = {"doc": {"empty": True, "question": "", "options": [], "answer": ""}, "filtered_resps": ["x"], "empty": 1.0}
    date = path.stem.removeprefix("results_")
    (path.parent / f"samples_mis_ground_mri_axial_directional_box_{date}.jsonl").write_text(json.dumps(empty) + "\n")
    assert len(read_runs([str(tmp_path)]).runs[0].answers) == len(ROWS)


def test_the_data_set_is_known_from_the_tasks_metadata(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    results = json.loads(path.read_text())
    results["configs"]["mis_ground_ct_coronal_directional_box"]["metadata"]["dataset"] = "/data/ground"
    path.write_text(json.dumps(results))
    assert read_runs([str(tmp_path)]).runs[0].dataset == "/data/ground"


# --- what is refused -------------------------------------------------------------------------------------------------


def test_nothing_there(tmp_path):
    with pytest.raises(MISGroundError, match=r"contains no result files.*--output_path"):
        read_runs([str(tmp_path)])
    (tmp_path / "results_2026-01-01T00-00-00.000000.json").write_text('{"results": {"mmlu": {}}, "config": {}}')
    with pytest.raises(MISGroundError, match="no results of MIS-Ground"):
        read_runs([str(tmp_path)])


def test_no_samples(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    for samples in path.parent.glob("samples_*"):
        samples.unlink()
    with pytest.raises(MISGroundError, match=r"no sample file.*--log_samples"):
        read_runs([str(tmp_path)])


QUESTION = '"doc": {"id": "a", "question": "", "options": [], "answer": ""}'


@pytest.mark.parametrize(
    "line",
    [
        '{"doc": {"id": "a", "quest',
        "[]",
        "{}",
        '{"doc": {"id": "a"}, "filtered_resps": ["x"], "acc": 1, "invalid": 0}',
        f'{{{QUESTION}, "filtered_resps": [], "acc": 1, "invalid": 0}}',
        f'{{{QUESTION}, "filtered_resps": [3], "acc": 1, "invalid": 0}}',
        f'{{{QUESTION}, "filtered_resps": ["x"], "exact_match": 1}}',
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = write_run(tmp_path, ROWS, right)
    samples = next(path.parent.glob("samples_*"))
    text = samples.read_text().splitlines()
    samples.write_text("\n".join([text[0], line, *text[1:]]))
    with pytest.raises(MISGroundError, match=r"Line 2 of a sample file.*samples_mis_ground"):
        read_runs([str(tmp_path)])


def test_a_damaged_result_file_is_named(tmp_path):
    path = write_run(tmp_path, ROWS, right)
    path.write_text(path.read_text()[:100])
    with pytest.raises(MISGroundError, match=r"cannot be read.*results_2026"):
        read_runs([str(tmp_path)])


@pytest.mark.parametrize("name", ["question", "options", "answer", "image"])
def test_runs_of_different_data_sets_are_refused(tmp_path, name):
    write_run(tmp_path / "a", ROWS, right)
    changed = [dict(each) for each in ROWS]
    if name == "answer":
        changed[0] |= {"answer": changed[0]["options"][1]}
    elif name == "options":
        changed[0] |= {"options": [*changed[0]["options"], "other"]}
    elif name == "question":
        changed[0] |= {"question": "Another?"}
    images = (lambda each: [image_hash("other")]) if name == "image" else (lambda each: [image_hash(each["id"])])
    write_run(tmp_path / "b", changed, right, images=images)
    with pytest.raises(
        MISGroundError,
        match=rf"different data sets: (the )?{name} of question {ROWS[0]['id']}",
    ):
        read_runs([str(tmp_path / "a"), str(tmp_path / "b")])


def of_version(version, rows=ROWS, **changes):
    return [each | {"version": version} | changes for each in rows]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(of_version("2.0.0"), of_version("2.1.0"), id="the same questions"),
        pytest.param(of_version("1.0.0", ROWS[:4]), of_version("2.1.0", ROWS[4:]), id="other questions"),
        pytest.param(of_version("2.0.0"), of_version("2.1.0", question="Another?"), id="the same ids"),
    ],
)
@pytest.mark.parametrize("beside", ["one folder", "two folders", "another model", "blind"])
def test_old_runs_are_refused_beside_new_ones(tmp_path, old, new, beside):
    places = [tmp_path / "a", tmp_path / ("a" if beside == "one folder" else "b")]
    write_run(places[0], old, right)
    other = {"blind": True} if beside == "blind" else {}
    if beside == "another model":
        other = {"model_args": {"pretrained": "other"}}
    write_run(places[1], new, right, date="2026-02-01T00-00-00.000000", **other)
    versions = f"{old[0]['version']}|{new[0]['version']}"
    with pytest.raises(MISGroundError, match="data of different versions") as refused:
        read_runs([str(place) for place in dict.fromkeys(places)])
    assert set(re.findall(versions, refused.value.value)) == {old[0]["version"], new[0]["version"]}
    assert "results_2026-02-01" in refused.value.file
    assert "docs/data-versions.md" in refused.value.remedy


def test_a_data_set_whose_splits_were_built_at_times_is_one_data_set(tmp_path):
    """As on the Hub, where splits that are there already stay."""
    write_run(tmp_path / "part", of_version("2.0.0", ROWS[:4]), right)
    write_run(tmp_path / "all", of_version("2.0.0", ROWS[:4]) + of_version("2.1.0", ROWS[4:]), right)
    runs = read_runs([str(tmp_path / "part"), str(tmp_path / "all")]).runs
    assert [run.versions["data"] for run in runs] == ["2.0.0", "2.0.0, 2.1.0"]


def test_images_may_be_written_by_their_own_name(tmp_path):
    """As they are with LMEVAL_HASHMM=0."""
    one = row("p", 0)
    write_run(tmp_path, [one], right, images=lambda each: [f"<Picture sha256={image_hash(each['id'])}>"])
    assert read_runs([str(tmp_path)]).questions["p-0"]["image_hashes"] == [image_hash("p-0")]


def test_a_reply_may_hold_any_character(tmp_path):
    """The harness writes line separators other than the line feed as they are."""
    odd = "one\u2028two\u0085three\x0cfour\nfive\r\n"
    write_run(tmp_path, ROWS, lambda _: odd)
    assert {answer.reply for answer in read_runs([str(tmp_path)]).runs[0].answers.values()} == {odd}


# --- how the questions were put --------------------------------------------------------------------------------------


def with_configs(path, **changes):
    """A result file whose tasks were configured otherwise."""
    results = json.loads(path.read_text())
    for config in results["configs"].values():
        config["metadata"] |= {name: value for name, value in changes.items() if name != "max_gen_toks"}
        if "version" in changes:
            results["versions"] = dict.fromkeys(results["versions"], changes["version"])
        if "max_gen_toks" in changes:
            config["generation_kwargs"] = {"max_gen_toks": changes["max_gen_toks"]}
    path.write_text(json.dumps(results))
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"style": "reasoning", "max_gen_toks": 4096},
        {"max_gen_toks": 128},
        {"letters": True},
        {"stack": "sheet"},
        {"version": 3.0},
        {"data_digest": "0123456789abcdef"},
    ],
)
def test_runs_that_put_their_questions_otherwise_are_kept_apart(tmp_path, change):
    rows = factorial_rows(volumes=2)
    write_run(tmp_path, rows, lambda row: row["answer"])
    other = write_run(tmp_path, rows, lambda row: row["options"][0], date="2026-02-02T03-04-05.678901")
    with_configs(other, **change)
    runs = read_runs([str(tmp_path)]).runs
    assert len(runs) == 2
    assert len({run.name for run in runs}) == 2
    name = {"version": "tasks_version"}.get(next(iter(change)), next(iter(change)))
    assert any(str(run.settings.get(name)) == str(next(iter(change.values()))) for run in runs)
    assert {sum(answer.right for answer in run.answers.values()) for run in runs} == {
        len(rows),
        sum(row["answer"] == row["options"][0] for row in rows),
    }


def test_settings_that_are_as_usual_make_no_other_run(tmp_path):
    rows = factorial_rows(volumes=2)
    write_run(tmp_path, rows[::2], lambda row: row["answer"])
    other = write_run(tmp_path, rows[1::2], lambda row: row["answer"], date="2026-02-02T03-04-05.678901")
    with_configs(other, style="direct", letters=False, stack="images")
    (run,) = read_runs([str(tmp_path)]).runs
    assert len(run.answers) == len(rows)


@pytest.mark.parametrize("escaped", [False, True])
def test_an_answer_to_another_question_is_refused(tmp_path, escaped):
    rows = factorial_rows(volumes=1)
    path = write_run(tmp_path, rows, lambda row: row["answer"])
    (samples, *_) = sorted(path.parent.glob("samples_*.jsonl"))
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for line in lines:
        arguments = line["arguments"]["gen_args_0"]
        if escaped:  # as a chat for a server is written
            arguments["arg_0"] = [json.dumps([{"role": "user", "content": f'"Now"\n{arguments["arg_0"]}\nAnswer:'}])]
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_runs([str(tmp_path)])
    lines[-1]["arguments"] = {"gen_args_0": {"arg_0": "What is marked?\nOptions: liver; spleen\nAnswer:"}}
    samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(MISGroundError, match=r"was given to another question.*cache_requests refresh"):
        read_runs([str(tmp_path)])
