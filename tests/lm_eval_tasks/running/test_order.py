"""Questions about the same images are asked one after another, whatever model of the harness answers them."""

import io
import itertools
import json
import random
from collections import Counter

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.models.utils import Collator
from lm_eval.tasks import TaskManager
from more_itertools import distribute, interleave_longest
from PIL import Image
from rich.console import Console

from lm_eval_tasks.mis_ground.images import Picture, Sheet
from lm_eval_tasks.mis_ground.replies import Reply
from lm_eval_tasks.running import answer_store, order
from lm_eval_tasks.running.evaluate import TASKS
from lm_eval_tasks.running.images import fingerprint, image_hash
from lm_eval_tasks.running.order import as_given
from lm_eval_tasks.running.watching import Watch
from tests.helpers.tiny_dataset import noise, write_dataset


class Request:
    """What is read of the harness's requests."""

    def __init__(self, prompt, images=(), pair="", **settings):
        self.arguments = (prompt, settings, {"visual": list(images)}) if images else (prompt, settings)
        self.doc, self.task_name = {"pair_id": pair}, "mis_ground_x"

    @property
    def args(self):
        return self.arguments


def grey(level):
    return Image.new("RGB", (4, 4), (level, level, level))


def runs(values):
    """How often a value gives way to another."""
    return len(list(itertools.groupby(values)))


@pytest.fixture
def scattered():
    """Questions about five images and three stacks, of lengths that scatter them when sorted by length."""
    draw = random.Random(0)
    stacks = [[grey(n)] for n in range(5)] + [[grey(9), grey(n), grey(n + 1)] for n in (20, 30, 20)]
    made = [
        Request(f"{'long ' * draw.randrange(40)}question {pair}: {way}", images, f"{number}-{pair}")
        for number, images in enumerate(stacks)
        for pair in range(6)
        for way in ("A to B", "B to A")
    ]
    draw.shuffle(made)
    return made


def test_questions_about_the_same_images_follow_each_other_and_twins_too(scattered):
    asked = [scattered[n] for n in order.in_order(scattered)]
    assert sorted(map(id, asked)) == sorted(map(id, scattered))
    images = [tuple(fingerprint(image) for image in request.args[2]["visual"]) for request in asked]
    assert runs(images) == len(set(images)) == 7
    assert runs(own[0] for own in images) == 6  # stacks that begin with the same image are neighbours
    assert [len(own) for own in images] == sorted(map(len, images), reverse=True)
    pairs = [request.doc["pair_id"] for request in asked]
    assert runs(pairs) == len(set(pairs))


def test_the_longest_prompt_is_among_the_first_and_the_order_depends_on_nothing_else(scattered):
    stacks = [request for request in scattered if len(request.args[2]["visual"]) > 1]
    first = scattered[order.in_order(scattered)[0]]
    longest = max(stacks, key=lambda request: len(request.args[0]))
    assert first.args[2]["visual"][0] is longest.args[2]["visual"][0]
    mixed = random.Random(1).sample(scattered, len(scattered))
    assert [mixed[n].args[0] for n in order.in_order(mixed)] == [
        scattered[n].args[0] for n in order.in_order(scattered)
    ]


def test_questions_without_images_stay_sorted_by_length_in_pairs_and_by_settings():
    made = [Request("x" * n, pair=f"p{n % 5}", max_gen_toks=n % 2) for n in range(1, 31)]
    asked = [made[n] for n in order.in_order(made)]
    assert runs(request.args[1]["max_gen_toks"] for request in asked) == 2
    units = [(request.args[1]["max_gen_toks"], request.doc["pair_id"]) for request in asked]
    assert runs(units) == len(set(units))
    plain = [made[n] for n in order.in_order([Request(request.args[0]) for request in made])]
    assert [len(request.args[0]) for request in plain] == list(range(30, 0, -1))


def test_chunks_are_of_bounded_size_and_large_ones_of_bounded_images(monkeypatch, scattered):
    assert list(map(len, order.chunks(scattered, 10))) == [10] * 9 + [6]
    assert [n for chunk in order.chunks(scattered, 10) for n in chunk] == order.in_order(scattered)
    monkeypatch.setattr(order, "CHUNK_OF_AUTOMATIC_BATCHES", 10)
    counts = [
        (len(chunk), sum(len(scattered[n].args[2]["visual"]) for n in chunk)) for chunk in order.chunks(scattered, 10)
    ]
    assert max(requests for requests, _ in counts) == 10
    assert max(images for _, images in counts) <= 20
    assert sum(requests for requests, _ in counts) == len(scattered)
    many = [Request("more images than a chunk takes", [grey(n) for n in range(50)]) for _ in range(3)]
    assert order.chunks(many, 10) == [[0], [1], [2]]


def test_equal_images_are_known_by_their_bytes_and_sheets_are_not_drawn_for_it(monkeypatch):
    monkeypatch.setattr(Sheet, "_encode", lambda self: pytest.fail("a sheet was drawn"))
    monkeypatch.setattr(Sheet, "_measure", lambda self: (4, 4))
    stored = [noise(n, coloured=True) for n in range(3)]
    one, same, other = (Picture(lambda n=n: stored[n]) for n in (0, 0, 1))
    assert fingerprint(one) == fingerprint(same) == image_hash(one) != fingerprint(other)
    assert fingerprint(Sheet([one, other])) == fingerprint(Sheet([same, other])) != fingerprint(Sheet([other, one]))
    assert fingerprint(grey(3)) == fingerprint(grey(3)) != fingerprint(grey(4))


