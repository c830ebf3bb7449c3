"""What ``mis-ground eval`` adds to a run of the harness: checks before it, kept answers and progress in it, a summary.

The harness makes its model by name; while `watched` is in force, a model so made answers through a `Watch`.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.generate import TASK_VERSION
from lm_eval_tasks.mis_ground.replies import Reply, as_text
from lm_eval_tasks.mis_ground.settings import without_secrets
from lm_eval_tasks.running import answer_store as resume
from lm_eval_tasks.running import preflight
from lm_eval_tasks.running.garbage import old_objects_left_alone
from lm_eval_tasks.running.order import ask_in_chunks, dealt, in_order
from lm_eval_tasks.running.progress import duration, rate, shown_progress

Request = Any
Document = dict[str, Any]


@dataclass
class Watch:
    """Watches over the models of one command.

    Args:
        folder: where answers are kept; None: they are not.
        strict: whether a doubt about the images stops the run.
        secrets: arguments for the models that must stand in no file.
        console: where to print.
    """

    folder: Path | None = None
    strict: bool = False
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    console: Console = field(default_factory=lambda: Console(stderr=True))
    answered: list[tuple[Document, str]] = field(default_factory=list)
    known: int = 0
    seconds: float = 0.0

    def over(self, name: str, arguments: dict[str, Any], model: Any) -> Any:
        """Let a model answer through this watch.

        Args:
            name: the harness's name of the kind of model.
            arguments: those that it was made with.
            model: the model, which is changed.
        """
        if self.folder and int(os.environ.get("WORLD_SIZE", "1")) > 1 and getattr(model, "world_size", 1) == 1:
            raise MISGroundError(
                "Answers cannot be stored for a model that a launcher distributes over several processes.",
                remedy="Leave out --resume, or distribute the model with parallelize=True or device_map_option=auto.",
            )
        plainly = model.generate_until

        def generate_until(requests: list[Request], disable_tqdm: bool = False) -> list[str]:
            quiet = {"disable_tqdm": disable_tqdm or self.folder is not None or in_chunks(model)}
            ask = dealt(lambda asked: plainly(asked, **quiet), resume.workers(model))
            answers: list[Any] = [None] * len(requests)
            # Requests with and without images, never both at once: this package's tasks come apart already.
            for rows in by_images(requests):
                some = [requests[row] for row in rows]
                with old_objects_left_alone():
                    given = self._answer(some, name, arguments, model, ask)
                for row, answer in zip(rows, given, strict=True):
                    answers[row] = answer
            return answers

        model.generate_until = generate_until
        return model

    def _answer(
        self, requests: list[Request], name: str, arguments: dict[str, Any], model: Any, ask: preflight.Ask
    ) -> list[str]:
        shown = getattr(model, "rank", 0) == 0 and int(os.environ.get("LOCAL_RANK", "0")) == 0
        start = time.monotonic()
        if self.folder is None:
            self._check(requests, len(requests), model, ask, shown, remembered=None)
            ours = hasattr(model, "ask_each") or in_chunks(model)  # else the harness shows its own
            with shown_progress(self.console if shown and ours else None) as report:
                answers = self._without_store(requests, model, ask, report)
        else:
            store = resume.AnswerStore(self.folder)
            try:
                run = resume.digest(resume.model_identity(name, arguments, model))
                keys = resume.request_keys(requests, run, task_version)
                known = store.find(keys)
                left = sum(key not in known for key in keys)
                self.known += len(requests) - left
                asked_how = resume.digest([str(requests[0].args[0])[-200:], requests[0].args[1]]) if requests else ""
                remembered = (store, f"preflight {run} {asked_how}")
                keep = _keeper(model, requests, keys, store, run)
                self._check(requests, left, model, ask, shown, remembered, keep)
                with shown_progress(self.console if shown else None) as report:
                    answers = resume.answer_all(
                        requests,
                        keys,
                        ask,
                        store,
                        run,
                        resume.chunk_size(model),
                        is_answer=lambda answer: is_answer(model, answer),
                        report=report,
                        ask_each=getattr(model, "ask_each", None),
                    )
            finally:
                store.close()
        self.seconds += time.monotonic() - start
        replies = [finished(model, request, answer) for request, answer in zip(requests, answers, strict=True)]
        if shown:
            self.answered += [(request.doc, answer) for request, answer in zip(requests, replies, strict=True)]
        return list(replies)

    def _without_store(self, requests: list[Request], model: Any, ask: preflight.Ask, report: Any) -> Sequence[str]:
        progress = resume.Progress(len(requests), 0)
        report(progress)

        def count(number: int, reply: Reply | None) -> None:
            progress.asked += 1
            report(progress)

        if hasattr(model, "ask_each"):
            order = in_order(requests)
            given = model.ask_each([requests[n] for n in order], count)
            return [answer for _, answer in sorted(zip(order, given, strict=True), key=lambda each: each[0])]

        def so_far(asked: int) -> None:
            progress.asked = asked
            report(progress)

        return ask_in_chunks(requests, ask, resume.chunk_size(model) if in_chunks(model) else sys.maxsize, so_far)

    def _check(
        self,
        requests: list[Request],
        left: int,
        model: Any,
        ask: preflight.Ask,
        shown: bool,
        remembered: tuple[resume.AnswerStore, str] | None,
        keep: preflight.Keep = preflight.keep_nothing,
    ) -> None:
        """Say what is going to be asked and whether the images reach the model."""
        plan = preflight.Plan.of(requests)
        if shown:
            known = f", {plan.questions - left:,} answered before" if left < plan.questions else ""
            self.console.print(
                f"{plan.questions:,} questions{known}, {plan.images:,} images, {plan.tasks} task(s)",
                highlight=False,
            )
            if left and self.folder is None and hasattr(model, "ask_each"):
                self.console.print(
                    "Answers are not stored; with --resume DIR they are, and an interrupted run resumes."
                )
        preflight.check_budget(requests, model)
        problems = preflight.placeholder_problems(requests, model)
        if left and not problems and (left >= preflight.LONG_RUN or self.strict):
            problems = self._probe(requests, left, model, ask, shown, remembered, keep)
        if problems and self.strict:
            raise MISGroundError(" ".join(problems), remedy="Fix it, or leave out --strict to run all the same.")
        if shown:
            for problem in problems:
                self.console.print(f"[bold red]Warning:[/] {escape(problem)}", soft_wrap=True, highlight=False)

    def _probe(
        self,
        requests: list[Request],
        left: int,
        model: Any,
        ask: preflight.Ask,
        shown: bool,
        remembered: tuple[resume.AnswerStore, str] | None,
        keep: preflight.Keep,
    ) -> list[str]:
        if remembered:
            store, name = remembered
            noted = store.note(name)
            if noted is not None:
                return list(json.loads(noted))
        found = preflight.probe(requests, model, ask, keep=keep)
        if found is None:
            return []
        if shown:
            self.console.print(
                f"{found.asked - found.same} of {found.asked} trial questions are answered differently without their "
                f"image. The run will take about {duration(left * found.seconds)}.",
                highlight=False,
            )
        problems = preflight.probe_problems(found)
        if remembered:
            store, name = remembered
            store.set_note(name, json.dumps(problems))
        return problems

    def summary(self, scored: Mapping[str, Any] | None = None, results: str | None = None) -> None:
        """Print what came of the questions, if any were asked.

        Args:
            scored: the data set: ``dataset``, ``data_version``, ``data_digest``, ``data_rows``.
            results: the folder of the result files.
        """
        ours = [(doc, answer) for doc, answer in self.answered if isinstance(doc, dict) and doc.get("options")]
        if scored:
            self.console.print(
                f"Scored: {scored['dataset']} (version {scored['data_version'] or 'unknown'}, content "
                f"{scored['data_digest']}, {scored['data_rows']:,} rows)",
                soft_wrap=True,
                highlight=False,
            )
        if ours:
            asked = len(self.answered) - self.known
            self.console.print(
                f"{len(self.answered):,} answers in {duration(self.seconds)}, {self.known:,} from an earlier run"
                + (f"; {rate(asked, self.seconds)}" if asked else ""),
                highlight=False,
            )
            self.console.print(summary_table(ours))
            for problem in preflight.reply_problems([answer for _, answer in ours]):
                self.console.print(f"[bold red]Warning:[/] {escape(problem)}", soft_wrap=True, highlight=False)
        elif scored and not self.answered:
            self.console.print("No question was asked: the data set has no rows for these tasks.", highlight=False)
        if results:
            self.console.print(f"Next: mis-ground report {results}", soft_wrap=True, highlight=False)


def _keeper(
    model: Any, requests: Sequence[Request], keys: Sequence[str], store: resume.AnswerStore, run: str
) -> preflight.Keep:
    """Keeps the answers to trial questions of models behind a server, which are paid for.

    Those of other models are asked again: only the same batch answers to the last digit as an unbroken run's does.
    """
    if not hasattr(model, "ask_each"):
        return preflight.keep_nothing
    key_of = {id(request): key for request, key in zip(requests, keys, strict=True)}

    def keep(request: Request, asked: Request, answer: str) -> None:
        store.add(run, {key_of[id(request)]: resume.Stored(answer, resume.extra_of(asked, request.args[1]))})

    return keep


def in_chunks(model: Any) -> bool:
    """Whether a model that stores no answers is asked in chunks all the same: it takes all it gets for one batch."""
    return resume.batch_size(model) is None


def by_images(requests: Sequence[Request]) -> list[list[int]]:
    """Positions of the requests with images and of those without, in the order in which the kinds come."""
    kinds: dict[bool, list[int]] = {}
    for row, request in enumerate(requests):
        kinds.setdefault(len(request.args) > 2, []).append(row)
    return list(kinds.values())


def finished(model: Any, request: Request, answer: object) -> str:
    """An answer as text that knows how it ended, if the server reports that.

    Of a model with a tokenizer the budget is known to be used up where the answer has as many tokens.
    """
    if isinstance(answer, Reply):
        return answer
    text = as_text(answer)
    note = request.args[1].get(resume.NOTE) if isinstance(request.args[1], dict) else None
    if note:
        return Reply(text, **note)
    budget = request.args[1].get("max_gen_toks") if isinstance(request.args[1], dict) else None
    encode = getattr(model, "tok_encode", None)
    if not budget or not text or encode is None or getattr(model, "tokenizer", None) is None:
        return text
    try:
        length = len(encode(text))
    except Exception:
        return text
    if length < budget:
        return text
    reply = Reply(text, "length")
    prompt, settings, *rest = request.args
    request.arguments = (prompt, {**settings, resume.NOTE: reply.note()}, *rest)
    return reply


def summary_table(answered: Sequence[tuple[Document, str]]) -> Table:
    """Accuracy by terminology with intervals by volume, chance beside it."""
    from cluster_statistics import proportion
    from lm_eval_tasks.mis_ground.metrics import read_reply
    from lm_eval_tasks.report.formats import NOTE, per_cent
    from lm_eval_tasks.report.items import by_volume, codes, fact, in_order, patient

    said = [read_reply(doc, answer).option for doc, answer in answered]
    right = [each == doc["answer"] for each, (doc, _) in zip(said, answered, strict=True)]
    volumes, facts = (codes([of(doc) for doc, _ in answered]) for of in (patient, fact))
    kinds = [str(doc.get("terminology", "")) for doc, _ in answered]
    table = Table(title="Per cent, with 95 % intervals by volume", caption=NOTE)
    for name in ("questions", "items", "accuracy", "chance", "invalid"):
        table.add_column(name, justify="left" if name == "questions" else "right")
    for kind in (*in_order("terminology", kinds), "all"):
        rows = [row for row, own in enumerate(kinds) if kind in (own, "all")]
        chance = sum(1 / len(answered[row][0]["options"]) for row in rows) / len(rows)
        accuracy, invalid = (
            proportion([values[row] for row in rows], *by_volume(volumes[rows], facts[rows])).to_json()
            for values in (right, [each is None for each in said])
        )
        table.add_row(kind, f"{len(rows):,}", per_cent(accuracy), f"{100 * chance:.1f}", per_cent(invalid))
    return table


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Let every model that the harness makes answer through a watch.

    The harness has no hook between making a model and asking it. `simple_evaluate` takes a model that is made already,
    but its command line hands it the name only; and with a model in the name's place, result files and their folder
    would no longer say which model was asked. So its look-up is replaced while the command runs, and put back.
    """
    from lm_eval.api import registry

    original = registry.get_model
    registry.get_model = lambda name: _Maker(name, _class_of(name, original), watch)
    try:
        yield
    finally:
        registry.get_model = original


