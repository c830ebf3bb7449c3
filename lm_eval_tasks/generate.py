"""Writes the harness's task files from one table of factors: ``python -m lm_eval_tasks.generate [DIR]``.

A test holds the files in ``mis_ground/`` to this script. What all tasks share is in ``mis_ground/_template_yaml``.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from dataset_builder.core.factors import DRAWN_PROMPTS, MODALITIES, PLANES, PROMPTS, TERMINOLOGIES, TEXT_PROMPTS, VIEWS

FOLDER = Path(__file__).parent / "mis_ground"
HEADER = "# Made by lm_eval_tasks/generate.py.\n"
HEADLINE_INPUTS = ("slice", "stack")
"""Inputs whose tasks make up the group ``mis_ground``."""
SLICE = {"input": "slice", "view": "plain"}
METRICS = ("acc", "pair_acc", "invalid", "refused", "truncated", "unread")
VERSION = 2.0
"""Version of the groups; that of the tasks is in the template. Moves, with a line in the README's changelog,
whenever scores can move."""


@dataclass(frozen=True)
class Leaf:
    """One task.

    Args:
        name: of the task.
        where: column values that choose its rows.
        tags: factor values that it can also be reached by.
        blind: whether its images are held back.
    """

    name: str
    where: Mapping[str, str]
    tags: tuple[str, ...] = ()
    blind: bool = False

    def text(self) -> str:
        """The task file."""
        lines = ["include: _template_yaml", f"task: {self.name}"]
        if self.tags:
            lines += ["tag:", *(f"  - mis_ground_tag_{tag}" for tag in self.tags)]
        if self.blind:
            lines += ["doc_to_text: !function utils.doc_to_blind_text", "doc_to_image: null"]
        lines += ["dataset_kwargs:", "  where:", *(f"    {column}: {value}" for column, value in self.where.items())]
        return HEADER + "\n".join(lines) + "\n"


def leaves() -> Iterator[Leaf]:
    """The table: every task there is."""
    for modality, plane, terminology, prompt in product(MODALITIES, PLANES, TERMINOLOGIES, PROMPTS):
        where = {"modality": modality, "plane": plane, "terminology": terminology, "prompt": prompt}
        name = f"mis_ground_{modality}_{plane}_{terminology}_{prompt}"
        yield Leaf(name, SLICE | where, tags=("slice", *where.values()))
    for modality, plane in product(MODALITIES, PLANES):
        where = {"modality": modality, "plane": plane}
        yield Leaf(f"mis_ground_stack_{modality}_{plane}", {"input": "stack"} | where, tags=("stack", *where.values()))
    # Controls: reached by name, by their own tag and by the pattern, never part of the headline.
    for prompt in DRAWN_PROMPTS:
        yield Leaf(f"mis_ground_blank_{prompt}", {"input": "blank", "prompt": prompt}, tags=("blank",))
    for view in VIEWS[1:]:
        yield Leaf(f"mis_ground_view_{view}", {"input": "slice", "view": view}, tags=("view",))
    for prompt in ("none", *TEXT_PROMPTS):
        yield Leaf(f"blind_mis_ground_{prompt}", SLICE | {"prompt": prompt}, blind=True)


def group(name: str, members: Iterator[str]) -> str:
    """The file of a group: means over its members, weighted by their sizes."""
    lines = [f"group: {name}", "task:", *(f"  - {member}" for member in members), "aggregate_metric_list:"]
    for metric in METRICS:
        lines += [f"  - metric: {metric}", "    aggregation: mean", "    weight_by_size: true"]
    return HEADER + "\n".join([*lines, "metadata:", f"  version: {VERSION}"]) + "\n"


def files() -> dict[str, str]:
    """Every generated file: name and text."""
    table = list(leaves())
    made = {f"{leaf.name}.yaml": leaf.text() for leaf in table}
    made["mis_ground.yaml"] = group("mis_ground", (f"mis_ground_tag_{tag}" for tag in HEADLINE_INPUTS))
    made["blind_mis_ground.yaml"] = group("blind_mis_ground", (leaf.name for leaf in table if leaf.blind))
    return made


def main(folder: Path = FOLDER) -> None:
    """Write all files and remove those that are no longer made."""
    made = files()
    for old in folder.glob("*.yaml"):
        if old.name not in made and old.read_text(encoding="utf-8").startswith(HEADER):
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
