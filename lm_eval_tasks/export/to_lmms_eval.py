"""What the files for lmms-eval state, and its task files: the tasks, tags and groups of lm-evaluation-harness."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lm_eval_tasks.export.benchmark import Benchmark
from lm_eval_tasks.generate import GROUP_METRICS, METRICS, TAG, VERSION, Leaf, groups, metric_lines
from lm_eval_tasks.mis_ground.metrics import PLACE_METRICS

TRIED = "0.7.3"
"""The version of lmms-eval that the files were tried with."""

HEADER = "# Written by mis-ground export --to lmms-eval.\n"
TEMPLATE = "_default_template_yaml"


def make(benchmark: Benchmark, folder: Path, common: Mapping[str, Any]) -> dict[str, Any]:
    """Write the task files; returns what the templates state."""
    for name, text in files(benchmark, common).items():
        path = folder / "mis_ground" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = [*groups(), *(f"{TAG}{tag}" for tag in dict.fromkeys(tag for leaf in benchmark.tasks for tag in leaf.tags))]
    counted = [
        {"name": name, "tasks": len(chosen), "questions": benchmark.count(chosen)}
        for name in names
        if (chosen := benchmark.matching(name))
    ]
    return {"groups": counted, "tried": TRIED}


def files(benchmark: Benchmark, source: Mapping[str, Any]) -> dict[str, str]:
    """The task files, by name.

    Args:
        benchmark: the data set and its settings.
        source: ``place``, ``revision``, ``config`` and ``on_hub`` of the data set.
    """
    made = {TEMPLATE: HEADER + "".join(f"{line}\n" for line in template(benchmark, source))}
    made |= {
        f"{leaf.name}.yaml": HEADER + "".join(f"{line}\n" for line in task(leaf, benchmark)) for leaf in benchmark.tasks
    }
    for name, members in groups().items():
        there = [member for member in members if benchmark.matching(member)]
        if there:
            made[f"{name}.yaml"] = group(name, there, GROUP_METRICS.get(name, METRICS))
    return made


def template(benchmark: Benchmark, source: Mapping[str, Any]) -> Iterator[str]:
    """The lines that all tasks share."""
    yield from yaml.safe_dump({"dataset_path": source["place"]}).splitlines()
    if source["config"]:
        yield f"dataset_name: {source['config']}"
    loading: dict[str, Any] = {} if source["config"] else {"data_files": {"test": "data/**/*.parquet"}}
    loading |= {"revision": source["revision"]} if source["revision"] else {}
    if loading:
        yield from yaml.safe_dump({"dataset_kwargs": loading}).splitlines()
    yield from (
        "test_split: test",
        "output_type: generate_until",
        "doc_to_visual: !function utils.doc_to_visual",
        "doc_to_text: !function utils.doc_to_text",
        "doc_to_target: answer",
        "process_results: !function utils.process_results",
        "num_fewshot: 0",
        "cluster_key: cluster",
        *generation(benchmark.settings.budget("choice")),
        "metric_list:",
        *metrics(METRICS),
        "metadata:",
        f"  version: {VERSION}",
        *(f"  {line}" for line in yaml.safe_dump({"license": source["licences"]}).splitlines()),
    )


def generation(budget: int) -> Iterator[str]:
    """Greedy decoding, with no text that ends it."""
    yield from (
        "generation_kwargs:",
        "  do_sample: false",
        "  temperature: 0",
        "  until: []",
        f"  max_new_tokens: {budget}",
    )


def metrics(names: Sequence[str]) -> Iterator[str]:
    """The lines of the metrics; the accuracy is clustered by volume or patient."""
    lines = list(metric_lines(names))
    for number, line in enumerate(lines):
        is_acc = number and lines[number - 1] == "  - metric: acc"
        yield line.replace("mean", "!function utils.mean_acc") if is_acc else line


def task(leaf: Leaf, benchmark: Benchmark) -> Iterator[str]:
    """The lines of a task's file."""
    yield from (f"include: {TEMPLATE}", f"task: {leaf.name}")
    if leaf.tags:
        yield from ("tag:", *(f"  - {TAG}{tag}" for tag in leaf.tags))
    yield f"process_docs: !function utils.{leaf.name}"
    if leaf.blind:
        yield "doc_to_visual: !function utils.no_images"
    if leaf.answer_type != "choice":
        yield from generation(benchmark.settings.budget(leaf.answer_type))
        yield from ("metric_list:", *metrics((*METRICS, *PLACE_METRICS[leaf.answer_type])))


def group(name: str, members: Sequence[str], shown: Sequence[str]) -> str:
    """The file of a group: means over its members, weighted by their sizes."""
    lines = [f"group: {name}", "task:", *(f"  - {member}" for member in members), "aggregate_metric_list:"]
    for metric in shown:
        lines += [f"  - metric: {metric}", "    aggregation: mean", "    weight_by_size: true"]
    return HEADER + "\n".join([*lines, "metadata:", f"  version: {VERSION}"]) + "\n"