def _class_of(name: str, original: Any) -> Any:
    """The model's class: for those behind a chat server, this package's own of the same name."""
    from lm_eval_tasks.running.server_models import SERVED

    return SERVED.get(name) or original(name)


@dataclass(frozen=True)
class _Maker:
    """Makes a model as its class does, and puts it under watch."""

    name: str
    model_class: Any
    watch: Watch

    def create_from_arg_obj(self, arguments: dict[str, Any], more: dict[str, Any] | None = None) -> Any:
        """As the harness's models do from a dictionary."""
        given = dict(arguments)  # models may take things out of it
        model = self.model_class.create_from_arg_obj(arguments | dict(self.watch.secrets), more)
        return self.watch.over(self.name, without_secrets(given), model)

    def create_from_arg_string(self, arguments: str, more: dict[str, Any] | None = None) -> Any:
        """As the harness's models do from ``key=value,...``."""
        from lm_eval.utils import simple_parse_args_string

        return self.create_from_arg_obj(simple_parse_args_string(arguments), more)


def is_answer(model: Any, answer: object) -> bool:
    """Whether it is worth keeping: a model behind an API gives a placeholder where the API failed."""
    if answer is None:
        return False
    if getattr(model, "keeps_empty", False):
        return True
    return not (hasattr(model, "_concurrent") and answer == os.environ.get("LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER", ""))


def task_version(task: str) -> float | None:
    """The version of a task of this package; None for another."""
    return TASK_VERSION if task.startswith(("mis_ground_", "blind_mis_ground_")) else None
