"""The questions of a study as requests of the harness."""

from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from typing import Any

from lm_eval_tasks.running.checks import TASKS
from lm_eval_tasks.study.plan import Plan


def task_manager(plan: Plan, style: str) -> Any:
    """The harness's tasks, of this package only, on the plan's data set in a style."""
    from lm_eval.tasks import TaskManager

    metadata: dict[str, Any] = {"dataset": plan.dataset, "style": style}
    return TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)


def requests_of(plan: Plan, name: str, style: str, lm: Any) -> list[Any]:
    """All requests for a model in a style, in the order of the tasks; each question once.

    Args:
        plan: the plan.
        name: of the model.
        style: of asking.
        lm: the harness's model, whose chat template is applied.
    """
    model = plan.models[name]
    manager = task_manager(plan, style)
    found: list[Any] = []
    seen: set[str] = set()
    templated = {"chat_template": partial(_templated, lm), "tokenizer_name": lm.tokenizer_name}
    for task in leaves(manager, plan.tasks_of(name)):
        with redirect_stderr(StringIO()):  # a bar for each of some hundred tasks
            task.build_all_requests(
                limit=plan.limit_of(name),
                rank=0,
                world_size=1,
                apply_chat_template=model.chat_template,
                **(templated if model.chat_template else {}),
            )
        for request in task.instances:
            if request.doc.get("empty") or request.doc["id"] in seen:
                continue
            seen.add(request.doc["id"])
            if style in plan.budgets:
                prompt, settings, *rest = request.args
                request.arguments = (prompt, {**settings, "max_gen_toks": plan.budgets[style]}, *rest)
            found.append(request)
    return found


def _templated(lm: Any, *arguments: Any, **more: Any) -> Any:
    return lm.apply_chat_template(*arguments, **more)


def leaves(manager: Any, names: Sequence[str]) -> list[Any]:
    """The tasks behind names, groups, tags and patterns, each once."""
    tasks: dict[str, Any] = {}
    for name in manager.match_tasks(list(names)):
        tasks |= manager.load([name])["tasks"]
    return list(tasks.values())


def count(plan: Plan, name: str) -> tuple[int, int]:
    """Questions and volumes that a model is asked about, without loading it."""
    from lm_eval_tasks.report.items import volume

    limit = plan.limit_of(name)
    volumes: dict[str, str] = {}
    for task in leaves(task_manager(plan, plan.styles[0]), plan.tasks_of(name)):
        if not task.leaf.empty:
            for number in range(min(len(task.leaf), limit or len(task.leaf))):
                row = task.leaf._rows.text(task.leaf._chosen[number])
                volumes[row["id"]] = volume(row)
    return len(volumes), len(set(volumes.values()))
