"""Runs what a study still lacks: each model is loaded once, and every arm answers the same questions.

Answers are kept as they arrive, in the answer store; a run that was stopped at any moment resumes with the very batches
that an unbroken run would have made. When an arm has answered everything, its answers are written to a file that the
report reads: ``answers/MODEL/STYLE/ARM-SEED.jsonl``.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from dataset_builder.files.atomic import write_atomically
from lm_eval_tasks.mis_ground.metrics import read_reply, scores_of
from lm_eval_tasks.running import answer_store as store
from lm_eval_tasks.running.order import chunks
from lm_eval_tasks.running.watching import finished, task_version
from lm_eval_tasks.study.models import Asked, Asker, close, no_answers
from lm_eval_tasks.study.plan import Plan, PlannedArm, arms_of
from lm_eval_tasks.study.questions import requests_of

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Share:
    """Which part of the answers a process gives, where several share a study: number ``index`` of ``count``."""

    index: int = 1
    count: int = 1


def answers_file(out: Path, model: str, style: str, arm: str, seed: int) -> Path:
    """Where an arm's answers are."""
    return out / "answers" / model / style / f"{arm}-{seed}.jsonl"


def questions_file(out: Path, model: str) -> Path:
    """Where the questions of a model are, without their images."""
    return out / "answers" / model / "questions.jsonl"


def run(plan: Plan, out: Path, report: Report, share: Share = Share()) -> None:
    """Ask all that has not been answered.

    Args:
        plan: what to ask.
        out: the study's folder.
        report: called as ``report(what, done, total)``.
        share: of a process that is one of several; it writes no file of answers unless it is the only one.

    Raises:
        MISGroundError: if a model cannot be loaded, or its tasks have no questions.
    """
    for name, model in plan.models.items():
        asker = Asker(model)
        able, unable = arms_of(plan, name)
        for style in plan.styles:
            requests = requests_of(plan, name, style, asker.lm)
            if not requests:
                raise no_answers(name)
            as_made = [request.arguments for request in requests]
            if share.count == 1:
                documents = [_document(request) for request in requests]
                _write_lines(questions_file(out, name), documents)
            for arm in able:
                for seed in asker.seeds(arm):
                    for request, arguments in zip(requests, as_made, strict=True):
                        request.arguments = arguments  # without what is known of another arm's reply
                    label = f"{name}, {style}, {arm.name}" + (f", seed {seed}" if arm.seeds > 1 else "")
                    replies, cost = _answer(asker, requests, arm, seed, plan, out, partial_report(report, label), share)
                    if share.count == 1:
                        lines = [_line(asker, *each) for each in zip(requests, replies, strict=True)]
                        head = {"cost": vars(cost), "arm": arm.name, "seed": seed}
                        _write_lines(answers_file(out, name, style, arm.name, seed), [head, *lines])
        if share.count == 1:
            write_atomically(out / "answers" / name / "left-out.json", json.dumps(unable, indent=1) + "\n")
        close(asker)


def partial_report(report: Report, label: str) -> Callable[[store.Progress], None]:
    """Tells the progress of an arm."""
    return lambda progress: report(label, progress.known + progress.asked, progress.total)


def _answer(
    asker: Asker,
    requests: Sequence[Any],
    arm: PlannedArm,
    seed: int,
    plan: Plan,
    out: Path,
    report: Callable[[store.Progress], None],
    share: Share,
) -> tuple[list[str], Asked]:
    """The answers to all requests, and what they cost over all runs; of a share only those of its chunks."""
    base = store.AnswerStore(out / "store")
    try:
        run_key = store.digest(asker.identity(arm, seed))
        keys = store.request_keys(requests, run_key, task_version)
        size = store.chunk_size(asker.lm)
        parts = None
        if share.count > 1:
            theirs = chunks(requests, size)[share.index - 1 :: share.count]
            mine = [n for part in theirs for n in part]
            requests, keys = [requests[n] for n in mine], [keys[n] for n in mine]
            ends = list(accumulate(map(len, theirs), initial=0))
            parts = [list(range(*each)) for each in pairwise(ends)]
        note = f"cost {run_key} {share.index}/{share.count}"
        noted = base.note(note)
        cost = Asked(**json.loads(noted)) if noted else Asked()

        def ask(asked: list[Any]) -> Sequence[str]:
            # A chunk's own numbers, so that an unbroken run draws the same as one that was stopped.
            of_chunk = int(store.digest([plan.seed, seed, [str(each.args[0]) for each in asked]])[:15], 16)
            answers, took = asker.ask(asked, arm, of_chunk)
            cost.tokens += took.tokens
            cost.seconds += took.seconds
            base.set_note(note, json.dumps(vars(cost)))
            return [finished(asker.lm, request, answer) for request, answer in zip(asked, answers, strict=True)]

        replies = store.answer_all(requests, keys, ask, base, run_key, size, report=report, parts=parts)
        return replies, _whole_cost(base, run_key) if share.count == 1 else cost
    finally:
        base.close()


def _whole_cost(base: store.AnswerStore, run_key: str) -> Asked:
    """The cost over all processes that shared a run."""
    total = Asked()
    for _, value in base.notes(f"cost {run_key} "):
        found = json.loads(value)
        total.tokens += found["tokens"]
        total.seconds += found["seconds"]
    return total


def _document(request: Any) -> dict[str, Any]:
    kept = {name: value for name, value in request.doc.items() if name not in ("images", "visual")}
    return {**kept, "task": request.task_name}


def _line(asker: Asker, request: Any, reply: str) -> dict[str, Any]:
    found = read_reply(request.doc, reply)
    return {
        "id": request.doc["id"],
        "reply": str(reply),
        "said": found.option,
        "right": scores_of(request.doc, found)["acc"] == 1,
        "status": found.status,
        "tokens": asker.encode(str(reply)),
    }


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines))
