"""The record of a data set folder, ``build.json``: what is in it and how it came to be.

The card and the Croissant file are made from it alone. On the Hub a data set can hold splits of several builds; the
record then lists the builds, each with the splits that are its own, so that none is forgotten when another is added.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.core.factors import TEST
from dataset_builder.core.settings import ClarityLimits, Settings

RECORD_NAME, QUARANTINE_NAME = "build.json", "quarantine.jsonl"

SLICES = "slices"
"""The config that holds the slice store."""

Key = tuple[str, str]
"""Config and split."""


@dataclass(frozen=True)
class SplitNote:
    """One split of the data set.

    Args:
        rows: how many.
        file_bytes, memory_bytes: size of the files, and of the rows in memory.
        files: paths in the folder, in the order of the rows.
    """

    rows: int
    file_bytes: int
    memory_bytes: int
    files: tuple[str, ...]


@dataclass(frozen=True)
class SourceNote:
    """Where volumes are from; the fields are a source's own (see ``sources/base.py``)."""

    name: str
    licence: str
    citation: str
    url: str
    volumes: int


@dataclass(frozen=True)
class Example:
    """A question to show on the card; ``picture`` is the image, a file in the folder, ``alt`` its description."""

    prompt: str
    question: str
    options: tuple[str, ...]
    answer: str
    source: str
    licence: str
    picture: str
    alt: str


@dataclass(frozen=True)
class GuessingRates:
    """What could be had without looking, for the questions of one terminology; shares between 0 and 1.

    Args:
        questions: how many.
        chance: of a random choice among the options.
        constant: of the best answer that is always the same word, chosen for each config and split.
        first: of always taking the first option.
        pairs: how many of the questions have an inverse.
    """

    terminology: str
    questions: int
    chance: float
    constant: float
    first: float
    pairs: int


@dataclass(frozen=True)
class BuildNote:
    """One build and the splits that are its own.

    Args:
        package, version: of this package, and of the data that it makes.
        settings: of the build, field by field.
        vocabulary: the user's own structures, as the text of the YAML file; empty if there are none.
        sources: where its volumes are from.
        structures: canonical names of what is asked about.
        slices: how many slices were cut.
        quarantined: how many cases could not be used.
        features: of the rows, and of the slices under the name ``slices``; as ``datasets.Features.to_dict()`` says it.
        splits: by config and split.
        examples: one a prompt.
        guessing_rates: one a terminology, over all rows of the build.
        pictures: whether rows hold their images; a recipe holds their sha256 instead.
        audit: the outcome of ``mis-ground check``, as :func:`audit_of` makes it; empty if there was none.
        split: what the build is for, ``test`` or ``train``.
        left_out: how many files and series of its sources no case was made of, by what they are.
        warnings: what is odd about volumes, "source/subject: what"; of very many the first.
        files_left_out: the files of ``left_out`` by kind, as far as they may be named; of very many the first.
        labels_left_out: labels that the user left out: how many scans have each.
        excluded: how many facts the settings exclude (``listed``), how many of them the volumes have (``facts``), and
            how many ``questions`` about them were left out; empty if none was to be.
        unmatched: how many questions were to be asked of another subject's slice (view ``swapped``) where none has
            another answer.
        without_rows: volumes that no question is about, "source/subject: why"; of very many the first.
    """

    package: str
    version: str
    settings: dict[str, Any]
    vocabulary: str
    sources: tuple[SourceNote, ...]
    structures: tuple[str, ...]
    slices: int
    quarantined: int
    features: dict[str, Any]
    splits: dict[Key, SplitNote] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    guessing_rates: tuple[GuessingRates, ...] = ()
    pictures: bool = True
    audit: dict[str, Any] = field(default_factory=dict)
    split: str = TEST
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    files_left_out: dict[str, list[str]] = field(default_factory=dict)
    without_rows: tuple[str, ...] = ()
    excluded: dict[str, int] = field(default_factory=dict)
    labels_left_out: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0

    def features_of(self, key: Key) -> dict[str, Any]:
        """The features of a split."""
        return self.features["slices" if is_slices(key) else "rows"]


