"""Compares decodings on MIS-Ground: ``python -m lm_eval_tasks.compare_decoding MODEL --tasks TASKS --out DIR``.

Plain greedy decoding, MIS-SemSam as published, MIS-SemSam with our antonym guard, and min-p sampling answer the same
items. The model is loaded once; each decoding's answers are kept in ``DIR/runs``, so that an interrupted comparison
resumes. The table is written to ``DIR/decodings.md``.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster_statistics import FEW_CLUSTERS, Difference, paired_difference
from lm_eval_tasks.mis_ground.metrics import read_reply
from semsam.errors import SemSamError
from semsam.experiments.runs import Item, Run, check_own
from semsam.experiments.sweep import add_runner_arguments, check_cluster, runner_of
from semsam.settings import Settings

OFF = Settings(strength=0)


@dataclass(frozen=True)
class Decoding:
    """A way to decode.

    Args:
        name: in the table.
        settings: of MIS-SemSam; off by default.
        generation: the harness's generation settings that differ from the tasks' own.
    """

    name: str
    settings: Settings = OFF
    generation: Mapping[str, Any] = field(default_factory=dict)


PLAIN = Decoding("plain")


def decodings(settings: Settings) -> list[Decoding]:
    """The compared decodings, plain decoding first.

    Args:
        settings: K, M and top-p of MIS-SemSam.
    """
    return [
        PLAIN,
        Decoding("published rule", settings),
        Decoding("antonym guard", replace(settings, guard="antonyms")),
        Decoding("min-p", generation={"do_sample": True, "temperature": 1.0, "min_p": 0.1, "top_p": 1.0, "top_k": 0}),
    ]


def answer(item: Item) -> str | None:
    """The option that an item's reply gives."""
    return read_reply(item.document, item.reply).option


@dataclass(frozen=True)
class Cluster:
    """The cluster that an item shares with others that are easy or hard together.

    Args:
        unit: what it is called.
        units: the same, of several.
        of: its name for an item.
    """

    unit: str
    units: str
    of: Callable[[Item], str]


STRUCTURES = Cluster(
    "set of structures", "sets of structures", lambda item: "/".join(sorted(item.document["structures"]))
)
"""Without images, questions about the same structures hardly differ, whichever slice or volume they come from."""

VOLUME = Cluster("volume", "volumes", lambda item: f"{item.document['source']}/{item.document['subject']}")


def cluster_by(column: str | None, sees_images: bool) -> Cluster:
    """The cluster that intervals are by: the column that was asked for, else what suits the model."""
    if column is None:
        return VOLUME if sees_images else STRUCTURES
    return Cluster(column, f"values of {column}", lambda item: str(item.document[column]))


def pair_scores(items: Sequence[Item], cluster: Cluster = STRUCTURES) -> tuple[list[float], list[str]]:
    """For each whole pair, in order of appearance: whether both of its items were answered rightly; and its cluster."""
    pairs: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        if item.document["pair_id"]:
            pairs[item.task, item.document["pair_id"]].append(item)
    whole = [pair for pair in pairs.values() if len(pair) == 2]
    return [float(all(item.score for item in pair)) for pair in whole], [cluster.of(pair[0]) for pair in whole]


@dataclass(frozen=True)
class Comparison:
    """A decoding compared with plain decoding.

    Args:
        accuracy: share of right answers.
        accuracy_difference: from plain decoding.
        pair_accuracy: share of pairs with both right.
        pair_difference: from plain decoding; None without whole pairs.
        invalid: share of answers in which no option was found.
        changed_answers: share of items with another reply.
        changed_tokens: share of the replies' tokens, place by place, that are others.
        flips: directional items whose answer became the opposite term ...
        flips_helped: ... of which from wrong to right.
        directional: directional items.
        rescored: share of generated tokens at which the rule did not defer; None without the rule.
        put_first: share of generated tokens at which the rule put another token first; None without the rule.
    """

    accuracy: float
    accuracy_difference: Difference
    pair_accuracy: float
    pair_difference: Difference | None
    invalid: float
    changed_answers: float
    changed_tokens: float
    flips: int
    flips_helped: int
    directional: int
    rescored: float | None
    put_first: float | None


