"""One loaded model, answering the harness's tasks under several decodings; each item's outcome is kept on disk."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor

from semsam.errors import RunsError
from semsam.git_commit import asked_quietly
from semsam.settings import Settings

MODELS = {"text": "mis-semsam-text", "vision": "mis-semsam"}


@dataclass(frozen=True)
class Item:
    """One answered question.

    Args:
        task: the task's name.
        number: of the document in the task.
        score: its metric, 1 for right.
        reply: what the model wrote.
        document: the document's columns, but for images.
    """

    task: str
    number: int
    score: float
    reply: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """All items under one decoding, and how often the rule acted.

    Args:
        items: in the harness's order.
        steps: tokens generated.
        rescored: those at which the rule did not defer.
        changed: those at which it put another token first than the model did.
    """

    items: Sequence[Item]
    steps: int
    rescored: int
    changed: int


class Watcher(LogitsProcessor):
    """Counts what a processor does to unfinished rows.

    Args:
        processor: the observed one.
        ends: ids of the tokens that end an answer or fill up the row after its end.
    """

    def __init__(self, processor: LogitsProcessor, ends: Sequence[int]) -> None:
        self._processor = processor
        self._ends = torch.tensor(sorted(set(ends)))
        self._counts: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """The observed processor's scores, [B, V]."""
        after = self._processor(input_ids, scores)
        writing = ~torch.isin(input_ids[:, -1], self._ends.to(input_ids.device))
        rescored = writing & (after != scores).any(dim=-1)
        changed = writing & (after.argmax(dim=-1) != scores.argmax(dim=-1))
        counts = torch.stack([rows.sum() for rows in (writing, rescored, changed)])
        self._counts = counts if self._counts is None else self._counts + counts
        return after

    def counts(self) -> tuple[int, int, int]:
        """Rows written, re-scored, changed."""
        steps, rescored, changed = [0, 0, 0] if self._counts is None else self._counts.tolist()
        return steps, rescored, changed


