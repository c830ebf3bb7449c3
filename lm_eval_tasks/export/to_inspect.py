"""What the files for Inspect state: its tasks and how many questions each has in the data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


def make(benchmark: Benchmark, folder: Path, common: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates state; nothing else is to be written."""
    counted = [
        {
            "name": name,
            "questions": benchmark.count([leaf for each in wanted.split(",") for leaf in benchmark.matching(each)]),
            "about": about,
        }
        for name, (wanted, about) in TASKS.items()
    ]
    return {
        "tasks": [task for task in counted if task["questions"]],
        "version_tag": f"{TASK_VERSION:.0f}-A",
        "tried": TRIED,
    }