@dataclass(frozen=True)
class Record:
    """What a data set folder holds.

    Args:
        builds: in the order in which they were added.
        content: digest of all data files (see :func:`content_version`).
    """

    builds: tuple[BuildNote, ...]
    content: str = ""

    @property
    def splits(self) -> dict[Key, SplitNote]:
        """Every split of every build, configs of the same name together."""
        found = {key: note for build in self.builds for key, note in build.splits.items()}
        configs = list(dict.fromkeys(config for config, _ in found))
        return dict(sorted(found.items(), key=lambda item: configs.index(item[0][0])))

    @property
    def questions(self) -> dict[Key, SplitNote]:
        """The splits that hold questions: all but the slices."""
        return {key: note for key, note in self.splits.items() if not is_slices(key)}

    @property
    def sources(self) -> tuple[SourceNote, ...]:
        """The sources of all builds, each once."""
        return tuple(dict.fromkeys(source for build in self.builds for source in build.sources))

    @property
    def structures(self) -> tuple[str, ...]:
        """What is asked about, over all builds."""
        return tuple(sorted({name for build in self.builds for name in build.structures}))

    @property
    def examples(self) -> tuple[Example, ...]:
        """One a prompt: of the first build that has one."""
        found: dict[str, Example] = {}
        for build in self.builds:
            for example in build.examples:
                found.setdefault(example.prompt, example)
        return tuple(found.values())

    def build_of(self, key: Key) -> BuildNote:
        """The build that a split is from."""
        return next(build for build in self.builds if key in build.splits)

    def only(self, keys: Iterable[Key]) -> "Record":
        """This record with these splits and no others; a build without any is left out."""
        kept = set(keys)
        builds = [replace(b, splits={k: note for k, note in b.splits.items() if k in kept}) for b in self.builds]
        return replace(self, builds=tuple(build for build in builds if build.splits))

    def merged_with(self, added: "Record") -> "Record":
        """This record with another's splits, which take the place of splits of the same name."""
        kept = self.only(set(self.splits) - set(added.splits))
        same = {_without_splits(build): build for build in kept.builds}
        for build in added.builds:
            known = same.get(_without_splits(build))
            same[_without_splits(build)] = (
                build if known is None else replace(known, splits=known.splits | build.splits)
            )
        return Record(tuple(same.values()))


def is_slices(key: Key) -> bool:
    """Whether a split holds slices, not questions: ``slices``, or those beside a user's own config."""
    return key[0] == SLICES or key[0].endswith(f"_{SLICES}")


def audit_of(path: Path, content: str) -> dict[str, Any]:
    """What a card says of an audit: which checks were violated, and the scores of blind baselines.

    Args:
        path: ``check.json``, or the folder with it, as ``mis-ground check`` writes it.
        content: of the data set that it should be of.

    Raises:
        BuildError: if it cannot be read, or is of other data.
    """
    path = path / "check.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        audit = {
            "checks": {check["name"]: len(check["violations"]) for check in found["checks"]},
            "guessers": {
                prior["name"]: {
                    name: [round(one["accuracy"], 4), round(one["standard_error"], 4), round(one["chance"], 4)]
                    for name, one in prior["guessers"].items()
                }
                for prior in found["guessers"]["pooled"]
            },
        }
        of = found["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(
            "The audit cannot be read.", file=path, value=str(error), remedy="Make it with: mis-ground check."
        ) from error
    if of != content:
        raise BuildError(
            "The audit belongs to other data.",
            file=path,
            value=f"content {of}, not {content}",
            remedy="Audit this data set: mis-ground check.",
        )
    return audit


BEFORE: dict[str, Any] = {"answer_types": ("choice",), "statements": ("edges",), "option_forms": ("listed",)}
"""What builds asked for that do not say: those before data version 2.1.0."""


def settings_of(note: BuildNote) -> Settings:
    """The settings that a build had.

    Raises:
        BuildError: if this version of MIS-Ground does not know one of them.
    """
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in note.settings.items()}
        fields = BEFORE | fields
        return Settings(**fields | {"clarity": ClarityLimits(**note.settings["clarity"])})
    except (TypeError, KeyError) as error:
        raise BuildError(
            "The build has settings that this version does not know.",
            value=str(error),
            remedy=f"Use MIS-Ground {note.package}.",
        ) from error


def read_record(folder: Path) -> Record:
    """The record of a data set folder.

    Raises:
        DatasetNotFoundError: if it has none that can be read.
    """
    path = folder / RECORD_NAME
    remedy = "Build the data set again with this version of MIS-Ground."
    if not path.is_file():
        raise DatasetNotFoundError(
            "This folder is not a MIS-Ground data set: it has no record of its build.", file=path, remedy=remedy
        )
    try:
        return record_from_text(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetNotFoundError(
            "The record of the build cannot be read.", file=path, value=str(error), remedy=remedy
        ) from error


def record_from_text(text: str) -> Record:
    """The record that was written as this text.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: if it is none.
    """
    written = json.loads(text)
    builds = tuple(
        BuildNote(
            **build
            | {
                "sources": tuple(SourceNote(**source) for source in build["sources"]),
                "structures": tuple(build["structures"]),
                "without_rows": tuple(build.get("without_rows", ())),
                "warnings": tuple(build.get("warnings", ())),
                "splits": dict(_splits(build["splits"])),
                "examples": tuple(Example(**e | {"options": tuple(e["options"])}) for e in build["examples"]),
                "guessing_rates": tuple(GuessingRates(**rates) for rates in build["guessing_rates"]),
            }
        )
        for build in written["builds"]
    )
    return Record(builds, written["content"])


def record_to_text(record: Record) -> str:
    """The record as the text of ``build.json``."""
    builds = [
        asdict(build) | {"splits": {"/".join(key): asdict(note) for key, note in build.splits.items()}}
        for build in record.builds
    ]
    return json.dumps({"content": record.content, "builds": builds}, indent=1, ensure_ascii=False) + "\n"


def _splits(written: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Key, SplitNote]]:
    for name, note in written.items():
        config, _, split = name.partition("/")
        yield (config, split), SplitNote(**{**note, "files": tuple(note["files"])})


def _without_splits(build: BuildNote) -> str:
    """What tells builds apart: all but the splits, which can be pushed one after the other."""
    return json.dumps(asdict(replace(build, splits={})), sort_keys=True)
