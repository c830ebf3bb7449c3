"""The rows of the data set, opened once for all leaves and read row by row.

Within a leaf the two items of a pair stand side by side, and pairs stand in an order that depends only on a hash of
their names: ``--limit 20`` is ten whole pairs spread evenly over the leaf.
"""

import hashlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow.compute as pc
from PIL import Image

from dataset_builder.dataset import priors
from lm_eval_tasks.mis_ground.coordinates import TEXT_PROMPTS, Space
from lm_eval_tasks.mis_ground.images import Picture, Sheet
from lm_eval_tasks.mis_ground.prompts import answer_type_of
from lm_eval_tasks.mis_ground.settings import ON_THE_HUB, RunSettings

HUB_DATASET = "mis-ground/mis-ground"
"""The Hub data set that is tried last."""

LOCAL_FOLDER = "mis-ground"
"""The folder in the working directory that is tried before the Hub."""

ENVIRONMENT_VARIABLE = "MIS_GROUND_DATASET"

Document = dict[str, Any]

DEFAULTS = RunSettings()

logger = logging.getLogger(__name__)


def find_dataset(dataset: str | None = None) -> str:
    """The folder or Hub id of the data set: the first that is given or there.

    Looked for in order: ``dataset`` (from ``--metadata '{"dataset": "DIR"}'``), the environment variable
    ``MIS_GROUND_DATASET``, the folder ``./mis-ground``, the Hub. The first two may also name a data set on the Hub:
    ``user/name``, with ``@revision`` and ``:config`` if wanted.

    Raises:
        FileNotFoundError: if the first or the second is given and is neither a folder nor a Hub id.
    """
    for place, given in (
        ("the task metadata 'dataset'", dataset),
        (f"the environment variable {ENVIRONMENT_VARIABLE}", os.environ.get(ENVIRONMENT_VARIABLE)),
    ):
        if not given:
            continue
        if Path(given).expanduser().is_dir():
            return str(Path(given).expanduser().resolve())
        if ON_THE_HUB.fullmatch(given):
            return given
        raise FileNotFoundError(f"MIS-Ground data set: {place} names {given!r}, which is not a folder.")
    if (Path(LOCAL_FOLDER) / "data").is_dir():  # a clone of the project itself has the same name, but no data
        return str(Path(LOCAL_FOLDER).resolve())
    return HUB_DATASET


