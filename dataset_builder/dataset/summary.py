"""What a finished data set folder holds, read from its files: the note of the build, and images for the card."""

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq

from dataset_builder.core.factors import PROMPTS, TERMINOLOGIES, TEST, Split
from dataset_builder.core.settings import Settings
from dataset_builder.core.version import package_version
from dataset_builder.dataset.format import VERSION
from dataset_builder.dataset.manifest import BuildNote, Example, GuessingRates, Key, SourceNote, SplitNote
from dataset_builder.dataset.parquet import NOTHING_KNOWN, FileNote, note_file
from dataset_builder.files.atomic import sha256_of

EXAMPLES = "examples"
"""Folder of the card's images."""

_COMMON = {
    "input": "slice",
    "view": "plain",
    "statement": "edges",
    "option_form": "listed",
    "terminology": "directional",
    "convention": "radiological",
    "register": "clinical",
    "frame": "patient",
    "answer_type": "choice",
}
"""What an example on the card should be like."""

_ROWS_AT_A_TIME = 4096

MOST_WARNINGS = 200
"""How many are kept in the note of a build."""

_ANSWERS = ["terminology", "answer", "answer_index", "options", "pair_id", "input", "view", "answer_type"]
_ANSWERS += ["statement", "option_form"]


def describe_build(
    folder: Path,
    splits: Mapping[Key, Sequence[str]],
    settings: Settings,
    volumes: Iterable[Mapping[str, Any]],
    structures: Sequence[str],
    slices: int,
    quarantined: int,
    vocabulary: str = "",
    split: Split = TEST,
    known: Mapping[str, FileNote] = NOTHING_KNOWN,
    left_out: Mapping[str, int] | None = None,
    reported: Mapping[str, Any] | None = None,
) -> BuildNote:
    """The note of a build whose data files are all there; writes the examples' images into the folder.

    Args:
        folder: the data set.
        splits: files of each split, as paths in the folder; those of the config ``slices`` are the slice store.
        settings: of the build.
        volumes: the store's note of each volume (source, licence, citation, url).
        structures: canonical names that are asked about.
        slices: number of slices.
        quarantined: number of cases that could not be used.
        vocabulary: text of the user's own structures.
        split: what the build is for.
        known: what was noted of files already, by their paths in the folder.
        left_out: how many files and series no case was made of, by what they are.
        reported: further fields of the note: ``files_left_out``, ``without_rows``, ``unmatched``.
    """
    asked = [[folder / file for file in files] for key, files in splits.items() if key[0] != "slices"]
    questions = [file for files in asked for file in files]
    features = {"rows": _features(questions[0])}
    for key, files in splits.items():
        if key[0] == "slices":
            features["slices"] = _features(folder / files[0])
    warnings: list[str] = []
    ignored: Counter[str] = Counter()
    return BuildNote(
        package=package_version(),
        version=VERSION,
        settings=dataclasses.asdict(settings),
        vocabulary=vocabulary,
        sources=tuple(_sources(_listening(volumes, warnings, ignored))),
        structures=tuple(structures),
        slices=slices,
        quarantined=quarantined,
        features=features,
        splits={key: note_split(folder, files, known) for key, files in splits.items()},
        examples=tuple(_write_examples(folder, questions)),
        guessing_rates=tuple(_guessing_rates(asked)),
        split=split,
        left_out=dict(left_out or {}),
        warnings=tuple(warnings),  # filled while the sources were counted
        labels_left_out=dict(sorted(ignored.items())),  # so is this
        **(reported or {}),
    )


def _listening(
    volumes: Iterable[Mapping[str, Any]], warnings: list[str], ignored: Counter[str]
) -> Iterator[Mapping[str, Any]]:
    """The volumes' notes as they come; what is odd about them, and labels that are left out, is added to what is given.

    Of the odd, up to a number.
    """
    first: dict[str, str] = {}  # of each scan, where it was seen first
    for volume in volumes:
        name, scan = f"{volume.get('source')}/{volume.get('subject')}", str(volume.get("scan_sha256") or "")
        same = first.setdefault(scan, name) if scan else name
        again = [] if same == name else [f"it is the same scan as {same}; both are counted as one"]
        for warning in (*(volume.get("warnings") or ()), *again):
            if len(warnings) < MOST_WARNINGS:
                warnings.append(f"{name}: {warning}")
            elif len(warnings) == MOST_WARNINGS:
                warnings.append("There are more, of other volumes.")
        ignored.update(volume.get("ignored") or ())
        yield volume


def note_split(folder: Path, files: Sequence[str], known: Mapping[str, FileNote] = NOTHING_KNOWN) -> SplitNote:
    """Rows and sizes of a split's files; those that are ``known`` are not looked at again."""
    notes = [known.get(file) or note_file(folder / file) for file in files]
    return SplitNote(
        rows=sum(note.rows for note in notes),
        file_bytes=sum(note.file_bytes for note in notes),
        memory_bytes=sum(note.memory_bytes for note in notes),
        files=tuple(files),
    )


