"""MIS-Ground for lm-evaluation-harness: rows, prompts, the reading of answers, and metrics.

All leaves share one data set, opened once and read row by row; a leaf is the rows whose columns have the values given
in its ``dataset_kwargs``. Within a leaf the two items of a pair stand side by side, and pairs stand in an order that
depends only on a hash of their names: ``--limit 20`` is ten whole pairs spread evenly over the leaf.
"""

import hashlib
import json
import logging
import os
import re
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import datasets
from lm_eval.api.task import ConfigurableTask
from PIL import Image

HUB_DATASET = "mis-ground/mis-ground"
"""Where the data set is looked for last."""

LOCAL_FOLDER = "mis-ground"
"""The folder in the working directory that is looked for before the Hub."""

ENVIRONMENT_VARIABLE = "MIS_GROUND_DATASET"

ON_THE_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./+-]+))?(?::([\w-]+))?")
"""A data set on the Hub: its name, a revision, a config (all questions, if none is given)."""

INSTRUCTION = "Answer with one of the options and nothing else.\nAnswer:"

Document = dict[str, Any]

logger = logging.getLogger(__name__)


# ---------------------------------------------------------------------------------------------------------- the rows


def find_dataset(dataset: str | None = None) -> str:
    """The folder or Hub id of the data set: the first that is given or there.

    Looked for in order: ``dataset`` (from ``--metadata '{"dataset": "DIR"}'``), the environment variable
    ``MIS_GROUND_DATASET``, the folder ``./mis-ground``, the Hub. The first two may also name a data set on the Hub:
    ``user/name``, with ``@revision`` and ``:config`` if wanted.

    Raises:
        FileNotFoundError: if the first or the second is given and is no folder and no Hub id.
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
        raise FileNotFoundError(f"MIS-Ground data set: {place} names {given!r}, which is no folder.")
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
            logger.warning("MIS-Ground: the rows of %s are for training; scores on them are no benchmark's.", place)
        self._pictures = data.select_columns(["images"]).with_format("arrow")  # that is: not decoded
        self._texts = data.remove_columns("images")
        self.features = data.features
        names = data.select_columns([*self.INDEXED, "id", "pair_id"]).with_format("arrow")[:]
        self.pair_ids: list[str] = names["pair_id"].to_pylist()
        units = [pair or own for pair, own in zip(self.pair_ids, names["id"].to_pylist(), strict=True)]
        order = sorted(range(len(units)), key=lambda row: (_hash(units[row]), row))
        keys = list(zip(*(names[name].to_pylist() for name in self.INDEXED), strict=True))
        self._rows_of: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for rank, row in enumerate(order):
            self._rows_of[keys[row]].append(rank)
        self._order = order

    def select(self, where: Mapping[str, str]) -> list[int]:
        """The rows whose columns have the values of ``where``, whole pairs side by side."""
        unknown = set(where) - set(self.INDEXED)
        if unknown:
            raise ValueError(f"A leaf is chosen by {', '.join(self.INDEXED)}, not by {', '.join(sorted(unknown))}.")
        wanted = [(self.INDEXED.index(name), value) for name, value in where.items()]
        found = (ranks for key, ranks in self._rows_of.items() if all(key[i] == value for i, value in wanted))
        return [self._order[rank] for rank in sorted(rank for ranks in found for rank in ranks)]

    def text(self, row: int) -> Document:
        """A row without its pictures."""
        return dict(self._texts[row])

    def pictures(self, row: int) -> "list[Picture]":
        """The pictures of a row, not yet decoded."""
        return [Picture(partial(self._encoded, row, number)) for number in range(len(self._images(row)))]

    def _images(self, row: int) -> Any:
        return self._pictures[row]["images"][0]

    def _encoded(self, row: int, number: int) -> bytes:
        return self._images(row)[number]["bytes"].as_py()


def _is_for_training(place: str) -> bool:
    """Whether a folder says of itself that it is a training split."""
    record = Path(place) / "build.json"
    if not record.is_file():
        return False
    return any(build.get("split") == "train" for build in json.loads(record.read_text(encoding="utf-8"))["builds"])


@cache
def open_rows(place: str, version: object) -> Rows:
    """The data set at ``place``, opened once for all leaves; ``version`` tells a rebuilt one from its forerunner."""
    rows = Rows(place)
    logger.info("MIS-Ground: %d rows from %s", len(rows.pair_ids), place)
    return rows


class Leaf(Sequence[Document]):
    """The documents of one leaf, read when asked for.

    A leaf without rows holds placeholders instead, since the harness cannot run a task without documents: they are
    sent to the model, yield the metric ``empty`` and no other, and so show the leaf as empty without touching a mean.

    Args:
        rows: the whole data set.
        where: column values that choose the leaf's rows.
        pictures: whether documents carry their pictures.
    """

    def __init__(self, rows: Rows, where: Mapping[str, str], pictures: bool) -> None:
        self._rows = rows
        self._pictures = pictures
        self._chosen = rows.select(where)
        self._paired = any(rows.pair_ids[row] for row in self._chosen)
        self.features = rows.features
        self.empty = not self._chosen
        # Several processes deal the documents out among themselves, and none may go without.
        processes = int(os.environ.get("WORLD_SIZE", "1"))
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
            return placeholder(self._pictures)
        row = self._chosen[number]
        document = self._rows.text(row) | {"paired": self._paired}
        if self._pictures:
            document["images"] = self._rows.pictures(row)
        return document


def placeholder(pictures: bool) -> Document:
    """The document that stands in for those of an empty leaf."""
    document: Document = {"empty": True, "question": "This leaf holds no question.", "options": [], "answer": ""}
    if pictures:
        document["images"] = [Image.new("RGB", (224, 224))]
    return document


class MISGroundTask(ConfigurableTask):
    """A leaf. Differs from other configured tasks only in where its rows come from.

    (``custom_dataset`` would do as well, but logs a warning for each of the many leaves.)
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Choose this leaf's rows in the shared data set."""
        place = find_dataset((self.config.metadata or {}).get("dataset"))
        card = Path(place) / "README.md"
        rows = open_rows(place, card.stat().st_mtime_ns if card.is_file() else None)
        where = (dataset_kwargs or {})["where"]
        self.dataset = {"test": Leaf(rows, where, pictures=self.config.doc_to_image is not None)}

    def fewshot_docs(self) -> None:
        """None: the default would read every document of the leaf to offer it as an example."""


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


