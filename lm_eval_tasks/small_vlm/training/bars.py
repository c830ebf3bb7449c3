"""The small model's scores by what was asked: ``python bars.py NAME=RESULTS ...`` prints the card's table in Markdown.

RESULTS is what ``mis-ground eval --log_samples --output_path RESULTS`` wrote. Intervals are 95 % intervals by volume.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from cluster_statistics import proportion

MARKERS = ("point", "box", "mask")
AXES = ("right_left", "anterior_posterior", "superior_inferior", "image_horizontal", "image_vertical")
BLANK = " on a blank canvas"

Sample = Mapping[str, Any]


def groups_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """What a question is counted under."""
    if doc["input"] == "stack":
        yield "stacks"
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
    return [*listed, "stacks", *(f"{name}{BLANK}" for name in listed)]


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", metavar="NAME=RESULTS")
    given = (place.partition("=") for place in parser.parse_args().results)
    print(table({name: samples_of(Path(place)) for name, _, place in given}))
