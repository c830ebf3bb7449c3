"""Writes a report's files."""

import json
from collections.abc import Sequence
from pathlib import Path

from dataset_builder.core.errors import BuildError
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.own_files import add_to_list, check_may_write, read_list, remove_listed
from dataset_builder.files.progress import Progress
from lm_eval_tasks.report.card import cards
from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.human import read_all
from lm_eval_tasks.report.images import gather
from lm_eval_tasks.report.judge import Judge, judge_runs
from lm_eval_tasks.report.page import make_page
from lm_eval_tasks.report.paper import paper
from lm_eval_tasks.report.readers import flagged_file
from lm_eval_tasks.report.runs import Reading
from lm_eval_tasks.report.scores import Json
from lm_eval_tasks.report.tables import tables


def write_report(
    places: Sequence[str],
    out: Path,
    dataset: Path | None = None,
    progress: Progress | None = None,
    judge: Judge | None = None,
) -> Json:
    """Read runs and write their report: the page ``index.html``, ``report.json``, CSV files, and cards to publish.

    Args:
        places: folders that the harness wrote to, result files, or readers' files; ``NAME=PLACE`` names a run.
        out: folder to write to; files of an earlier report are replaced, if nobody changed them.
        dataset: folder of the data set, for the page's images; None: where the tasks found it or would look for it.
        progress: called as ``progress(stage, done, total)``.
        judge: a model that reads the unread replies, too; its readings stand beside the reader's and change no score.

    Returns:
        What ``report.json`` holds.

    Raises:
        MISGroundError: if the runs cannot be read, or the report not be written.
    """
    if out.exists() and not out.is_dir():
        raise BuildError("The report folder is a file.", file=out, remedy="Give a folder: --out report.")
    reading = read_all(places, dataset)
    judged = judge_runs(reading, judge, out, progress) if judge else {}
    report = contents(reading, judged)
    files = {"report.json": json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    files |= (
        tables(report, reading, judged)
        | cards(report)
        | {"paper.md": paper(report)}
        | flagged_file(report, _content(reading))
    )
    check_may_write(out, ["index.html", *files])
    try:
        earlier = [*(read_list(out) or {})]
        remove_listed(out, [name for name in earlier if name not in ("index.html", *files)])
        images = gather(reading, dataset, out, progress)
        files["index.html"] = make_page(report, reading, images)
        for done, (name, text) in enumerate(files.items(), start=1):
            write_atomically(out / name, text)
            if progress:
                progress("report", done, len(files))
        add_to_list(out, [*files, *images.files])
    except OSError as error:
        raise BuildError("The report cannot be written.", file=out, value=error.strerror) from error
    return report


def _content(reading: Reading) -> str:
    """Digest of the data set that people read."""
    return ", ".join(sorted({run.person.file.content for run in reading.runs if run.person}))
