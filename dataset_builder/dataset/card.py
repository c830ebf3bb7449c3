"""The data set's card: ``dataset_card.md`` filled in with what the record of a folder says.

The parts of the text that a record decides stand between ``<!-- mis-ground:NAME -->`` marks. A card that its owner has
edited keeps the owner's words when more is pushed: only the marked parts and the lists of the metadata are renewed.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import jinja2
import yaml
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict, SplitInfo
from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builder.core.errors import HubError
from dataset_builder.core.factors import (
    TEST,
    Split,
)
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.card_text import ALL_FILES, all_of, factor_table, parts
from dataset_builder.dataset.croissant import CROISSANT_NAME, croissant_text
from dataset_builder.dataset.licences import most_restrictive
from dataset_builder.dataset.manifest import RECORD_NAME, SLICES, Key, Record, record_to_text
from dataset_builder.dataset.parquet import NOTHING_KNOWN, FileNote
from dataset_builder.dataset.summary import content_version, describe_build, file_hashes

CARD_NAME = "README.md"

SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def template_path() -> Path:
    """The template: beside the packages in a source checkout, inside this package in a wheel."""
    inside = Path(__file__).with_name("dataset_card.md")
    return inside if inside.exists() else Path(__file__).parents[2] / "dataset_card.md"


def write_card(
    folder: Path,
    settings: Settings,
    splits: Mapping[Key, Sequence[str]],
    slices: int,
    volumes: Iterable[Mapping[str, Any]],
    structures: Sequence[str] = (),
    quarantined: int = 0,
    vocabulary: str = "",
    split: Split = TEST,
    known: Mapping[str, FileNote] = NOTHING_KNOWN,
    left_out: Mapping[str, int] | None = None,
    reported: Mapping[str, Any] | None = None,
) -> Path:
    """Write card, record, Croissant file and example images into a data set folder.

    Args:
        folder: the data set, its data files already there.
        settings: of the build.
        splits: files of each split in the order of their rows, as paths in the folder; those of the config ``slices``
            are the slice store.
        slices: number of slices.
        volumes: the store's note of each volume (source, licence, citation, url).
        structures: canonical names that are asked about.
        quarantined: number of cases that could not be used.
        vocabulary: text of the user's own structures, if any.
        split: purpose of the data set, ``test`` or ``train``.
        known: what was noted of the data files when they were written, by their paths in the folder.
        left_out: how many files and series no case was made of, by what they are.
        reported: further fields of the record: ``files_left_out``, ``without_rows``, ``unmatched``.
    """
    build = describe_build(
        folder, splits, settings, volumes, structures, slices, quarantined, vocabulary, split, known, left_out, reported
    )
    hashes = file_hashes(folder, known)
    record = Record((build,), content_version(hashes))
    (folder / RECORD_NAME).write_text(record_to_text(record), encoding="utf-8")
    (folder / CROISSANT_NAME).write_text(croissant_text(record, hashes), encoding="utf-8")
    path = folder / CARD_NAME
    path.write_text(make_card(record), encoding="utf-8")
    return path


def make_card(record: Record, place: str = "mis-ground") -> str:
    """The text of a data set's card.

    Args:
        record: what it holds.
        place: how ``load_dataset`` calls it: a folder, or the name of a repository.
    """
    # DatasetCard.from_template would do as well, but parse its own text again: most of the time of a build's end.
    template = jinja2.Template(template_path().read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
    metadata = card_data(record).to_yaml()
    return template.render(card_data=metadata, factor_table=factor_table(), **parts(record, place)) + "\n"


def card_data(record: Record) -> DatasetCardData:
    """The metadata of the card."""
    questions = sum(note.rows for note in record.questions.values())
    governing = most_restrictive(source.licence for source in record.sources)
    data = DatasetCardData(
        pretty_name="MIS-Ground",
        language="en",
        license=governing.hub,
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=["medical", "radiology", "ct", "mri", "spatial-reasoning", "benchmark", "mis-ground", "croissant"],
        size_categories=next((name for limit, name in SIZE_CATEGORIES if questions < limit), "n>1M"),
        configs=configs_of(record),
    )
    if governing.hub == "other":
        data["license_name"] = re.sub(r"[^a-z0-9]+", "-", governing.name.lower()).strip("-")
    DatasetInfosDict(_infos(record)).to_dataset_card_data(data)
    return data


def configs_of(record: Record) -> list[dict[str, Any]]:
    """The card's ``configs``: ``all`` reads every file of questions, each other config has the splits of the record.

    Each says the version of the content: ``load_dataset`` keeps a local folder in its cache under the folder's name and
    a hash of ``configs`` alone, and would show an earlier build of the same name without it.
    """
    files: dict[str, dict[str, tuple[str, ...]]] = {}
    for (config, split), note in record.splits.items():
        files.setdefault(config, {})[split] = note.files
    configs: list[dict[str, Any]] = []
    if everything := all_of(record):
        split = record.build_of(everything[0]).split
        configs.append({"config_name": "all", "data_files": [{"split": split, "path": ALL_FILES}]})
    # The slices come last: they are for those who make questions, not for those who answer them.
    for config in sorted(files, key=lambda name: name == SLICES):
        data_files = [
            {"split": split, "path": paths[0] if len(paths) == 1 else list(paths)}
            for split, paths in files[config].items()
        ]
        configs.append({"config_name": config, "data_files": data_files})
    configs[0]["default"] = True
    return [config | {"description": f"content {record.content}"} for config in configs]


def _infos(record: Record) -> dict[str, datasets.DatasetInfo]:
    """Features and sizes of each config; ``load_dataset`` refuses a data set whose rows are not as many."""
    members: dict[str, dict[str, list[Key]]] = {}
    if everything := all_of(record):
        members["all"] = {record.build_of(everything[0]).split: everything}
    for key in record.splits:
        members.setdefault(key[0], {})[key[1]] = [key]
    infos = {}
    for config, splits in members.items():
        notes = {split: [record.splits[key] for key in keys] for split, keys in splits.items()}
        sizes = {split: sum(note.memory_bytes for note in found) for split, found in notes.items()}
        split_infos = SplitDict()
        for split, found in notes.items():
            split_infos.add(SplitInfo(split, num_bytes=sizes[split], num_examples=sum(note.rows for note in found)))
        last = next(reversed(splits.values()))[-1]
        infos[config] = datasets.DatasetInfo(
            features=datasets.Features.from_dict(record.build_of(last).features_of(last)),
            splits=split_infos,
            download_size=sum(note.file_bytes for found in notes.values() for note in found),
            dataset_size=sum(sizes.values()),
        )
    return infos


# ------------------------------------------------------------------------------------------------ a card that is there


def merge_card(written: str, record: Record, place: str) -> str:
    """A card that its owner may have edited, brought up to date.

    The owner's text and metadata stay. Renewed are the marked parts, the configs and sizes of the record's splits, and
    what the sources decide (licence, size category). Configs that are not MIS-Ground's stay as they are.

    Args:
        written: the card as it is.
        record: of the whole data set.
        place: how ``load_dataset`` calls it.
    """
    old = _read_card(written, place)
    before, now = old.data.to_dict(), card_data(record).to_dict()
    merged = before | now
    for name in ("configs", "dataset_info"):
        merged[name] = _merge_named(_listed(before.get(name)), _listed(now.get(name)))
    for name in ("tags", "task_categories"):
        merged[name] = _union(before.get(name), now.get(name))
    for name in ("language", "pretty_name"):
        merged[name] = before.get(name) or now[name]
    if merged["license"] != "other":
        merged.pop("license_name", None)
    old.data = DatasetCardData(**merged)
    text = str(old)
    for name, part in parts(record, place).items():
        pattern = rf"(<!-- mis-ground:{name} -->\n).*?(\n<!-- /mis-ground:{name} -->)"
        text = re.sub(pattern, lambda found, part=part: found[1] + part + found[2], text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def _read_card(text: str, place: str) -> DatasetCard:
    try:
        card = DatasetCard(text, ignore_metadata_errors=True)
        card.data.to_dict()
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 2}: " if where is not None else ""
        raise HubError(
            f"The metadata at the head of the card of {place} is not valid YAML; nothing was sent.",
            file=CARD_NAME,
            value=line + str(getattr(error, "problem", None) or error).splitlines()[0],
            remedy="Correct the lines between the two '---' of the card.",
        ) from error
    return card


def with_own_text(remote: str | None, here: str, record: Record, place: str) -> str | None:
    """The card to bring up to date: the one on the Hub, with what its owner wrote into the one in the folder.

    Where only one of them was edited, that one; where both were, the one on the Hub, with the paragraphs and the
    metadata at its end that only the one in the folder has.

    Args:
        remote: the card on the Hub; None if there is none.
        here: the card in the folder.
        record: of the data set.
        place: name of the repository.

    Returns:
        None if nobody has edited a card, and there is none on the Hub.
    """
    made = make_card(record, place)
    own_here = _own_paragraphs(here, made)
    extra = _own_metadata(here, made, f"the folder of {place}")
    if not own_here and not extra:
        return remote
    if remote is None or (not (own_there := _own_paragraphs(remote, made)) and not _own_metadata(remote, made, place)):
        return here
    if set(own_there) <= set(own_here) and not _own_metadata(remote, here, place):
        return here
    card = _read_card(remote, place)
    known = set(_paragraphs(remote))
    added = [each for each in own_here if each not in known and not difflib.get_close_matches(each, known, 1, 0.8)]
    card.data = DatasetCardData(**(extra | card.data.to_dict()))
    return "\n\n".join([str(card).rstrip("\n"), *added]) + "\n"


def edited_cards(remote: str | None, here: str | None, record: Record, place: str) -> tuple[str, ...]:
    """Where a card has text or metadata of its owner's, which :func:`with_own_text` keeps."""
    made = make_card(record, place)
    cards = {"in the folder": here, "on the Hub": remote}
    return tuple(
        where
        for where, card in cards.items()
        if card and (_own_paragraphs(card, made) or _own_metadata(card, made, where))
    )


