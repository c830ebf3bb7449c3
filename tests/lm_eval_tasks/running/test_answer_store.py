"""Kept answers: what finds them again, and which questions are asked."""

import hashlib
import sqlite3

import pytest
from PIL import Image

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running import answer_store as resume


class Request:
    """What is read of the harness's requests."""

    def __init__(self, prompt, images=(), task="mis_ground_x", **generation):
        self.arguments = (prompt, generation, {"visual": list(images)}) if images else (prompt, generation)
        self.task_name = task

    @property
    def args(self):
        return self.arguments


def grey(level):
    return Image.new("RGB", (4, 4), (level, level, level))


def keys(*requests, run="run", version=1):
    return resume.request_keys(requests, run, lambda task: version)


def test_a_key_is_made_of_all_that_decides_an_answer():
    base = keys(Request("p", [grey(1)], temperature=0))[0]
    assert base == keys(Request("p", [grey(1)], temperature=0))[0]
    others = [
        keys(Request("q", [grey(1)], temperature=0)),
        keys(Request("p", [grey(2)], temperature=0)),
        keys(Request("p", [grey(1), grey(1)], temperature=0)),
        keys(Request("p", temperature=0)),
        keys(Request("p", [grey(1)], temperature=1)),
        keys(Request("p", [grey(1)], temperature=0), run="other"),
        keys(Request("p", [grey(1)], temperature=0), version=2),
    ]
    assert len({base, *(each for (each,) in others)}) == 8
    # Not where the question stands, nor its task's name.
    assert keys(Request("x"), Request("p", [grey(1)], task="other", temperature=0))[1] == base


def test_equal_requests_are_told_apart_by_their_order():
    one, two, three = keys(Request("p"), Request("p"), Request("p"))
    assert len({one, two, three}) == 3
    assert [one, two, three] == keys(Request("p"), Request("p"), Request("p"))


def test_an_image_of_the_data_set_counts_by_its_stored_bytes():
    from io import BytesIO

    from lm_eval_tasks.mis_ground.images import Picture

    stream = BytesIO()
    grey(7).save(stream, "PNG")
    assert resume.image_hash(Picture(stream.getvalue)) == hashlib.sha256(stream.getvalue()).hexdigest()


def test_a_model_is_its_arguments_revision_and_files(tmp_path):
    class Model:
        def __init__(self, sha="a"):
            self.sha = sha

        def get_model_info(self):
            return {"model_sha": self.sha, "semsam_k": 16}

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    arguments = {"pretrained": str(folder)}

    def identity(*changes):
        name, given, model = changes or ("hf", arguments, Model())
        return resume.digest(resume.model_identity(name, given, model))

    base = identity()
    assert base == identity()
    others = {
        identity("vllm", arguments, Model()),
        identity("hf", {**arguments, "semsam_k": 8}, Model()),
        identity("hf", arguments, Model("b")),
        identity("hf", arguments, object()),
    }
    (folder / "weights").write_bytes(b"12")
    others.add(identity())
    assert len(others | {base}) == 6


@pytest.mark.parametrize(
    ("batch", "concurrent", "size"),
    [(1, 1, 8), (3, 1, 9), (16, 1, 16), ("4", 1, 8), ("auto", 1, 1024), (1, 32, 32), (None, 1, 1024)],
)
def test_chunks_are_whole_batches(batch, concurrent, size):
    class Model:
        batch_size = batch
        _concurrent = concurrent

    assert resume.chunk_size(Model()) == size


def test_chunk_of_a_model_that_does_not_tell_its_batch():
    class Model:
        @property
        def batch_size(self):
            raise NotImplementedError

    assert resume.chunk_size(Model()) == 1024
    assert resume.chunk_size(object()) == 1024


def test_answers_are_found_again_with_what_lay_beside_them(tmp_path):
    store = resume.AnswerStore(tmp_path / "new" / "folder")
    stored = {
        f"k{n}": resume.Stored(f"answer {n} \u2028 ü", {"semsam_plain": [str(n)]} if n % 2 else {}) for n in range(1200)
    }
    store.add("run", stored)
    store.add("run", {"k0": resume.Stored("another", {})})  # the first answer counts
    store.close()
    again = resume.AnswerStore(tmp_path / "new" / "folder")
    assert len(again) == 1200
    assert again.find([*stored, "unknown"]) == stored


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    store = resume.AnswerStore(tmp_path)
    with pytest.raises((MISGroundError, TypeError)):
        store.add("run", {"a": resume.Stored("x", {}), "b": resume.Stored("y", {"z": object()})})
    assert store.find(["a", "b"]) == {}