# ------------------------------------------------------------------------------------------------------ the pictures


class Picture(Image.Image):
    """A picture of the data set in RGB, decoded when it is used and forgotten some pictures later.

    The harness holds the pictures of all requests at once: decoded, those of the whole benchmark would fill 26 GB.

    Args:
        read: gives the encoded picture.
    """

    _decoded: ClassVar[deque["Picture"]] = deque()
    KEPT = 128

    def __init__(self, read: Callable[[], bytes]) -> None:
        super().__init__()
        self._read = read
        with Image.open(BytesIO(read())) as header:
            self._size = header.size
        self._mode = "RGB"
        self._is_decoded = False

    def load(self) -> Any:
        """Decode, if that has not been done or has been forgotten."""
        if not self._is_decoded:
            with Image.open(BytesIO(self._read())) as stored:
                self.im = stored.convert("RGB").im
            self._is_decoded = True
            self._decoded.append(self)
            if len(self._decoded) > self.KEPT:
                self._decoded.popleft()._forget()
        return super().load()

    def _forget(self) -> None:
        self.im = None  # type: ignore[assignment]
        self._is_decoded = False

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As any picture; but to an open file, as PNG with no settings (so the harness hashes pictures), as stored."""
        if format == "PNG" and not params and hasattr(fp, "write"):
            fp.write(self._read())
        else:
            super().save(fp, format, **params)

    def __repr__(self) -> str:
        return f"<Picture sha256={hashlib.sha256(self._read()).hexdigest()}>"

    def __reduce__(self) -> Any:
        return Image.open, (BytesIO(self._read()),)


# -------------------------------------------------------------------------------------------------------- the prompt


def doc_to_text(doc: Document) -> str:
    """The prompt of a leaf with pictures: a place for each picture, in order, then the question."""
    return "<image>" * len(doc["images"]) + "\n" + doc_to_blind_text(doc)


def doc_to_blind_text(doc: Document) -> str:
    """The prompt of a leaf without pictures."""
    return f"{doc['question']}\n{INSTRUCTION}"


# -------------------------------------------------------------------------------------------- the reading of answers

PLAIN_FOLLOWERS = frozenset({"and", "at", "from", "in", "of", "on", "or", "structure", "than", "the", "to", "with"})
"""Words that may follow an option in a question without making a name of the two."""

NEGATION = re.compile(r"(?:\b(?:not|neither|nor)|n't)(?: (?:to|on|in|at|the|a))*[ '(]*$")


def plain(text: str) -> str:
    r"""Text as answers are compared: no case, no markup, one kind of dash, quote and blank.

    >>> plain("**Left**\u2013hand  side")
    'left-hand side'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[\u2010-\u2015\u2212]", "-", text)
    text = re.sub("[\u2018\u2019\u02bc]", "'", text)
    text = re.sub(r'[*`#~"\u201c\u201d]', "", text)
    return re.sub(r"[\s_]+", " ", text).strip()


