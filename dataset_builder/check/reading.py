"""Reading a data set folder: which files it has, whether card and record agree with them, its rows in batches."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images, digest_of
from dataset_builder.check.items import Item, Items, make_item, split_of
from dataset_builder.check.leakage import check_path
from dataset_builder.check.rows import Names
from dataset_builder.check.schema import column_problems, gaps, is_usable, value_problems, wrong_cell
from dataset_builder.core.errors import DatasetNotFoundError, MISGroundError
from dataset_builder.core.factors import CONVENTIONS, REGISTERS
from dataset_builder.dataset.format import COLUMNS, LATER_COLUMNS, VERSION
from dataset_builder.dataset.manifest import RECORD_NAME, BuildNote, Record, is_slices, read_record
from dataset_builder.files.progress import Progress
from dataset_builder.vocabulary import Structure, structures

BATCH_ROWS = 32
"""Rows read at a time: of stacks each holds several images."""

CARD = "README.md"


class Folder:
    """A data set folder: its files of questions and of slices, and its record if it has one.

    Raises:
        DatasetNotFoundError: if the folder holds no questions.
    """

    def __init__(self, path: Path, findings: Findings) -> None:
        self.path = path
        self.record: Record | None = None
        found = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*.parquet"))}
        found = {name: file for name, file in found.items() if not any(p.startswith(".") for p in name.split("/"))}
        self.slices = [file for name, file in found.items() if is_slices(split_of(name))]
        self.questions = {name: file for name, file in found.items() if file not in self.slices}
        if not self.questions:
            raise DatasetNotFoundError(
                "This is not a MIS-Ground data set.",
                file=path,
                remedy="Give the folder that `mis-ground build --out` or `mis-ground demo` made.",
            )
        try:
            self.record = read_record(path)
        except DatasetNotFoundError as error:
            if (path / RECORD_NAME).exists():
                findings.violation("files", error.problem, RECORD_NAME, error.value)
            else:
                findings.note("files", f"There is no {RECORD_NAME}: the settings are inferred from the rows.")
        self._vocabulary: Mapping[str, Structure] | None = None

    @property
    def vocabulary(self) -> Mapping[str, Structure]:
        """The package's structures and those of the builds' own."""
        if self._vocabulary is None:
            known = dict(structures())
            for build in self.record.builds if self.record else ():
                if build.vocabulary:
                    with tempfile.TemporaryDirectory() as folder, suppress(MISGroundError):
                        own = Path(folder) / "vocabulary.yaml"
                        own.write_text(build.vocabulary, encoding="utf-8")
                        known |= structures(own)
            self._vocabulary = known
        return self._vocabulary

    def build_of(self, file: str) -> BuildNote | None:
        """The build that a file is of; ``None`` without a record."""
        key = split_of(file)
        return self.record.build_of(key) if self.record and key in self.record.splits else None

    @property
    def words(self) -> Mapping[str, Structure]:
        """The structures whose names the questions use; none if another version wrote them, with names of its own."""
        versions = {build.version for build in self.record.builds} if self.record else set()
        return self.vocabulary if versions <= {VERSION} else {}

    def asked(self, file: str) -> Mapping[str, Sequence[str]]:
        """The values of ``register`` and ``convention`` that the build of a file asked for."""
        build = self.build_of(file)
        settings: Mapping[str, Any] = build.settings if build else {}
        return {
            "register": settings.get("registers") or REGISTERS,
            "convention": settings.get("conventions") or CONVENTIONS,
        }


def check_files(folder: Folder, findings: Findings) -> None:
    """Compare the files with the card's configs and the record's splits."""
    rows: dict[str, int] = {}
    for name, file in {**folder.questions, **{f.relative_to(folder.path).as_posix(): f for f in folder.slices}}.items():
        findings.looked("files")
        try:
            rows[name] = pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError) as error:
            findings.violation("files", "A file cannot be read.", name, error)
    if folder.record:
        noted = {file for note in folder.record.splits.values() for file in note.files}
        for (config, split), note in folder.record.splits.items():
            here = sum(rows.get(file, 0) for file in note.files)
            if here != note.rows:
                found = f"{here}, noted are {note.rows}"
                findings.violation(
                    "files", "The number of rows of a split differs from the record.", f"{config}/{split}", found
                )
        for name in sorted(set(rows) - noted):
            findings.violation("files", "A file is not in the record.", name)
    _check_card(folder, sorted(rows), findings)


def _check_card(folder: Folder, names: Sequence[str], findings: Findings) -> None:
    card = folder.path / CARD
    try:
        head = card.read_text(encoding="utf-8").split("---\n", 2)[1]
        configs = yaml.safe_load(head)["configs"]
        listed = [
            (config["config_name"], pattern)
            for config in configs
            for files in config["data_files"]
            for pattern in ([files["path"]] if isinstance(files["path"], str) else files["path"])
        ]
    except (OSError, UnicodeDecodeError, IndexError, KeyError, TypeError, yaml.YAMLError) as error:
        problem = "The card has no list of configs: load_dataset cannot distinguish slices from questions."
        findings.violation("files", problem, CARD, type(error).__name__)
        return
    reached: set[str] = set()
    for config, pattern in listed:
        found = {file.relative_to(folder.path).as_posix() for file in folder.path.glob(pattern)}
        if not found:
            findings.violation("files", "A config of the card names missing files.", config, pattern)
        reached |= found
    for name in names:
        if name not in reached:
            findings.violation("files", "No config of the card reads a file.", name)


def read_items(folder: Folder, images: Images, findings: Findings, progress: Progress) -> Items:
    """All usable rows; columns, values and images are checked on the way."""
    names = Names(folder.vocabulary)
    total = sum(_rows_of(file) for file in folder.questions.values())
    done = 0
    kept: list[Item] = []
    for name, file in folder.questions.items():
        try:
            for batch in _batches(name, file, findings):
                usable = [item for row in batch if (item := _item(row, name, names, findings))]
                images.look(usable)
                kept += [item for item, _ in usable]
                done += len(batch)
                progress("rows", done, total)
        except (pa.ArrowException, OSError) as error:
            findings.violation("files", "A file cannot be read.", name, error)
    return Items(tuple(kept))


def _rows_of(file: Path) -> int:
    try:
        return pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError):
        return 0


def _batches(name: str, file: Path, findings: Findings) -> Iterator[list[dict[str, Any]]]:
    """Rows of a file, few at a time; none of a file that lacks columns."""
    opened = pq.ParquetFile(file)
    problems = list(column_problems(opened.schema_arrow))
    findings.looked("schema")
    for problem, found in problems:
        findings.violation("schema", problem, name, found)
    if problems:
        return
    columns = [column for column in (*COLUMNS, "image_sha256") if column in opened.schema_arrow.names]
    if "images" not in columns:
        findings.skip("pictures", "The data set leaves images out.")
    for batch in opened.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        yield [LATER_COLUMNS | row for row in batch.to_pylist()]


def _item(row: dict[str, Any], file: str, names: Names, findings: Findings) -> tuple[Item, dict[bytes, bytes]] | None:
    """A row and its encoded images by digest, if its values can be relied on."""
    findings.looked("schema")
    if missing := gaps(row):
        findings.violation("schema", "A row lacks a required value.", f"{file}, row {row['id']}", ", ".join(missing))
        return None
    images = row.get("images")
    encoded: dict[bytes, bytes] = {}
    if images is None and "image_sha256" not in row:
        findings.violation("pictures", "A row has no images.", f"{file}, row {row['id']}")
    if images is None:
        digests = tuple(hashlib.sha256(str(text).encode()).digest() for text in row.get("image_sha256") or ())
    else:
        data = [(image or {}).get("bytes") or b"" for image in images]
        digests = tuple(digest_of(one) for one in data)
        encoded = dict(zip(digests, data, strict=True))
    item = make_item(row, file, digests if images is None or encoded else ())
    for problem, found in value_problems(item):
        findings.violation("schema", problem, str(item), found)
    for image in images or ():
        if image and image.get("path"):
            check_path(image["path"], item, names, findings)
    if not is_usable(item):
        return None
    if belongs := wrong_cell(item, *split_of(file)):
        findings.violation("schema", "A row is in the file of another cell.", str(item), belongs)
    return item, encoded