def test_two_processes_may_use_one_folder(tmp_path):
    one, other = resume.AnswerStore(tmp_path), resume.AnswerStore(tmp_path)
    one.add("run", {"a": resume.Stored("x", {})})
    other.add("run", {"b": resume.Stored("y", {})})
    assert one.find(["a", "b"]).keys() == {"a", "b"}


def test_a_damaged_file_and_another_format_are_told(tmp_path):
    (tmp_path / resume.FILE).write_bytes(b"this is no database, " * 100)
    with pytest.raises(MISGroundError, match=r"cannot be opened.*answers\.sqlite.*--resume"):
        resume.AnswerStore(tmp_path)
    store = resume.AnswerStore(tmp_path / "other")
    store.set_note("format", "99")
    store.close()
    with pytest.raises(MISGroundError, match="another version"):
        resume.AnswerStore(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(MISGroundError, match="cannot be opened"):
        resume.AnswerStore(tmp_path / "file")


def test_nothing_secret_is_written(tmp_path):
    """Arguments of a model may hold a key."""
    run = resume.digest(resume.model_identity("local-chat", {"api_key": "s3cret"}, object()))
    store = resume.AnswerStore(tmp_path)
    store.add(run, {"a": resume.Stored("x", {})})
    store.close()
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.iterdir())


def ask_of(log):
    def ask(requests):
        log.append([request.args[0] for request in requests])
        for request in requests:
            prompt, settings, *rest = request.args
            request.arguments = (prompt, {**settings, "beside": prompt[::-1]}, *rest)
        return [f"re: {request.args[0]}" for request in requests]

    return ask


def test_only_what_is_missing_is_asked_and_in_the_same_chunks(tmp_path):
    prompts = [f"{'long ' * (n % 5)}question {n}" for n in range(30)]
    store = resume.AnswerStore(tmp_path)

    def run(some, log):
        requests = [Request(prompt) for prompt in some]
        answers = resume.answer_all(requests, keys(*requests), ask_of(log), store, "run", 8)
        return answers, [request.args[1] for request in requests]

    whole = []
    reference, beside = run(prompts, whole)
    assert reference == [f"re: {prompt}" for prompt in prompts]
    assert [len(chunk) for chunk in whole] == [8, 8, 8, 6]
    lengths = [len(prompt) for chunk in whole for prompt in chunk]
    assert lengths == sorted(lengths, reverse=True)
    nothing = []
    assert run(prompts, nothing) == (reference, beside)
    assert nothing == []
    # Some answers are lost: only their chunks are asked, and of these only what is missing.
    base = sqlite3.connect(store.path)
    lost = keys(*(Request(prompt) for prompt in whole[2]))
    base.executemany("DELETE FROM answers WHERE key = ?", [(key,) for key in lost])
    base.commit()
    base.close()
    again = []
    assert run(prompts, again) == (reference, beside)
    assert again == [whole[2]]


def test_what_is_no_answer_is_handed_on_and_asked_again(tmp_path):
    store = resume.AnswerStore(tmp_path)
    requests = [Request("a"), Request("b")]
    found = resume.answer_all(requests, keys(*requests), lambda some: ["fine", None], store, "run", 8)
    assert found == ["fine", None]
    log = []
    resume.answer_all([Request("a"), Request("b")], keys(*requests), ask_of(log), store, "run", 8)
    assert log == [["b"]]


def test_sampled_answers_do_not_depend_on_where_the_run_was_broken(tmp_path):
    import torch

    requests = [Request(f"q{n}", do_sample=True) for n in range(20)]

    def draw(some):
        return [str(torch.rand(()).item()) for _ in some]

    def run(folder, ask):
        torch.manual_seed(5)
        return resume.answer_all(requests, keys(*requests), ask, resume.AnswerStore(folder), "run", 8)

    reference = run(tmp_path / "whole", draw)
    calls = []

    def interrupted(some):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw(some)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", interrupted)
    assert run(tmp_path / "broken", draw) == reference
    assert len(set(reference)) == 20


def test_progress_counts_what_was_known(tmp_path):
    store, seen = resume.AnswerStore(tmp_path), []
    requests = [Request(f"q{n}") for n in range(8)]
    resume.answer_all(requests, keys(*requests), ask_of([]), store, "run", 8)
    requests = [Request(f"q{n}") for n in range(20)]
    resume.answer_all(
        requests,
        keys(*requests),
        ask_of([]),
        store,
        "run",
        8,
        report=lambda p: seen.append((p.known, p.asked, p.total)),
    )
    assert seen[0] == (8, 0, 20)
    assert seen[-1] == (8, 12, 20)
