"""The small model's scores by what was asked: ``python bars.py NAME=RESULTS ...`` prints the card's tables in Markdown.

RESULTS is what ``mis-ground eval --log_samples --output_path RESULTS`` wrote. Intervals are 95 % intervals by volume.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

from cluster_statistics import proportion
from lm_eval_tasks.mis_ground.prompts import answer_type_of

MARKERS = ("point", "box", "mask")
AXES = ("right_left", "anterior_posterior", "superior_inferior", "image_horizontal", "image_vertical")
BLANK = " on a blank canvas"
STACK_KINDS = {
    "first": "first or last image",
    "last": "first or last image",
    "largest": "largest in which image",
    "order": "order of three",
}
NEAR = 0.15
"""A number is near if it is wrong by at most this share."""

Sample = Mapping[str, Any]


def groups_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """What a question with options is counted under."""
    if answer_type_of(doc) != "choice":
        return
    if doc["input"] == "stack":
        yield "stacks"
        yield f"... {STACK_KINDS.get(doc['template'].partition('.')[0], 'which way')}"
        return
    if doc["view"] != "plain":
        return
    where = BLANK if doc["input"] == "blank" else ""
    if doc["terminology"] == "anatomical":
        yield f"naming (chance 25){where}"
    if doc["terminology"] == "relational":
        yield f"relations{where}"
    if doc["terminology"] == "directional" and doc["prompt"] == "label":
        yield f"directional; label{where}"
    if doc["terminology"] == "directional" and doc["prompt"] in MARKERS:
        yield f"directional; point, box, mask{where}"
        yield f"... frame {doc['frame']}, {doc['convention']}{where}"
        yield f"... {doc['register']} words{where}"
        along = doc["template"].partition(".")[0] in AXES
        yield f"... {'along the axes of the image' if along else 'medial-lateral, proximal-distal'}{where}"


def order() -> list[str]:
    """The groups as the card lists them."""
    parts = ["along the axes of the image", "medial-lateral, proximal-distal"]
    parts += [f"frame {frame}, {name}" for frame, name in product(("image", "patient"), ("radiological", "ras"))]
    parts += ["clinical words", "lay words"]
    listed = ["directional; point, box, mask", *(f"... {part}" for part in parts)]
    listed += ["directional; label", "relations", "naming (chance 25)"]
    stacks = dict.fromkeys((*STACK_KINDS.values(), "which way"))
    return [*listed, "stacks", *(f"... {kind}" for kind in stacks), *(f"{name}{BLANK}" for name in listed)]


def samples_of(results: Path) -> list[dict[str, Any]]:
    """Every answered question."""
    lines = [line for path in sorted(results.rglob("samples_*.jsonl")) for line in path.read_text().splitlines()]
    return [sample for sample in map(json.loads, lines) if not sample["doc"].get("empty")]


def share(scores: Sequence[float], asked: Sequence[Sample]) -> str:
    """A mean with its interval, in per cent."""
    return proportion(scores, [f"{s['doc']['source']}/{s['doc']['subject']}" for s in asked]).per_cent()


def cells(samples: Sequence[Sample]) -> list[str]:
    """Number of questions, accuracy and pair accuracy."""
    pairs: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        pairs[sample["doc"]["pair_id"]].append(sample)
    whole = [pair for pair_id, pair in pairs.items() if pair_id and len(pair) == 2]
    both = share([min(sample["acc"] for sample in pair) for pair in whole], [pair[0] for pair in whole])
    return [f"{len(samples):,}", share([sample["acc"] for sample in samples], samples), both]


def table(runs: Mapping[str, Sequence[Sample]]) -> str:
    """Accuracy and pair accuracy of each group, run beside run."""
    groups: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for run, samples in runs.items():
        for sample in samples:
            for name in groups_of(sample["doc"]):
                groups[name][run].append(sample)
    head = [column for run in runs for column in (f"{run}: items", "acc", "pair_acc")]
    lines = [f"| questions | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|"]
    for name in order():
        if name in groups:
            lines.append(f"| {' | '.join([name, *(cell for run in runs for cell in cells(groups[name][run]))])} |")
    return "\n".join(lines)


def place_groups_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """What a question for a box or point is counted under."""
    kind = answer_type_of(doc)
    if kind not in ("box", "point"):
        return
    if doc["input"] == "stack":
        yield f"{kind}; in the image of a stack that shows most of it"
    elif doc["view"] != "plain":
        yield f"{kind}; {doc['view']}"
    else:
        told = doc["template"].partition(".")[0]
        yield f"{kind}; {'named' if told == 'place' else 'described'}"


def number_groups_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """What a question for a number is counted under."""
    if answer_type_of(doc) == "number":
        scale = {"text": "pixel size stated", "bar": "scale bar", "none": "ratio"}.get(doc["scale"] or "", "degrees")
        yield f"{doc['relation']}; {scale}"
        if doc["unit"] == "mm":
            yield "all lengths in mm"
            if doc["relation"] == "distance":
                yield "distance; both"


def quantity_table(
    samples: Sequence[Sample],
    groups: Callable[[Mapping[str, Any]], Iterator[str]],
    columns: Mapping[str, Callable[[Sequence[Sample]], str]],
) -> str:
    """One row a group, in the alphabet's order.

    Args:
        samples: of one run.
        groups: those that a document belongs to.
        columns: by heading.
    """
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        for name in groups(sample["doc"]):
            found[name].append(sample)
    lines = [f"| questions | items | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    for name, asked in sorted(found.items()):
        lines.append(f"| {name} | {len(asked):,} | {' | '.join(column(asked) for column in columns.values())} |")
    return "\n".join(lines)


def _share_of(metric: Callable[[Sample], float]) -> Callable[[Sequence[Sample]], str]:
    return lambda asked: share([metric(sample) for sample in asked], asked)


def _centre_mm(asked: Sequence[Sample]) -> str:
    """Mean and median distance of what was said from the truth, of valid answers."""
    found = [s[name] for s in asked for name in ("centre_mm", "distance_mm") if name in s]
    return f"{mean(found):.1f} / {median(found):.1f}" if found else "-"


PLACE_COLUMNS: Mapping[str, Callable[[Sequence[Sample]], str]] = {
    "mean IoU": lambda asked: share([s["iou"] for s in asked], asked) if "iou" in asked[0] else "",
    "acc": _share_of(lambda sample: sample["acc"]),
    "mm from the truth, mean / median": _centre_mm,
    "prior acc": _share_of(lambda sample: sample.get("prior_acc", 0.0)),
}
NUMBER_COLUMNS: Mapping[str, Callable[[Sequence[Sample]], str]] = {
    "within 15 %": _share_of(lambda sample: float(abs(sample.get("bias", 9.0)) <= NEAR)),
    "acc": _share_of(lambda sample: sample["acc"]),
    "mean relative accuracy": _share_of(lambda sample: sample.get("mra", 0.0)),
    "prior acc": _share_of(lambda sample: sample.get("prior_acc", 0.0)),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", metavar="NAME=RESULTS")
    given = (place.partition("=") for place in parser.parse_args().results)
    runs = {name: samples_of(Path(place)) for name, _, place in given}
    print(table(runs))
    for name, samples in runs.items():
        for groups, columns in ((place_groups_of, PLACE_COLUMNS), (number_groups_of, NUMBER_COLUMNS)):
            print(f"\n{name}:\n\n{quantity_table(samples, groups, columns)}")