def _own_paragraphs(card: str, made: str) -> list[str]:
    """The paragraphs of a card that its owner wrote."""
    known = set(_paragraphs(made))
    return [each for each in _paragraphs(card) if each not in known]


def _paragraphs(card: str) -> list[str]:
    """The paragraphs of a card's text outside of the marked parts."""
    body = re.sub(r"\A---\n.*?\n---\n", "", card.replace("\r\n", "\n"), flags=re.DOTALL)
    body = re.sub(r"<!-- mis-ground:(\w+) -->.*?<!-- /mis-ground:\1 -->", "", body, flags=re.DOTALL)
    return [each.strip() for each in re.split(r"\n\s*\n", body) if each.strip()]


def _own_metadata(card: str, made: str, place: str) -> dict[str, Any]:
    """The metadata that a card has and another has not, or has otherwise, but for what the data decide."""
    decided = ("configs", "dataset_info", "size_categories", "license", "license_name")
    before, now = (_read_card(text, place).data.to_dict() for text in (card, made))
    return {name: value for name, value in before.items() if name not in decided and now.get(name) != value}


def _listed(value: Any) -> list[dict[str, Any]]:
    if not value:
        return []
    entries = [value] if isinstance(value, dict) else list(value)
    return [{"config_name": "default"} | entry for entry in entries if isinstance(entry, dict)]


def _merge_named(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries by config name: those of now, then the others of before, which are nobody's default any more.

    A config of the name "default" is the default whatever it says; ours must not be another one beside it.
    """
    names = {entry["config_name"] for entry in now}
    others = [
        {k: v for k, v in entry.items() if k != "default"} for entry in before if entry["config_name"] not in names
    ]
    if any(entry["config_name"] == "default" for entry in others):
        now = [{name: value for name, value in entry.items() if name != "default"} for entry in now]
    return now + others


def _union(before: Any, now: Any) -> list[str]:
    values = [*([before] if isinstance(before, str) else before or []), *([now] if isinstance(now, str) else now or [])]
    return list(dict.fromkeys(values))
