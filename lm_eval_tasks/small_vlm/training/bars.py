"""The small model's scores by what was asked: ``python bars.py RESULTS`` prints a table in Markdown.

RESULTS is what ``mis-ground eval --log_samples --output_path RESULTS`` wrote. Intervals are 95 % intervals by volume.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster_statistics import proportion

MARKERS = ("point", "box", "mask")
AXES = ("right_left", "anterior_posterior", "superior_inferior")


def groups_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """What a question is counted under."""
    if doc["input"] == "stack":
        yield "stacks"
        return
    if doc["view"] != "plain":
        return
    if doc["terminology"] == "anatomical":
        yield f"naming, {doc['input']}"
    if doc["terminology"] == "relational":
        yield f"relations, {doc['input']}"
    if doc["terminology"] == "directional":
        yield f"directional, {doc['prompt']}, {doc['input']}"
    if doc["terminology"] == "directional" and doc["prompt"] in MARKERS:
        yield f"directional, point, box and mask, {doc['input']}"
        yield f"... {doc['input']}, {doc['frame']} frame, {doc['convention']}"
        yield f"... {doc['input']}, {doc['register']} words"
        kind = doc["template"].partition(".")[0]
        yield f"... {doc['input']}, {'axes of the picture' if kind in (*AXES, *IMAGE) else 'midline and limb'}"


IMAGE = ("image_horizontal", "image_vertical")


def samples_of(results: Path) -> list[dict[str, Any]]:
    """Every answered question."""
    lines = [line for path in sorted(results.rglob("samples_*.jsonl")) for line in path.read_text().splitlines()]
    return [sample for sample in map(json.loads, lines) if not sample["doc"].get("empty")]


def share(scores: Sequence[float], volumes: Sequence[str]) -> str:
    """A mean with its interval, in per cent."""
    return proportion(scores, volumes).per_cent()


def table(samples: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy and pair accuracy of each group."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for sample in samples:
        for name in groups_of(sample["doc"]):
            groups[name].append(sample)
    lines = ["| questions | items | acc | pairs | pair_acc | invalid |", "|---|---|---|---|---|---|"]
    for name, of in sorted(groups.items()):
        pairs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for sample in of:
            if sample["doc"]["pair_id"]:
                pairs[sample["doc"]["pair_id"]].append(sample)
        whole = [pair for pair in pairs.values() if len(pair) == 2]
        acc = share([s["acc"] for s in of], [s["doc"]["subject"] for s in of])
        both = share([min(s["acc"] for s in pair) for pair in whole], [p[0]["doc"]["subject"] for p in whole])
        invalid = sum(s["invalid"] for s in of) / len(of)
        lines.append(f"| {name} | {len(of):,} | {acc} | {len(whole):,} | {both} | {100 * invalid:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    print(table(samples_of(parser.parse_args().results)))
