"""Scores the logged answers of old runs with this package's reader; no model is asked.

New result and sample files are written beside the old ones, under names of their own and in the harness's form; the old
ones stay as they are. ``mis-ground report`` then passes over the old ones.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import BuildError, MISGroundError
from dataset_builder.files.atomic import write_atomically
from lm_eval_tasks.mis_ground.metrics import LOWER_IS_BETTER, MEDIANS, PLACE_METRICS, median, pair_acc, process_results
from lm_eval_tasks.mis_ground.reading import READER_VERSION, STATUSES
from lm_eval_tasks.report.reread import FIRST_READER, Outcome, is_changed, reader_of, reply_of, scored_outcome
from lm_eval_tasks.report.runs import is_ours, load_results, result_files, sample_file, sample_lines, superseded

MEANS = ("acc", "invalid", *(status for status in STATUSES if status != "read"))
METRICS = ("acc", "pair_acc", *MEANS[1:])
OF_PLACES = tuple(dict.fromkeys(metric for metrics in PLACE_METRICS.values() for metric in metrics))
"""Scores of answers that are no options; a sample has those that apply to it."""
RESCORED = "rescored"
"""Key of a result file that says from which one it was made, and by which reader."""


@dataclass(frozen=True)
class Rescored:
    """What became of one result file.

    Args:
        old: the file.
        new: the file that was written; None: nothing to do.
        answers: how many there are.
        changes: how many went from one outcome to another.
        before: accuracy as it was scored; None for a run with ``--predict_only``.
        now: accuracy as it is scored now.
        readers: versions of the reader that scored the old one.
    """

    old: Path
    new: Path | None
    answers: int = 0
    changes: Mapping[tuple[Outcome, Outcome], int] = field(default_factory=dict)
    before: float | None = None
    now: float | None = None
    readers: tuple[str, ...] = ()


def rescore(places: Sequence[Path], again: bool = False) -> list[Rescored]:
    """Score runs again.

    Args:
        places: folders that the harness wrote to, or result files.
        again: score also what this reader has scored already.

    Raises:
        MISGroundError: if there are no results, or the files cannot be read or written.
    """
    files = [path for place in places for path in result_files(place)]
    loaded = {path: results for path in dict.fromkeys(files) if (results := load_results(path)) is not None}
    ours = {path: results for path, results in loaded.items() if any(map(is_ours, results["results"]))}
    if not ours:
        raise MISGroundError(
            "This folder contains no results of MIS-Ground tasks.",
            file=places[0] if places else None,
            remedy="Give the folder of --output_path in: mis-ground eval ... --log_samples --output_path DIR.",
        )
    done = superseded(ours.items())
    return [
        _rescore_file(path, results)
        if again or (path not in done and _is_old(results))
        else Rescored(path, None, readers=_readers(results))
        for path, results in ours.items()
        if RESCORED not in results or _is_old(results)
    ]


def _tasks(results: Mapping[str, Any]) -> list[str]:
    return [task for task in results["results"] if is_ours(task)]


def _readers(results: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted({reader_of(results, task) for task in _tasks(results)}))


def _is_old(results: Mapping[str, Any]) -> bool:
    return set(_readers(results)) != {READER_VERSION} or any(
        "bypass,none" in results["results"][task] for task in _tasks(results)
    )


def _rescore_file(path: Path, results: dict[str, Any]) -> Rescored:
    now = time.time()
    date = datetime.fromtimestamp(now).strftime("%Y-%m-%dT%H-%M-%S.%f")
    changes: Counter[tuple[Outcome, Outcome]] = Counter()
    made = json.loads(json.dumps(results))
    right = {"before": 0, "now": 0}
    answers, unscored = 0, False
    try:
        for task in _tasks(results):
            lines, scores = [], []
            for sample in sample_lines(path, task):
                new, of_sample = _scored(sample)
                lines.append(json.dumps(new, ensure_ascii=False))
                if "empty" in of_sample:
                    continue
                scores.append(of_sample)
                before, after = scored_outcome(sample), scored_outcome(new)
                unscored |= before == "unscored"
                changes[before, after] += is_changed(before, after)
                right["before"] += before == "right"
                right["now"] += after == "right"
            answers += len(scores)
            write_atomically(sample_file(path.parent, task, date), "\n".join(lines) + "\n")
            _put(made, task, scores)
        for group in made.get("group_subtasks", {}):
            _put_group(made, group)
        made |= {"date": now, RESCORED: {"from": path.name, "reader": READER_VERSION}}
        new_path = path.parent / f"results_{date}.json"
        write_atomically(new_path, json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise BuildError("The new results cannot be written.", file=path.parent, value=error.strerror) from error
    return Rescored(
        path,
        new_path,
        answers,
        +changes,
        None if unscored or not answers else right["before"] / answers,
        right["now"] / answers if answers else None,
        _readers(results),
    )


def _scored(sample: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A sample with its new scores, and these."""
    scores = process_results(sample["doc"], [reply_of(sample)])
    kept = {name: value for name, value in sample.items() if name not in {*METRICS, *OF_PLACES, "empty", "bypass"}}
    return kept | {"metrics": list(scores), **scores}, scores


