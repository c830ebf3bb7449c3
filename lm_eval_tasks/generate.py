"""Writes the harness's task files from one table of factors: ``python -m lm_eval_tasks.generate [DIR]``.

A test holds the files in ``mis_ground/`` to this script. What all tasks share is in ``mis_ground/_template_yaml``.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from dataset_builder.core.factors import (
    DRAWN_PROMPTS,
    MODALITIES,
    OPTION_FORMS,
    PLANES,
    PROMPTS,
    STATEMENTS,
    TERMINOLOGIES,
    TEXT_PROMPTS,
    TURNED_VIEWS,
    VIEWS,
    AnswerType,
)
from lm_eval_tasks.mis_ground.metrics import LOWER_IS_BETTER, MEDIANS, PLACE_METRICS

FOLDER = Path(__file__).parent / "mis_ground"
HEADER = "# Made by lm_eval_tasks/generate.py.\n"
HEADLINE_INPUTS = ("slice", "stack")
"""Inputs whose tasks make up the group ``mis_ground``."""
PLACES: tuple[AnswerType, ...] = ("box", "point")
SLICE = {"input": "slice", "view": "plain"}
METRICS = ("acc", "pair_acc", "invalid", "refused", "truncated", "unread")
GROUP_METRICS = {"measure_mis_ground": (*METRICS, "mra")}
"""Of groups that show others than `METRICS`."""
TAG = "mis_ground_tag_"
MEASUREMENTS = {
    "distance": ("distance",),
    "diameter": ("longest diameter", "perpendicular diameter", "body thickness"),
    "angle": ("angle",),
}
"""What each task of measurements asks for, by the column ``relation``."""
TASK_VERSION = 2.0
"""Version of the tasks, as the template has it; a test compares them."""
VERSION = 2.0
"""Version of the groups. Moves, with a line in the README's changelog,
whenever scores can move."""


@dataclass(frozen=True)
class Leaf:
    """One task.

    Args:
        name: of the task.
        where: column values that choose its rows.
        tags: factor values that it can also be reached by.
        blind: whether its images are held back.
        answer_type: what its questions ask for.
    """

    name: str
    where: Mapping[str, str | Sequence[str]]
    tags: tuple[str, ...] = ()
    blind: bool = False
    answer_type: AnswerType = "choice"

    def text(self) -> str:
        """The task file."""
        lines = ["include: _template_yaml", f"task: {self.name}"]
        if self.tags:
            lines += ["tag:", *(f"  - {TAG}{tag}" for tag in self.tags)]
        if self.blind:
            lines += ["doc_to_text: !function utils.doc_to_blind_text", "doc_to_image: null"]
        lines += [
            "dataset_kwargs:",
            "  where:",
            *(f"    {column}: {_value(value)}" for column, value in self.where.items()),
        ]
        if self.answer_type != "choice":
            lines += ["metric_list:", *metric_lines((*METRICS, *PLACE_METRICS[self.answer_type], "empty"))]
        return HEADER + "\n".join(lines) + "\n"


def _value(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"


def metric_lines(metrics: Sequence[str]) -> Iterator[str]:
    """The lines of a task's metrics."""
    own = {"pair_acc": "!function utils.pair_acc"} | dict.fromkeys(MEDIANS, "!function utils.median")
    for metric in metrics:
        yield f"  - metric: {metric}"
        yield f"    aggregation: {own.get(metric, 'mean')}"
        yield f"    higher_is_better: {'false' if metric in LOWER_IS_BETTER else 'true'}"


def leaves() -> Iterator[Leaf]:
    """The table: every task there is."""
    where: dict[str, str]
    for modality, plane, terminology, prompt in product(MODALITIES, PLANES, TERMINOLOGIES, PROMPTS):
        where = {"modality": modality, "plane": plane, "terminology": terminology, "prompt": prompt}
        name = f"mis_ground_{modality}_{plane}_{terminology}_{prompt}"
        yield Leaf(name, SLICE | where, tags=("slice", *where.values()))
    for modality, plane in product(MODALITIES, PLANES):
        where = {"modality": modality, "plane": plane}
        yield Leaf(f"mis_ground_stack_{modality}_{plane}", {"input": "stack"} | where, tags=("stack", *where.values()))
    # Outside the headline: answers that are no options.
    for kind in PLACES:
        where = {"answer_type": kind, "view": "plain"}
        yield Leaf(f"mis_ground_locate_{kind}", where, tags=("locate",), answer_type=kind)
        moved: dict[str, str | Sequence[str]] = {"answer_type": kind, "view": TURNED_VIEWS}
        yield Leaf(f"mis_ground_locate_{kind}_moved", moved, tags=("locate_moved",), answer_type=kind)
    for name, relations in MEASUREMENTS.items():
        chosen: dict[str, str | Sequence[str]] = {"answer_type": "number", "relation": relations}
        yield Leaf(f"mis_ground_measure_{name}", chosen, tags=("measure",), answer_type="number")
    # Controls: reached by name, by their own tag and by the pattern, never part of the headline.
    for prompt in DRAWN_PROMPTS:
        yield Leaf(f"mis_ground_blank_{prompt}", {"input": "blank", "prompt": prompt}, tags=("blank",))
    for view in VIEWS[1:]:
        yield Leaf(f"mis_ground_view_{view}", {"input": "slice", "view": view}, tags=("view",))
    for statement in STATEMENTS[1:]:
        yield Leaf(f"mis_ground_statement_{statement}", SLICE | {"statement": statement}, tags=("statement",))
    for name, forms in (("shifted", OPTION_FORMS[1:-1]), ("yes_no", OPTION_FORMS[-1:])):
        offered: dict[str, str | Sequence[str]] = {**SLICE, "option_form": forms}
        yield Leaf(f"mis_ground_options_{name}", offered, tags=("options",))
    for prompt in ("none", *TEXT_PROMPTS):
        yield Leaf(f"blind_mis_ground_{prompt}", SLICE | {"prompt": prompt}, blind=True)


def group(name: str, members: Iterable[str], metrics: Sequence[str] = METRICS) -> str:
    """The file of a group: means over its members, weighted by their sizes."""
    lines = [f"group: {name}", "task:", *(f"  - {member}" for member in members), "aggregate_metric_list:"]
    for metric in metrics:
        lines += [f"  - metric: {metric}", "    aggregation: mean", "    weight_by_size: true"]
    return HEADER + "\n".join([*lines, "metadata:", f"  version: {VERSION}"]) + "\n"


def groups() -> dict[str, list[str]]:
    """The groups: the tags or tasks that each is made of.

    The pattern mis_ground_* must not match their names: a task that is reached twice stops the harness.
    """
    return {
        "mis_ground": [f"{TAG}{tag}" for tag in HEADLINE_INPUTS],
        "blind_mis_ground": [leaf.name for leaf in leaves() if leaf.blind],
        "locate_mis_ground": [f"{TAG}locate"],
        "measure_mis_ground": [f"{TAG}measure"],
    }


def files() -> dict[str, str]:
    """Every generated file: name and text."""
    made = {f"{leaf.name}.yaml": leaf.text() for leaf in leaves()}
    for name, members in groups().items():
        made[f"{name}.yaml"] = group(name, members, GROUP_METRICS.get(name, METRICS))
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