@pytest.mark.parametrize(("count", "workers"), [(12, 3), (13, 4), (2, 3), (5, 1)])
def test_workers_to_whom_requests_are_dealt_in_turn_get_neighbours(count, workers):
    shares = []

    def ask(requests):
        dealt = [list(each) for each in distribute(workers, requests)]  # as the harness does for vLLM
        shares.extend(dealt)
        return list(interleave_longest(*[[f"re: {one}" for one in each] for each in dealt]))

    requests = list(range(count))
    assert order.dealt(ask, workers)(requests) == [f"re: {n}" for n in requests]
    assert [n for share in shares for n in share] == requests


# --- in the harness --------------------------------------------------------------------------------------------------

LEAVES = [
    *(f"mis_ground_ct_axial_{kind}_none" for kind in ("anatomical", "directional", "relational")),
    "mis_ground_ct_axial_directional_text_box",
]


class Sorting(LM):
    """Answers as the harness's models do: sorts by length, answers in batches, puts the answers back in place."""

    MULTIMODAL = True

    def __init__(self, batch):
        super().__init__()
        self.batch_size = batch
        self.asked, self.calls = [], []

    def generate_until(self, requests, disable_tqdm=False):
        self.calls.append(len(requests))
        sorter = Collator(
            [request.args for request in requests],
            lambda x: (-len(x[0]), x[0]),
            group_by="gen_kwargs",
            group_fn=lambda x: x[1],
        )
        answers = []
        for batch in sorter.get_batched(n=int(self.batch_size) if self.batch_size != "auto" else 0):
            for prompt, _, more in batch:
                (image,) = map(image_hash, more["visual"])
                self.asked.append(image)
                answers.append(("right", "left")[int(image[:8], 16) + len(prompt) & 1])
        return sorter.get_original(answers)

    loglikelihood = loglikelihood_rolling = None


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Scores four cells, whose rows have the same images; gives the results, as far as they do not name the run."""
    folder = write_dataset(tmp_path_factory.mktemp("order") / "ground", rows_per_cell=6, modalities=("ct",))
    tasks = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(folder)})

    def score(model):
        found = simple_evaluate(model, tasks=LEAVES, task_manager=tasks, bootstrap_iters=0)
        return {name: found[name] for name in ("results", "samples")}

    return score


@pytest.fixture(scope="module")
def plain(scored):
    """What the harness does by itself."""
    model = Sorting(4)
    return model, scored(model)


@pytest.mark.parametrize(
    ("batch", "stored", "calls"),
    [(1, True, [8, 8, 8]), (1, False, [24]), (4, True, [8, 8, 8]), ("auto", True, [24]), ("auto", False, [24])],
)
def test_the_order_changes_and_results_do_not(plain, scored, batch, stored, calls, tmp_path):
    before, expected = plain
    model = Watch(tmp_path if stored else None).over("any", {}, Sorting(batch))
    assert json.dumps(scored(model), default=str) == json.dumps(expected, default=str)
    assert Counter(model.asked) == Counter(before.asked)
    assert runs(model.asked) == len(set(model.asked)) == 6 < runs(before.asked)
    assert model.calls == calls


def test_where_a_model_takes_all_for_one_batch_it_gets_chunks_and_progress_is_shown(monkeypatch, plain, scored):
    monkeypatch.setattr(answer_store, "CHUNK_OF_AUTOMATIC_BATCHES", 9)
    stream = io.StringIO()
    watch = Watch(console=Console(file=stream, force_terminal=True, width=120))
    model = watch.over("any", {}, Sorting("auto"))
    assert json.dumps(scored(model), default=str) == json.dumps(plain[1], default=str)
    assert model.calls == [9, 9, 6]
    assert "24/24" in stream.getvalue()


def test_a_run_that_was_stopped_goes_on_in_the_same_order(plain, scored, tmp_path):
    class Stopped(Sorting):
        def generate_until(self, requests, disable_tqdm=False):
            if len(self.calls) == 2:
                raise KeyboardInterrupt
            return super().generate_until(requests)

    with pytest.raises(KeyboardInterrupt):
        scored(stopped := Watch(tmp_path).over("any", {}, Stopped(4)))
    model = Watch(tmp_path).over("any", {}, Sorting(4))
    assert json.dumps(scored(model), default=str) == json.dumps(plain[1], default=str)
    assert runs(stopped.asked + model.asked) == 6
    assert len(stopped.asked + model.asked) == 24


def test_the_harness_sorts_by_length_again_afterwards(plain, scored):
    with as_given():
        pass
    again = Sorting(4)
    scored(again)
    assert again.asked == plain[0].asked


def test_a_model_that_hands_each_answer_over_is_asked_in_order_too(plain, scored, tmp_path):
    class Each(Sorting):
        def ask_each(self, requests, keep):
            asked = Sorting.generate_until(self, list(requests))
            for number, answer in enumerate(asked):
                keep(number, Reply(answer))
            return list(map(Reply, asked))

    for folder in (tmp_path, None):
        with as_given():
            found = scored(model := Watch(folder).over("any", {}, Each(1)))
        assert json.dumps(found["results"], default=str) == json.dumps(plain[1]["results"], default=str)
        assert runs(model.asked) == 6