def compare(plain: Run, other: Run, tokenizer: Any, cluster: Cluster = STRUCTURES) -> Comparison:
    """Compare two runs over the same items.

    Args:
        plain: the run under plain decoding.
        other: the other run.
        tokenizer: the model's; replies are compared token by token.
        cluster: the unit of the intervals.
    """
    both = list(zip(plain.items, other.items, strict=True))
    scores, plain_scores = ([item.score for item in run.items] for run in (other, plain))
    pairs, pair_clusters = pair_scores(other.items, cluster)
    plain_pairs, _ = pair_scores(plain.items, cluster)
    directional = [(before, after) for before, after in both if before.document["terminology"] == "directional"]
    flipped = [(b, a) for b, a in directional if answer(b) is not None and answer(a) not in (None, answer(b))]
    different = total = 0
    for before, after in both:
        first, second = (tokenizer.encode(item.reply, add_special_tokens=False) for item in (before, after))
        length = max(len(first), len(second))
        total += length
        different += length - sum(a == b for a, b in zip(first, second, strict=False))
    return Comparison(
        accuracy=_mean(scores),
        accuracy_difference=paired_difference(
            plain_scores, scores, [cluster.of(item) for item in other.items], cluster.unit
        ),
        pair_accuracy=_mean(pairs),
        pair_difference=paired_difference(plain_pairs, pairs, pair_clusters, cluster.unit) if pairs else None,
        invalid=_mean([float(answer(item) is None) for item in other.items]),
        changed_answers=_mean([float(before.reply != after.reply) for before, after in both]),
        changed_tokens=different / max(total, 1),
        flips=len(flipped),
        flips_helped=sum(after.score > before.score for before, after in flipped),
        directional=len(directional),
        rescored=other.rescored / other.steps if other.steps else None,
        put_first=other.changed / other.steps if other.steps else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


HEADINGS = (
    *("decoding", "acc", "difference", "pair_acc", "difference", "invalid", "answers changed", "tokens changed"),
    *("flips of opposites (helped)", "steps re-scored", "steps changed"),
)


def table(comparisons: Mapping[str, Comparison]) -> str:
    """The comparisons as a Markdown table, shares in percent."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for name, one in comparisons.items():
        is_plain = name == PLAIN.name
        cells = [
            name,
            f"{100 * one.accuracy:.1f}",
            "" if is_plain else str(one.accuracy_difference),
            f"{100 * one.pair_accuracy:.1f}" if one.pair_difference else "-",
            "" if is_plain else str(one.pair_difference or "-"),
            f"{100 * one.invalid:.1f}",
            "" if is_plain else f"{100 * one.changed_answers:.1f}",
            "" if is_plain else f"{100 * one.changed_tokens:.1f}",
            "" if is_plain else f"{one.flips} of {one.directional} ({one.flips_helped})",
            "" if one.rescored is None else f"{100 * one.rescored:.1f}",
            "" if one.put_first is None else f"{100 * one.put_first:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def report(runs: Mapping[str, Run], tokenizer: Any, cluster: Cluster = STRUCTURES) -> str:
    """The tables: one for each task, and one for all. Intervals are 95 % intervals by cluster."""
    plain = runs[PLAIN.name]
    tasks = sorted({item.task for item in plain.items})
    parts = []
    for title, wanted in [*((task, [task]) for task in tasks), *([("all tasks", tasks)] if len(tasks) > 1 else [])]:
        of_task = {name: _only(run, wanted) for name, run in runs.items()}
        comparisons = {name: compare(of_task[PLAIN.name], run, tokenizer, cluster) for name, run in of_task.items()}
        items = of_task[PLAIN.name].items
        clusters = len({cluster.of(item) for item in items})
        units = cluster.unit if clusters == 1 else cluster.units
        few = f"; † fewer than {FEW_CLUSTERS}: says little of others" if clusters < FEW_CLUSTERS else ""
        parts.append(f"**{title}** ({len(items)} items, {clusters} {units}{few})\n\n{table(comparisons)}")
    return "\n".join(parts)


def _only(run: Run, tasks: Sequence[str]) -> Run:
    """The run's items of these tasks. Steps are counted over all tasks and go only with all of them."""
    items = [item for item in run.items if item.task in tasks]
    return run if len(items) == len(run.items) else Run(items, 0, 0, 0)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lm_eval_tasks.compare_decoding", description=__doc__.split("\n")[0]
    )
    add_runner_arguments(parser)
    parser.add_argument("--k", type=int, default=Settings.k)
    parser.add_argument("--top-m", type=int, default=Settings.top_m)
    parser.add_argument("--top-p", type=float, default=Settings.top_p)
    arguments = parser.parse_args(argv)
    settings = Settings(k=arguments.k, top_m=arguments.top_m, top_p=arguments.top_p)
    check_own(arguments.out, ("decodings.md",))
    runner = runner_of(arguments)
    runs = {}
    for decoding in decodings(settings):
        folder = arguments.out / "runs" / decoding.name.replace(" ", "-")
        runs[decoding.name] = runner.run(folder, decoding.settings, decoding.generation)
        check_cluster(runs[decoding.name], arguments.cluster)  # before the time for the others is spent
    text = report(runs, runner.tokenizer, cluster_by(arguments.cluster, arguments.vision))
    Path(arguments.out / "decodings.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SemSamError as error:
        sys.exit(f"Error: {error}")