class Runner:
    """A loaded model with its tasks.

    Args:
        model: folder or Hub name.
        tasks: names of the harness's tasks, groups or tags.
        kind: ``text`` or ``vision``.
        metric: the metric of an item that counts as its score.
        limit: items a task, from its beginning; all if None.
        batch_size: of generation.
        device: where the model goes; the harness's choice if None.
        chat_template: whether prompts go through the model's chat template.
        metadata: handed to the tasks.
        include_path: a folder with more task files.

    Raises:
        RunsError: if the task, data, device or model does not exist, or a package to load it is missing.
    """

    def __init__(
        self,
        model: str,
        tasks: Sequence[str],
        *,
        kind: str = "text",
        metric: str = "acc",
        limit: int | None = None,
        batch_size: int = 8,
        device: str | None = None,
        chat_template: bool = True,
        metadata: Mapping[str, Any] | None = None,
        include_path: str | None = None,
    ) -> None:
        from lm_eval.tasks import TaskManager

        self.model, self.tasks, self.metric, self.limit, self.chat_template = model, tasks, metric, limit, chat_template
        check_device(device)
        self._manager = TaskManager(metadata=dict(metadata or {}), include_path=include_path)
        self._check_tasks()
        try:
            from semsam import harness
        except ModuleNotFoundError as error:
            raise RunsError(
                "The harness needs a package to load models, and it is not installed.",
                value=error.name,
                remedy=f"install it: pip install {error.name}.",
            ) from error
        placed = {"device": device} if device else {}
        try:
            self._lm = harness.model_registry[MODELS[kind]](
                pretrained=model, batch_size=batch_size, semsam_strength=0, **placed
            )
        except (OSError, ValueError) as error:
            raise RunsError(
                "The model cannot be loaded.",
                value=f"{model}: {error}",
                remedy="give the folder of a model in the format of transformers, or a model's name on the Hub.",
            ) from error

    def _check_tasks(self) -> None:
        """Load the tasks and their data before the model, which takes longer."""
        for task in self.tasks:
            if not self._manager.match_tasks([task]):
                raise RunsError(
                    "The harness does not know this task.",
                    value=task,
                    remedy="see 'lm_eval ls tasks', or give the folder of the task's file with --include-path.",
                )
            try:
                self._manager.load([task])
            except (OSError, ValueError, LookupError) as error:
                raise RunsError(f"The task {task} cannot be loaded.", value=error) from error

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._lm.tokenizer

    def run(self, out: Path, settings: Settings, generation: Mapping[str, Any] | None = None) -> Run:
        """All items under one decoding. What is in the folder ``out`` is read, what is not is made, task by task.

        Args:
            out: one decoding's folder.
            settings: of the rule; strength 0 for any other decoding.
            generation: the harness's generation settings that differ from the tasks' own.

        Raises:
            RunsError: if the folder holds another run, or a task does not score its items by the metric.
        """
        header: dict[str, Any] = {"model": self.model, "metric": self.metric, "limit": self.limit}
        header |= {"chat_template": self.chat_template, "settings": str(settings), "generation": dict(generation or {})}
        parts = []
        for task in self.tasks:
            path = out / f"{task.replace('*', '_')}.json"
            make = partial(self._answer, task, settings, generation or {})
            parts.append(remembered(path, header | {"task": task}, make))
        return Run(
            [item for part in parts for item in part.items],
            steps=sum(part.steps for part in parts),
            rescored=sum(part.rescored for part in parts),
            changed=sum(part.changed for part in parts),
        )

    def _answer(self, task: str, settings: Settings, generation: Mapping[str, Any]) -> Run:
        from lm_eval import simple_evaluate

        self._lm.use(settings)
        watchers = [Watcher(processor, self._ends()) for processor in self._lm.processors]
        self._lm.processors[:] = watchers
        with asked_quietly():
            results = simple_evaluate(
                model=self._lm,
                tasks=[task],
                task_manager=self._manager,
                limit=self.limit,
                apply_chat_template=self.chat_template,
                gen_kwargs=dict(generation) if generation else None,
                bootstrap_iters=0,
            )
        items = [item for name, samples in sorted(results["samples"].items()) for item in self._items(name, samples)]
        steps, rescored, changed = watchers[0].counts() if watchers else (0, 0, 0)
        return Run(items, steps, rescored, changed)

    def _ends(self) -> list[int]:
        ends = [self._lm.tokenizer.eos_token_id, self._lm.tokenizer.pad_token_id]
        configured = self._lm.model.generation_config.eos_token_id
        ends += configured if isinstance(configured, list) else [configured]
        return [end for end in ends if end is not None]

    def _items(self, task: str, samples: Sequence[Mapping[str, Any]]) -> list[Item]:
        items = []
        for sample in samples:
            if sample["doc"].get("empty"):
                continue
            if not isinstance(sample.get(self.metric), (int, float)):
                raise RunsError(
                    f"The task {task} has no metric {self.metric} of each item.",
                    value=", ".join(sample["metrics"]),
                    remedy="give one of its metrics with --metric.",
                )
            document = {name: value for name, value in sample["doc"].items() if name not in ("images", "visual")}
            reply = sample["filtered_resps"][0]
            items.append(Item(task, sample["doc_id"], float(sample[self.metric]), reply, document))
        return sorted(items, key=lambda item: item.number)


def check_device(device: str | None) -> None:
    """Refuse a device that does not exist: the harness would silently use the CPU.

    Raises:
        RunsError: if torch has no such device.
    """
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise RunsError(
            "This device does not exist on this machine.", value=device, remedy=f"give one of: {', '.join(there)}."
        ) from error


def check_own(out: Path, names: Sequence[str]) -> None:
    """Check that files may be written into a folder: none of them exists, or the folder contains runs of an experiment.

    Raises:
        RunsError: names the files of the user's that are there.
    """
    there = [name for name in names if (out / name).exists() or (out / name).is_symlink()]
    if there and not (out / "runs").is_dir():
        raise RunsError(f"{out} already contains files: {', '.join(there)}.", remedy="give another --out.")


def remembered(path: Path, header: Mapping[str, Any], make: Callable[[], Run]) -> Run:
    """The run stored at ``path``, or a new one that is then stored there.

    Raises:
        RunsError: if the file contains another kind of run: the folder belongs to another comparison.
    """
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        different = [name for name in header if stored["header"].get(name) != header[name]]
        if different:
            name = different[0]
            raise RunsError(
                f"{path} was made with {name} = {stored['header'].get(name)!r}, but {header[name]!r} is requested.",
                remedy="give another --out, or delete the file.",
            )
        items = [Item(**item) for item in stored["run"].pop("items")]
        return Run(items, **stored["run"])
    run = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"header": header, "run": asdict(run)}, ensure_ascii=False, default=str)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)  # a run that was stopped leaves nothing that looks finished
    return run