class Rows:
    """The whole data set, memory-mapped, with an index from factor values to rows.

    Args:
        place: a folder or a Hub id.

    Raises:
        FileNotFoundError: if there is no data set at ``place``, with all places where one is looked for.
    """

    INDEXED = ("modality", "plane", "terminology", "prompt", "input", "view")
    LATER: ClassVar[dict[str, str]] = {
        "answer_type": "choice",
        "relation": "",
        "statement": "edges",
        "option_form": "listed",
    }
    """Columns that choose rows, too; older data sets may lack them."""
    USUAL: ClassVar[dict[str, str]] = {"answer_type": "choice", "statement": "edges", "option_form": "listed"}
    """What the rows of a leaf have in these columns unless it asks for something else."""

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            named = None if Path(place).is_dir() else ON_THE_HUB.fullmatch(place)
            where, revision, config = named.groups() if named else (place, None, None)
            # With data_files the cache knows a rebuilt folder from its forerunner; by config name alone it may not.
            chosen = {"name": config} if config else {"data_files": {"test": "data/**/*.parquet"}}
            data = datasets.load_dataset(where, revision=revision, split="test", **chosen)
        except Exception as error:
            raise FileNotFoundError(
                f"No MIS-Ground data set could be read from {place!r} ({type(error).__name__}: {error}). "
                'It is looked for, in order, in: the task metadata (--metadata \'{"dataset": "DIR"}\'), the '
                f"environment variable {ENVIRONMENT_VARIABLE}, the folder ./{LOCAL_FOLDER}, and the Hub "
                f"({HUB_DATASET}; not with HF_HUB_OFFLINE=1). 'mis-ground build' makes one."
            ) from error
        if _is_for_training(place):
            logger.warning(
                "MIS-Ground: the rows of %s are for training; scores on them are not benchmark results.", place
            )
        self._pictures = data.select_columns(["images"]).with_format("arrow")  # that is: not decoded
        self._texts = data.remove_columns("images")
        self.features = data.features
        later = [name for name in self.LATER if name in data.features]
        names = data.select_columns([*self.INDEXED, *later, "id", "pair_id"]).with_format("arrow")[:]
        images = self._pictures.data.column("images")
        self.image_counts: list[int] = pc.list_value_length(images).to_pylist()
        self.digest = _digest(data, images)
        self.version = ", ".join(sorted(set(data["version"]) - {None})) if "version" in data.features else ""
        self.pair_ids: list[str] = names["pair_id"].to_pylist()
        units = [pair or own for pair, own in zip(self.pair_ids, names["id"].to_pylist(), strict=True)]
        order = sorted(range(len(units)), key=lambda row: (_hash(units[row]), row))
        columns = [names[name].to_pylist() for name in self.INDEXED]
        columns += [
            names[name].to_pylist() if name in later else [usual] * len(units) for name, usual in self.LATER.items()
        ]
        keys = list(zip(*columns, strict=True))
        self._rows_of: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for rank, row in enumerate(order):
            self._rows_of[keys[row]].append(rank)
        self._order = order
        self._ids: list[str] = names["id"].to_pylist()
        self._row_of = {own: row for row, own in enumerate(self._ids)}

    def identity(self, row: int) -> str:
        """The ``id`` of a row."""
        return self._ids[row]

    def row_of(self, identity: str) -> int:
        """Where the row of that ``id`` stands."""
        return self._row_of[identity]

    def select(self, where: Mapping[str, str | Sequence[str]]) -> list[int]:
        """The rows whose columns have the values of ``where``, whole pairs side by side.

        Args:
            where: a value, or several of which any will do, by column. Rows that want a position or a number, that say
                less of the convention, or that offer their options otherwise are chosen only by these columns.
        """
        names = (*self.INDEXED, *self.LATER)
        unknown = set(where) - set(names)
        if unknown:
            raise ValueError(f"A leaf is chosen by {', '.join(names)}, not by {', '.join(sorted(unknown))}.")
        wanted = [
            (names.index(name), (value,) if isinstance(value, str) else tuple(value))
            for name, value in (self.USUAL | dict(where)).items()
        ]
        found = (ranks for key, ranks in self._rows_of.items() if all(key[i] in values for i, values in wanted))
        return [self._order[rank] for rank in sorted(rank for ranks in found for rank in ranks)]

    @cached_property
    def priors(self) -> dict[str, Document]:
        """What can be said of each position and number without its image, by the row's id; see `priors_of`."""
        columns = [name for name in priors.COLUMNS if name in self._texts.features]
        rows = self._texts.select_columns(columns)
        kinds = rows["answer_type"] if "answer_type" in columns else []
        return priors_of(rows.select([n for n, kind in enumerate(kinds) if kind != "choice"]).to_list())

    def values(self, column: str) -> list[str]:
        """The values of a column, each once; none, if there is no such column."""
        return sorted(set(self._texts[column]) - {None}) if column in self.features else []

    def text(self, row: int) -> Document:
        """A row without its images."""
        return dict(self._texts[row])

    def pictures(self, row: int) -> "list[Picture]":
        """The images of a row, not yet decoded."""
        return [Picture(partial(self._encoded, row, number)) for number in range(len(self._images(row)))]

    def facts(self) -> dict[str, Any]:
        """What the results record: place, version, content digest and number of rows of the data set."""
        return {
            "dataset": self.place,
            "data_version": self.version,
            "data_digest": self.digest,
            "data_rows": len(self.pair_ids),
        }

    def _images(self, row: int) -> Any:
        return self._pictures[row]["images"][0]

    def _encoded(self, row: int, number: int) -> bytes:
        return self._images(row)[number]["bytes"].as_py()


def _digest(data: datasets.Dataset, images: Any) -> str:
    """Sixteen hexadecimal digits of the rows' texts and their images' sizes in bytes; no image is read."""
    found = hashlib.sha256()
    columns = [name for name in ("id", "question", "options", "answer") if name in data.features]
    for batch in data.select_columns(columns).with_format("arrow").iter(batch_size=4096):
        found.update(json.dumps([batch[name].to_pylist() for name in columns], ensure_ascii=False).encode())
    for chunk in images.chunks:
        sizes = pc.binary_length(pc.struct_field(chunk.flatten(), "bytes")).fill_null(0)
        found.update(np.asarray(sizes, dtype=np.int64).tobytes())
    return found.hexdigest()[:16]


def _is_for_training(place: str) -> bool:
    """Whether a folder is marked as a training split."""
    record = Path(place) / "build.json"
    if not record.is_file():
        return False
    return any(build.get("split") == "train" for build in json.loads(record.read_text(encoding="utf-8"))["builds"])


@cache
def open_rows(place: str, version: object) -> Rows:
    """The data set at ``place``, opened once for all leaves; ``version`` changes when it is rebuilt."""
    rows = Rows(place)
    logger.info("MIS-Ground: %d rows from %s", len(rows.pair_ids), place)
    return rows


