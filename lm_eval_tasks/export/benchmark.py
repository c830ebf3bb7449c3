"""The questions of a data set as any harness can ask them, by the tasks, tags and groups of lm-evaluation-harness."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Self

import yaml

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.generate import TAG, Leaf, groups, leaves
from lm_eval_tasks.mis_ground.metrics import process_results
from lm_eval_tasks.mis_ground.prompts import doc_to_blind_text
from lm_eval_tasks.mis_ground.reading import READER_VERSION
from lm_eval_tasks.mis_ground.replies import Reply
from lm_eval_tasks.mis_ground.rows import Leaf as Documents
from lm_eval_tasks.mis_ground.rows import Rows, document_of, find_dataset, open_rows, stamp
from lm_eval_tasks.mis_ground.settings import DATASET, FROM, RunSettings
from lm_eval_tasks.report.items import patient

Document = dict[str, Any]

SETTINGS_FILE = "settings.yaml"
"""In an exported folder: the data set, and how its questions are asked."""


@dataclass(frozen=True)
class Benchmark:
    """A data set, and how its questions are asked.

    Args:
        place: folder or Hub id of the data set.
        settings: of the run.
    """

    place: str
    settings: RunSettings

    @classmethod
    def of(cls, folder: Path, **given: Any) -> Self:
        """The benchmark that an exported folder's `SETTINGS_FILE` names.

        Args:
            folder: the exported folder.
            given: settings, or the data set, that are to be others; None leaves one as the file has it.

        Raises:
            RunSettingsError: if a setting is unknown or illegal.
        """
        stored = yaml.safe_load((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        changed = {name: value for name, value in given.items() if value is not None}
        if "coordinates" in changed:
            stored.pop(FROM, None)
        both = stored | changed
        return cls(find_dataset(both.pop(DATASET)), RunSettings.from_metadata(both))

    def settings_text(self) -> str:
        """The text of `SETTINGS_FILE`."""
        known = {DATASET: self.place} | self.settings.as_dict() | self.settings.notes()
        known.pop("coordinates_pixels", None)
        if self.settings.coordinates == "pixel28":
            known |= dict(zip(("min_pixels", "max_pixels"), self.settings.pixels, strict=True))
        head = "# Written by mis-ground export: the data set, and how its questions are asked (docs/scoring.md).\n"
        return head + yaml.safe_dump(known, sort_keys=False, allow_unicode=True)

    @cached_property
    def rows(self) -> Rows:
        """The data set's rows; read once in a process, however many benchmarks use them."""
        return open_rows(self.place, stamp(self.place))

    @cached_property
    def licences(self) -> list[str]:
        """Licences of the images, by name."""
        return self.rows.values("licence")

    @cached_property
    def tasks(self) -> list[Leaf]:
        """The tasks that have questions in this data set."""
        return [leaf for leaf in leaves() if self.rows.select(leaf.where)]

    def choose(self, wanted: str | Sequence[str]) -> list[Leaf]:
        """Tasks by name, pattern, tag or group; several separated by commas.

        A pattern beside others may match nothing: a data set need not have every control.

        Raises:
            MISGroundError: if one of them, or all patterns together, name no task with questions.
        """
        names = wanted.split(",") if isinstance(wanted, str) else list(wanted)
        chosen: dict[str, Leaf] = {}
        for name in map(str.strip, names):
            found = self.matching(name)
            if not found and ("*" not in name or not any(map(self.matching, map(str.strip, names)))):
                raise MISGroundError(
                    "No task of that name has questions in the data set.",
                    file=self.place,
                    value=name,
                    remedy=f"Choose among the groups {', '.join(groups())}, the tags and the tasks: "
                    f"{', '.join(leaf.name for leaf in self.tasks[:4])} ...",
                )
            chosen |= {leaf.name: leaf for leaf in found}
        return list(chosen.values())

    def matching(self, name: str) -> list[Leaf]:
        """The tasks with questions that a name, pattern, tag or group stands for; none, if there are none."""
        patterns = list(expanded(name))
        return [leaf for leaf in self.tasks if any(fnmatchcase(leaf.name, pattern) for pattern in patterns)]

    def count(self, chosen: Sequence[Leaf]) -> int:
        """How many questions tasks have."""
        return sum(len(self.rows.select(leaf.where)) for leaf in chosen)

    def documents(self, leaf: Leaf) -> Documents:
        """The documents of a task, in the order in which lm-evaluation-harness asks them."""
        return Documents(self.rows, leaf.where, images=not leaf.blind, settings=self.settings, processes=1)

    def document(self, identity: str) -> Document:
        """The document of a row, by its ``id``, with its images."""
        return document_of(self.rows, self.rows.row_of(identity), images=True, settings=self.settings)

    def rows_of(self, task: str, identities: Sequence[str]) -> list[int]:
        """Where the rows of a task stand among rows of these ``id``."""
        (leaf,) = (leaf for leaf in self.tasks if leaf.name == task)
        place = {identity: number for number, identity in enumerate(identities)}
        return [place[self.rows.identity(row)] for row in self.rows.select(leaf.where)]

    def prompt(self, document: Document) -> str:
        """The text that follows the images."""
        return doc_to_blind_text(document, self.settings)

    def facts(self) -> Document:
        """What results record: the data set's place, version and digest, the settings, the version of the reader."""
        return self.rows.facts() | self.settings.as_dict() | self.settings.notes() | {"reader": READER_VERSION}

    def budget(self, chosen: Sequence[Leaf]) -> int:
        """Tokens that an answer may take: the most that any of the tasks allows."""
        return max(self.settings.budget(leaf.answer_type) for leaf in chosen)


@cache
def opened_once(folder: str) -> Benchmark:
    """The benchmark of an exported folder, the same for all that ask.

    lmms-eval runs the module of a task anew for each function that its files name.
    """
    return Benchmark.of(Path(folder))


def expanded(name: str) -> Iterator[str]:
    """The patterns of task names that a task, a pattern, a tag or a group stands for."""
    if name in groups():
        for member in groups()[name]:
            yield from expanded(member)
    elif name.startswith(TAG):
        tag = name.removeprefix(TAG)
        yield from (leaf.name for leaf in leaves() if any(fnmatchcase(each, tag) for each in leaf.tags))
    else:
        yield name


def without_images(document: Mapping[str, Any]) -> Document:
    """A document as JSON takes it."""
    return {name: value for name, value in document.items() if name != "images"}


def cluster_of(document: Mapping[str, Any]) -> str:
    """What standard errors are to be clustered by: the volume, or its patient, as in `mis-ground report`."""
    return patient(document)


def score(document: Document, reply: str, finish_reason: str | None = None) -> dict[str, Any]:
    """The scores of a reply, as in lm-evaluation-harness; see `process_results`."""
    return process_results(document, [Reply(reply, finish_reason)])