def file_hashes(folder: Path, known: Mapping[str, FileNote] = NOTHING_KNOWN) -> dict[str, str]:
    """The sha256 of each data file, by its path in the folder; those that are ``known`` are not read again."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.parquet"))}
    return {name: known[name].sha256 if name in known else sha256_of(path) for name, path in paths.items()}


def content_version(hashes: Mapping[str, str]) -> str:
    """What data files hold, as sixteen hexadecimal digits: the same for the same files wherever they are.

    Args:
        hashes: path -> sha256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for path, sha256 in sorted(hashes.items()):
        digest.update(f"{path}\n".encode())
        digest.update(bytes.fromhex(sha256))
    return digest.hexdigest()[:16]


def _features(path: Path) -> dict[str, Any]:
    return datasets.Features.from_arrow_schema(pq.read_schema(path)).to_dict()


def distinct_scans(volumes: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The notes of volumes, one of each scan: a scan may be there under several names."""
    seen: set[str] = set()
    for volume in volumes:
        scan = str(volume.get("scan_sha256") or "")
        if not scan or scan not in seen:
            seen.add(scan)
            yield volume


def _sources(volumes: Iterable[Mapping[str, Any]]) -> Iterator[SourceNote]:
    names = ("source", "licence", "citation", "url")
    count = Counter(tuple(str(v.get(name) or "") for name in names) for v in distinct_scans(volumes))
    for (name, licence, citation, url), number in sorted(count.items()):
        yield SourceNote(name, licence, citation, url, number)


def _guessing_rates(splits: Iterable[Sequence[Path]]) -> Iterator[GuessingRates]:
    """How often one would be right without looking; the best constant answer is chosen per split.

    Controls (such as blank canvases and turned images) ask the same again, and are left out.
    """
    count: dict[str, Counter[str]] = defaultdict(Counter)
    chance: dict[str, float] = defaultdict(float)
    for paths in splits:
        answers: dict[str, Counter[str]] = defaultdict(Counter)
        for row in (row for path in paths for row in _rows(path, _ANSWERS)):
            usual = {"view": "plain", "answer_type": "choice", "statement": "edges", "option_form": "listed"}
            if row["input"] == "blank" or any(row.get(name, value) != value for name, value in usual.items()):
                continue
            of = count[row["terminology"]]
            of["questions"] += 1
            of["first"] += row["answer_index"] == 0
            of["pairs"] += bool(row["pair_id"])
            chance[row["terminology"]] += 1 / len(row["options"])
            answers[row["terminology"]][row["answer"]] += 1
        for terminology, words in answers.items():
            count[terminology]["constant"] += max(words.values())
    for terminology in TERMINOLOGIES:
        if found := count.get(terminology):
            total = found["questions"]
            yield GuessingRates(
                terminology,
                questions=total,
                chance=round(chance[terminology] / total, 4),
                constant=round(found["constant"] / total, 4),
                first=round(found["first"] / total, 4),
                pairs=found["pairs"],
            )


def _write_examples(folder: Path, paths: Sequence[Path]) -> Iterator[Example]:
    """The question of each prompt that is most like the others of its kind, with its image beside the card."""
    best: dict[str, tuple[int, Path, int]] = {}
    for path in paths:
        for number, row in enumerate(_rows(path, ["prompt", *_COMMON])):
            liked = sum(row.get(name, value) == value for name, value in _COMMON.items())
            if row["prompt"] not in best or liked > best[row["prompt"]][0]:
                best[row["prompt"]] = (liked, path, number)
    for prompt in PROMPTS:
        if prompt in best:
            _, path, number = best[prompt]
            row = _row(path, number)
            image = f"{EXAMPLES}/{prompt}.png"
            (folder / EXAMPLES).mkdir(exist_ok=True)
            (folder / image).write_bytes(row["images"][0]["bytes"])
            marked = "unmarked" if prompt in ("none", "text_point", "text_box") else f"marked by {prompt}"
            alt = f"{row['plane']} {row['modality'].upper()} slice, {marked}"
            texts = (row["question"], tuple(row["options"]), row["answer"], row["source"], row["licence"])
            yield Example(prompt, *texts, picture=image, alt=alt)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of all rows, as far as the file has them, some rows at a time."""
    file = pq.ParquetFile(path)
    there = [name for name in columns if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=there, batch_size=_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def _row(path: Path, number: int) -> dict[str, Any]:
    """One row, without reading more than its row group."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        if number < file.metadata.row_group(group).num_rows:
            return dict(file.read_row_group(group).slice(number, 1).to_pylist()[0])
        number -= file.metadata.row_group(group).num_rows
    raise IndexError(number)