def extract_answer(reply: str, options: Sequence[str], question: str = "") -> str | None:
    """The option that a reply gives, or None: the first option found in it as a whole word or phrase.

    Case, punctuation, markup, and what stands before ("A)", "Answer:") do not matter; of options that begin at the
    same place the longest counts. Three kinds of places are passed over, and nothing is concluded from them:

    * in the reasoning of a model that marks it with ``<think>``;
    * after a negation ("not left", "isn't to the left", "non-adjacent");
    * in a longer name that the question uses too: where it asks about "the left kidney", "left kidney" is no "left".

    Args:
        reply: the generated text.
        options: the options as listed.
        question: the question, for the names in it.
    """
    if "</think>" in reply:
        reply = reply.rsplit("</think>", 1)[1]
    elif "<think>" in reply:
        return None
    text, asked = plain(reply), plain(question)
    by_text = {plain(option): option for option in options}
    if not by_text:
        return None
    longest_first = sorted(by_text, key=len, reverse=True)
    either = "|".join(r"[ -]".join(map(re.escape, re.split(r"[ -]", option))) for option in longest_first)
    for found in re.finditer(rf"(?<!\w)(?<!\w-)(?:{either})(?!\w)", text):
        if NEGATION.search(text[: found.start()]):
            continue
        following = re.match(r"[ -](\w+)", text[found.end() :])
        if following and following[1] not in PLAIN_FOLLOWERS:
            name = re.escape(found[0]) + r"[ -]" + re.escape(following[1])
            if re.search(rf"(?<!\w){name}(?!\w)", asked):
                continue
        return next(option for key, option in by_text.items() if key.replace("-", " ") == found[0].replace("-", " "))
    return None


# ------------------------------------------------------------------------------------------------------- the metrics


def process_results(doc: Document, results: Sequence[str]) -> dict[str, Any]:
    """The scores of one document: ``acc``, ``invalid``, and ``pair_acc`` where the leaf has pairs; see `pair_acc`."""
    if doc.get("empty"):
        return {"empty": 1.0}
    answer = extract_answer(results[0], doc["options"], doc["question"])
    correct = answer == doc["answer"]
    scores: dict[str, Any] = {"acc": float(correct), "invalid": float(answer is None)}
    if doc["paired"]:
        scores["pair_acc"] = (doc["pair_id"], correct)
    return scores


def pair_acc(items: Iterable[tuple[str, bool]]) -> float:
    """The share of pairs of which both items were answered rightly.

    Items without a partner do not count: those that have none by nature (their pair_id is ""), and those whose partner
    ``--limit`` cut off. Where no whole pair is left there is no number (NaN).
    """
    pairs: dict[str, list[bool]] = defaultdict(list)
    for pair_id, correct in items:
        if pair_id:
            pairs[pair_id].append(correct)
    whole = [all(members) for members in pairs.values() if len(members) == 2]
    return sum(whole) / len(whole) if whole else float("nan")