def stamp(place: str) -> int | None:
    """What distinguishes a rebuilt folder from the one before."""
    card = Path(place) / "README.md"
    return card.stat().st_mtime_ns if card.is_file() else None


class Leaf(Sequence[Document]):
    """The documents of one leaf, read when asked for.

    A leaf without rows holds placeholders instead, since the harness cannot run a task without documents: they are
    sent to no model, yield the metric ``empty`` and no other, and so show the leaf as empty without touching a mean.

    Args:
        rows: the whole data set.
        where: column values that choose the leaf's rows.
        images: whether documents carry their images.
        settings: how the questions are put.
        processes: that share the documents, each of which needs one; by default as many as torchrun started.
    """

    def __init__(
        self,
        rows: Rows,
        where: Mapping[str, str | Sequence[str]],
        images: bool,
        settings: RunSettings = DEFAULTS,
        processes: int | None = None,
    ) -> None:
        self._rows = rows
        self._images = images
        self._settings = settings
        self._chosen = rows.select(where)
        self._paired = any(rows.pair_ids[row] for row in self._chosen)
        self.most_images = max((rows.image_counts[row] for row in self._chosen), default=0)
        if settings.stack == "sheet":
            self.most_images = min(self.most_images, 1)
        self.features = rows.features
        self.empty = not self._chosen
        # Several processes deal the documents out among themselves, and none may go without.
        processes = processes or int(os.environ.get("WORLD_SIZE", "1"))
        self._length = processes if self.empty else len(self._chosen)
        if self._length < processes:
            raise ValueError(
                f"The leaf {dict(where)} has {self._length} rows for {processes} processes; the harness needs one "
                "each. Run fewer processes or build a larger data set."
            )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(self._length))]
        if not -self._length <= number < self._length:
            raise IndexError(number)
        if self.empty:
            return placeholder(self._images)
        return document_of(self._rows, self._chosen[number], self._images, self._settings) | {"paired": self._paired}


def document_of(rows: Rows, row: int, images: bool, settings: RunSettings) -> Document:
    """A row as it is asked; ``paired`` says of itself whether it has a partner.

    Args:
        rows: the whole data set.
        row: number of the row.
        images: whether the document carries its images.
        settings: how the questions are put.
    """
    document = rows.text(row)
    document["paired"] = bool(document["pair_id"])
    if settings.letters and answer_type_of(document) == "choice":
        document["letters"] = True
    if answer_type_of(document) != "choice":
        document["prior"] = dict(rows.priors[document["id"]])
    if images:
        document["images"] = rows.pictures(row)
        if settings.stack == "sheet" and len(document["images"]) > 1:
            document["panels"] = len(document["images"])
            document["images"] = [Sheet(document["images"])]
    space = _space(rows, row, document, settings)
    if space and "prior" in document:
        document["prior"]["random"] = list(priors.random_box(document["id"], space.width, space.height))
    return document | ({"coordinates": space.to_json()} if space else {})


def _space(rows: Rows, row: int, document: Document, settings: RunSettings) -> Space | None:
    """How the document's coordinates are written; None if it has none, or states pixels as stored."""
    place = answer_type_of(document) in ("box", "point")
    if not place and (settings.coordinates == "pixel" or document.get("prompt") not in TEXT_PROMPTS):
        return None
    (width, height) = rows.pictures(row)[0].size
    space = Space(settings.coordinates, width, height, pixels=settings.pixels)
    if not document.get("panels"):
        return space
    (sheet,) = document["images"]
    return replace(space, sent=sheet.size, origins=tuple(sheet.origins))


def priors_of(rows: Sequence[Document]) -> dict[str, Document]:
    """By id: ``box``, ``image`` and ``random`` of a position, ``value`` of a number; from the other volumes only."""
    found: dict[str, Document] = {}
    boxes, images, numbers = priors.box_priors(rows), priors.image_priors(rows), priors.number_priors(rows)
    for row, box, image, number in zip(rows, boxes, images, numbers, strict=True):
        if row["answer_type"] == "number":
            found[row["id"]] = {"value": number}
        else:
            found[row["id"]] = {"box": box and list(box), "image": None if image is None else round(image)}
    return found


def placeholder(images: bool) -> Document:
    """The document that stands in for those of an empty leaf."""
    document: Document = {"empty": True, "question": "This leaf holds no question.", "options": [], "answer": ""}
    if images:
        document["images"] = [Image.new("RGB", (224, 224))]
    return document


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
