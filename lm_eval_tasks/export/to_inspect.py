"""What the files for Inspect state: its tasks and how many questions each has in the data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tasks.export.benchmark import Benchmark
from lm_eval_tasks.generate import TASK_VERSION

TRIED = "0.3.285"
"""The version of inspect-ai that the files were tried with."""

TASKS = {
    "mis_ground": ("mis_ground", "where is A from B, on slices and across stacks of slices; the headline"),
    "mis_ground_controls": (
        "mis_ground_blank_*,mis_ground_view_*,mis_ground_statement_*,mis_ground_options_*",
        "a blank canvas; other images for the same words; other ways to ask and to list options",
    ),
    "mis_ground_locate": ("mis_ground_locate_*", "answers are points and boxes"),
    "mis_ground_measure": ("measure_mis_ground", "answers are lengths, angles and ratios"),
    "mis_ground_blind": ("blind_mis_ground", "the text baseline: no images"),
}
"""Inspect's tasks: the tasks that each asks by default (as in mis_ground.py; a test compares them), and about what."""


PAPER = "Medical Image Spatial Grounding with Semantic Sampling"
ARXIV = "https://arxiv.org/abs/2603.14579"
TITLE = "MIS-Ground: Spatial Grounding in Medical Images"
DESCRIPTION = (
    "Asks where anatomy lies in CT and MRI slices and stacks of slices, in the patient and in the image, varied one "
    "factor at a time: modality, plane, convention, terminology, and how structures are marked. An independent "
    "implementation."
)
"""One line, as the register asks for."""

ENTRY_HEADER = """\
# For the register of Inspect Evals: a file register/{name}/eval.yaml of github.com/UKGovernmentBEIS/inspect_evals.
# Enter the address of the public repository that holds this export, one of its commits (40 digits), and yourself.
"""
TO_ENTER = {
    "repository_url": "https://github.com/OWNER/REPOSITORY",
    "repository_commit": "0" * 40,
    "maintainers": ["OWNER"],
}
"""What only the person who registers the export knows."""


def make(benchmark: Benchmark, folder: Path, common: Mapping[str, Any]) -> dict[str, Any]:
    """Write an entry for the register of each task; returns what the templates state."""
    counted: list[dict[str, Any]] = [
        {
            "name": name,
            "questions": benchmark.count([leaf for each in wanted.split(",") for leaf in benchmark.matching(each)]),
            "about": about,
        }
        for name, (wanted, about) in TASKS.items()
    ]
    tasks = [task for task in counted if task["questions"]]
    for task in tasks:
        path = folder / "register" / task["name"] / "eval.yaml"
        path.parent.mkdir(parents=True)
        text = yaml.safe_dump(entry(task), sort_keys=False, allow_unicode=True, width=1_000)
        path.write_text(ENTRY_HEADER.format(name=task["name"]) + text, encoding="utf-8")
    return {
        "tasks": tasks,
        "title": TITLE,
        "description": DESCRIPTION,
        "arxiv": ARXIV,
        "version_tag": f"{TASK_VERSION:.0f}-A",
        "tried": TRIED,
    }


def entry(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the register says of a task: it has an entry for each."""
    name = task["name"]
    of_task = "" if name == "mis_ground" else f" ({name.removeprefix('mis_ground_')})"
    return {
        "full_title": f"{TITLE}{of_task}",
        "common_title": f"MIS-Ground{of_task}",
        "paper_title": PAPER,
        "description": f"{DESCRIPTION} This task: {task['about']}.",
        "arxiv": ARXIV,
        "contributors": ["OWNER"],
        "tasks": [{"name": name, "task_path": "mis_ground/mis_ground.py", "dataset_samples": task["questions"]}],
        "source": TO_ENTER,
    }
