import pytest

from cluster_statistics import paired_difference
from lm_eval_tasks.compare_decoding import compare, decodings, main, report
from lm_eval_tasks.running.evaluate import TASKS
from semsam.experiments.runs import Item, Run
from semsam.settings import Settings
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_models import save_tiny_llama


class Words:
    """A tokenizer whose tokens are words."""

    def encode(self, text: str, add_special_tokens: bool) -> list[str]:
        assert not add_special_tokens
        return text.split()


def item(number: int, reply: str, answer: str, terminology: str = "directional", task: str = "task") -> Item:
    """Numbers 2n and 2n + 1 are a pair; both ask about the same structures."""
    document = {
        "question": "Where is A?\nOptions: left; right",
        "options": ["left", "right"],
        "pair_id": f"pair {number // 2}" if number < 6 else "",
        "structures": ["liver", "spleen"] if number < 2 else ["spleen", f"vertebra {number // 2}"],
        "terminology": terminology,
    }
    return Item(task, number, float(reply.strip(".").split()[-1] == answer), reply, document)


def run(replies: list[str], steps=(0, 0, 0)) -> Run:
    answers = ["left", "right", "left", "right", "left", "right", "left"]
    kinds = ["directional"] * 4 + ["relational"] * 3
    items = [item(n, *texts) for n, texts in enumerate(zip(replies, answers, kinds, strict=True))]
    return Run(items, *steps)


PLAIN = run(["left", "It is left", "right", "right", "left", "right", "none"])
OTHER = run(["left", "It is right", "left", "none", "right", "right", "none"], (10, 5, 2))


def test_a_comparison_counts_what_changed():
    found = compare(PLAIN, OTHER, Words())
    assert found.accuracy == pytest.approx(4 / 7)
    assert found.accuracy_difference.interval.value == pytest.approx(4 / 7 - 4 / 7)
    assert found.pair_accuracy == pytest.approx(1 / 3)  # the pair 0; before it was the pair 2
    assert found.pair_difference.interval.value == pytest.approx(0)
    assert found.invalid == pytest.approx(2 / 7)
    assert found.changed_answers == pytest.approx(4 / 7)
    assert found.changed_tokens == pytest.approx(4 / 9)  # "It is" stands
    # of four directional items two now name the opposite, both rightly; one names nothing; a relational one is none
    assert (found.flips, found.flips_helped, found.directional) == (2, 2, 4)
    assert (found.rescored, found.put_first) == (0.5, 0.2)


def test_items_about_the_same_structures_are_one_cluster():
    found = compare(PLAIN, OTHER, Words())
    scores = [[one.score for one in run.items] for run in (PLAIN, OTHER)]
    assert found.accuracy_difference == paired_difference(
        *scores, ["a", "a", "b", "b", "c", "c", "d"], "set of structures"
    )


def test_a_lone_item_of_a_pair_is_no_pair():
    shorter = [Run(run.items[:5], 0, 0, 0) for run in (PLAIN, OTHER)]
    assert compare(*shorter, Words()).pair_accuracy == pytest.approx(1 / 2)


def test_the_report_has_a_table_for_each_task_and_for_all():
    def of_two_tasks(run: Run) -> Run:
        twice = [Item(task, i.number, i.score, i.reply, i.document) for task in ("a", "b") for i in run.items]
        return Run(twice, run.steps, run.rescored, run.changed)

    text = report({"plain": of_two_tasks(PLAIN), "published rule": of_two_tasks(OTHER)}, Words())
    assert [line for line in text.splitlines() if line.startswith("**")] == [
        "**a** (7 items, 4 sets of structures; † fewer than 5: says little of others)",
        "**b** (7 items, 4 sets of structures; † fewer than 5: says little of others)",
        "**all tasks** (14 items, 4 sets of structures; † fewer than 5: says little of others)",
    ]
    assert "| plain | 57.1 |  | 33.3 |  | 14.3 |" in text
    assert text.splitlines()[-1].endswith("| 28.6 | 57.1 | 44.4 | 4 of 8 (4) | 50.0 | 20.0 |")
    alone = report({"plain": PLAIN, "published rule": OTHER}, Words())
    assert alone.count("**") == 2


def test_plain_decoding_comes_first_and_the_guard_differs_only_in_itself():
    plain, published, guarded, min_p = decodings(Settings(k=4, top_m=9))
    assert (plain.name, plain.settings.strength, min_p.settings.strength) == ("plain", 0, 0)
    assert published.settings == Settings(k=4, top_m=9)
    assert guarded.settings == Settings(k=4, top_m=9, guard="antonyms")
    assert min_p.generation["min_p"] == 0.1


def test_a_comparison_of_a_model_on_a_task(tmp_path, monkeypatch, capsys):
    from lm_eval.tasks import TaskManager

    model = save_tiny_llama(tmp_path / "llama")
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIS_GROUND_DATASET", str(write_dataset(tmp_path / "mis-ground", 2, ("ct",))))
    # of the harness's own tasks there are thousands
    small = TaskManager(include_path=str(TASKS), include_defaults=False)
    monkeypatch.setattr("lm_eval.tasks.TaskManager", lambda **_: small)
    arguments = [str(model), "--tasks", "blind_mis_ground_none", "--limit", "4", "--device", "cpu", "--top-m", "5"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "decodings.md").read_text()
    assert capsys.readouterr().out.endswith(text)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| plain", "| published", "| min-p"))]
    _plain, published, min_p = rows
    assert float(published[6]) > 0  # answers changed
    assert float(min_p[6]) > 0
    assert len(list((tmp_path / "out" / "runs").rglob("*.json"))) == 4