def _put(results: dict[str, Any], task: str, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write a task's means into a result file's content."""
    entry = {name: value for name, value in results["results"][task].items() if not name.endswith(",none")}
    if not scores:
        entry |= {"empty,none": 1.0, "empty_stderr,none": "N/A"}
    for metric in (*MEANS, *OF_PLACES) if scores else ():
        values = [score[metric] for score in scores if metric in score]
        if values and metric in MEDIANS:
            entry |= {f"{metric},none": median(values), f"{metric}_stderr,none": "N/A"}
        elif values:
            entry |= {f"{metric},none": _mean(values), f"{metric}_stderr,none": _standard_error(values)}
    pairs = [score["pair_acc"] for score in scores if "pair_acc" in score]
    if pairs:
        entry |= {"pair_acc,none": pair_acc(pairs), "pair_acc_stderr,none": "N/A"}
    results["results"][task] = entry
    config = results.setdefault("configs", {}).setdefault(task, {})
    config["metadata"] = (config.get("metadata") or {}) | {"reader": READER_VERSION}
    higher = {metric: metric not in LOWER_IS_BETTER for metric in (*METRICS, *OF_PLACES) if f"{metric},none" in entry}
    results.setdefault("higher_is_better", {})[task] = higher


def _put_group(results: dict[str, Any], group: str) -> None:
    """Write a group's means, weighted by size, into a result file's content."""
    leaves = [task for task in _leaves(results, group) if task in results["results"]]
    if group not in results["results"] or not leaves or not all(map(is_ours, leaves)):
        return
    entry = {name: value for name, value in results["results"][group].items() if not name.endswith(",none")}
    members = [results["results"][task] for task in leaves]
    for metric in (*METRICS, "mra"):
        known = [
            (value, own.get("sample_len", 1))
            for own in members
            if (value := own.get(f"{metric},none")) is not None and not math.isnan(value)
        ]
        if known:
            total = sum(size for _, size in known)
            entry[f"{metric},none"] = sum(value * size for value, size in known) / total
            entry[f"{metric}_stderr,none"] = _pooled_error(
                [
                    (own.get(f"{metric}_stderr,none"), own.get("sample_len", 1))
                    for own in members
                    if f"{metric},none" in own
                ]
            )
    results["results"][group] = entry
    if group in results.get("groups", {}):
        results["groups"][group] = dict(entry)


def _leaves(results: Mapping[str, Any], group: str) -> Iterator[str]:
    subtasks = results.get("group_subtasks", {})
    for member in subtasks.get(group, ()):
        if subtasks.get(member):
            yield from _leaves(results, member)
        else:
            yield member


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float | str:
    """As the harness's: of the mean, from the sample's standard deviation."""
    if len(values) < 2:
        return "N/A"
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def _pooled_error(members: Sequence[tuple[Any, int]]) -> float | str:
    """As the harness's, of a group's mean from those of its members: (standard error, size)."""
    total = sum(size for _, size in members)
    if any(not isinstance(error, float) for error, _ in members) or total <= len(members):
        return "N/A"
    variance = sum((size - 1) * error**2 * size for error, size in members) / (total - len(members))
    return math.sqrt(variance / total)


def told_of(done: Iterable[Rescored]) -> Iterator[str]:
    """What was done, a line for each file."""
    from lm_eval_tasks.report.reread import changes_in_words

    for each in done:
        if each.new is None:
            yield f"{each.old}: scored with reader {READER_VERSION} already."
            continue
        changed = sum(each.changes.values())
        how = f": {changes_in_words(each.changes)}" if changed else ""
        if each.before is None or each.now is None:
            yield f"{each.old}: {each.answers:,} answers scored for the first time" + (
                f"; {100 * each.now:.1f} % right." if each.now is not None else "."
            )
        else:
            reader = ", ".join(each.readers or (FIRST_READER,))
            yield (
                f"{each.old}: {changed:,} of {each.answers:,} answers changed from reader {reader} to {READER_VERSION}"
                f"{how}; {100 * each.before:.1f} % -> {100 * each.now:.1f} % right."
            )
        yield f"  {each.new}"
