"""What ``mis-ground study`` does: write a plan, say what it would take, run it and report."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from cluster_statistics import clusters_needed, power
from dataset_builder.core.errors import MISGroundError
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.progress import Progress
from lm_eval_tasks.running.failures import as_user_error
from lm_eval_tasks.running.progress import duration
from lm_eval_tasks.study import record
from lm_eval_tasks.study.plan import Plan, arms_of, read_plan, template

PROBE = 2
"""Batches that a dry run asks each arm."""


def write_template(path: Path) -> Path:
    """Write a plan to begin with.

    Raises:
        MISGroundError: if there is a file already.
    """
    if path.exists():
        raise MISGroundError(
            "There is a file already.", file=path, remedy="Give another name: mis-ground study --init NAME."
        )
    write_atomically(path, template())
    return path


def folder(plan: Plan, out: Path | None) -> Path:
    """The folder of a study."""
    return out or Path(re.sub(r"[^\w.-]+", "-", plan.name))


def share_of(text: str | None) -> tuple[int, int]:
    """Which part of how many, from ``I/N``.

    Raises:
        MISGroundError: if it is not that.
    """
    if text is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise MISGroundError("--share must be I/N, with I from 1 to N.", value=text, remedy="For example: --share 1/4.")
    return int(found[1]), int(found[2])


def run_study(path: Path, out: Path | None, progress: Progress, share: str | None, report_only: bool) -> list[str]:
    """Run what is missing, then report; returns lines for the reader.

    Raises:
        MISGroundError: for anything that a user can mend.
    """
    from lm_eval_tasks.study.report import write_report
    from lm_eval_tasks.study.run import Share, run

    plan, index = read_plan(path), share_of(share)
    place = folder(plan, out)
    if report_only:
        record.read(place)
    else:
        try:
            record.begin(place, plan, path.read_text(encoding="utf-8"))
            run(plan, place, progress, Share(*index))
        except Exception as error:
            raise as_user_error(error, {}) from error
    if index[1] > 1:
        return [f"Part {share} is answered. When all parts are: mis-ground study {path}"]
    return write_report(plan, place)


def dry_run(path: Path, out: Path | None) -> Iterator[str]:
    """Say what a plan asks, how long it would take, and what it could find; line by line, as it is known."""
    from lm_eval_tasks.study.questions import count

    plan = read_plan(path)
    yield f"Plan {plan.name}, SHA-256 {plan.hash}"
    try:
        counts = {name: count(plan, name) for name in plan.models}
    except Exception as error:
        raise as_user_error(error, {}) from error
    total = 0.0
    for name in plan.models:
        questions, volumes = counts[name]
        able, unable = arms_of(plan, name)
        styles = ", ".join(plan.styles)
        yield f"{name}: {questions:,} questions about {volumes} volumes, {len(able)} arms, styles {styles}"
        for arm, reason in unable.items():
            yield f"  without {arm}: {reason}"
        if not questions:
            yield "  no question: choose other tasks, or build a data set that has them"
            continue
        for label, seconds in _probe(plan, name):
            total += seconds
            yield f"  {label}: about {duration(seconds)}"
    yield f"In all about {duration(total)} on this machine, as a probe of {PROBE} batches an arm tells."
    yield power_line(plan, counts[plan.primary.model][1], _pilot_spread(plan))


def _probe(plan: Plan, name: str) -> Iterator[tuple[str, float]]:
    """For each style and arm of a model: seconds that all its answers would take."""
    from lm_eval_tasks.running.order import chunks
    from lm_eval_tasks.study.models import Asker, close
    from lm_eval_tasks.study.questions import requests_of

    asker = Asker(plan.models[name])
    able, _ = arms_of(plan, name)
    for style in plan.styles:
        requests = requests_of(plan, name, style, asker.lm)
        size = plan.models[name].batch_size
        parts = chunks(requests, size)
        probed = [requests[n] for part in parts[:: max(1, len(parts) // PROBE)][:PROBE] for n in part]
        for arm in able:
            asker.ask(probed[:1], arm, 0)  # makes its tables, warms up
            start = time.perf_counter()
            asker.ask(probed, arm, 0)
            each = (time.perf_counter() - start) / len(probed)
            yield f"{style}, {arm.name}", each * len(requests) * len(asker.seeds(arm))
    close(asker)


def _pilot_spread(plan: Plan) -> float | None:
    if plan.pilot is None:
        return None
    from lm_eval_tasks.study.analysis import primary_spread

    return primary_spread(Path(plan.pilot), plan)


def power_line(plan: Plan, volumes: int, spread: float | None) -> str:
    """The power of the primary comparison, in a sentence."""
    known = spread if spread is not None else plan.assumed_spread
    found, needed = power(plan.smallest_effect, known, volumes), clusters_needed(plan.smallest_effect, known)
    source = "seen in the pilot" if spread is not None else "assumed"
    return (
        f"Primary comparison, {plan.primary.arm} against {plan.primary.against}: a difference of "
        f"{100 * plan.smallest_effect:g} points is found with a probability of {100 * found:.0f} % ({volumes} volumes, "
        f"which differ by {100 * known:.1f} points, {source}); for 80 % it takes "
        f"{'more than 100,000' if needed is None else f'{needed:,}'} volumes."
    )
