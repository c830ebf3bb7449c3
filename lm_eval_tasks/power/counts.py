"""What a data set asks: a sheet of its questions without answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dataset_builder.core.errors import BuildError
from dataset_builder.dataset.format import LATER_COLUMNS
from dataset_builder.dataset.manifest import is_slices, read_record
from lm_eval_tasks.report.answers import Answer
from lm_eval_tasks.report.items import FACTORS, Sheet
from lm_eval_tasks.report.runs import Run

COLUMNS = ("id", "options", "pair_id", "fact_id", "source", "subject", "patient", "structures", "relation", "answer")

_NONE = Answer("", None, right=False)


def sheet_of(folder: Path) -> Sheet:
    """The questions of a data set, as a run that answered none of them.

    Args:
        folder: the data set.

    Raises:
        DatasetNotFoundError: if it is none.
        BuildError: if a file cannot be read.
    """
    questions = {row["id"]: row for row in _rows(folder)}
    return Sheet(Run("", "pictures", "", {}, {}, dict.fromkeys(questions, _NONE)), questions)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for key, note in read_record(folder).splits.items():
        for name in () if is_slices(key) else note.files:
            try:
                file = pq.ParquetFile(folder / name)
                known = [column for column in (*COLUMNS, *FACTORS) if column in file.schema_arrow.names]
                for batch in file.iter_batches(columns=known):
                    yield from (LATER_COLUMNS | row for row in batch.to_pylist())
            except (OSError, ValueError) as error:
                raise BuildError(
                    "A file of the data set cannot be read.",
                    file=folder / name,
                    value=error,
                    remedy="Build the data set again, or fetch it again.",
                ) from error
