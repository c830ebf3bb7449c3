"""What an nnU-Net ``dataset.json`` says about its scans, checked key by key.

channel_names  or ``modality`` in older files. One channel is read: the first whose name says CT or MR, the latter
               also by sequence (T1, T2w, FLAIR, DESS ...).
labels         whole number by name, or name by number as in the Medical Segmentation Decathlon. Names are looked up in
               the vocabulary. What is called background or ignore is nothing. Or the name of a known label map, such as
               ``"skm_tea"``.
file_ending    .nii.gz (default), or any other that is read; capitals do not matter
dataset        optional, as in version 2: images and label file by case
ignore_labels  optional, names of labels to leave out, beside those of ``--ignore-labels``
licence, reference, url   optional; ``license`` and ``citation`` will do
sides          optional, side by case, for scans of one limb: ``{"CASE": "left"}``
patients       optional, whose case it is, where several are of one person: ``{"CASE": "p7", "OTHER": "p7"}``
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, get_args

from dataset_builder.core.errors import LabelsNotInVocabularyError, SourceError
from dataset_builder.core.factors import Modality, Side
from dataset_builder.files.strict_text import load_json
from dataset_builder.imaging.scan_files import ENDINGS
from dataset_builder.sources.modality import modality_of
from dataset_builder.sources.named_labels import left_out_labels, near_misses
from dataset_builder.sources.patients import patients_of
from dataset_builder.sources.published import UNKNOWN, stated_licence
from dataset_builder.sources.unknown import how_to_add
from dataset_builder.vocabulary import Structure, find, label_map, label_map_names, normalise

NOTHING = frozenset({"background", "ignore", "ignored", "unlabeled", "unlabelled", "void"})
"""Labels of these names, normalised, are not structures."""

_EXAMPLE = '{"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}'


@dataclass(frozen=True)
class Description:
    """What ``dataset.json`` says.

    Args:
        modality: of the channel that is read.
        channel: its number.
        channels: how many there are.
        ending: of all image files.
        names: label value -> canonical structure name.
        spellings: label value -> its name as the file has it, of the same.
        nothing: label values that count as 0.
        ignored: name by label value, of those of them that the user wants left out.
        sides: side by case, of limbs.
        patients: patient by case, of those that the file names.
        listed: images and label file by case, as paths in the folder, where the table ``dataset`` lists them.
        licence: ``unknown`` if the file does not say.
        citation, url: empty if the file does not say.
        remarks: what the user should know of what is read: the channel, labels that are left out.
    """

    modality: Modality
    channel: int
    channels: int
    ending: str
    names: Mapping[int, str]
    spellings: Mapping[int, str]
    nothing: tuple[int, ...]
    ignored: Mapping[int, str]
    sides: Mapping[str, Side]
    listed: Mapping[str, tuple[tuple[str, ...], str]]
    licence: str
    citation: str
    url: str
    remarks: tuple[str, ...] = ()
    patients: Mapping[str, str] = field(default_factory=dict)


def read_description(
    file: Path, words: Mapping[str, Structure], ignore: Collection[str] = (), channel: str | None = None
) -> Description:
    """Read ``dataset.json``.

    Args:
        file: its path.
        words: structures by canonical name.
        ignore: names of labels to leave out, normalised.
        channel: number or name of the channel to read; by default the first whose name says CT or MR.

    Raises:
        SourceError: names what is wrong and how to write it; for unknown labels, the vocabulary rows to add.
    """
    if not file.is_file():
        raise SourceError(
            "There is no dataset.json in this folder.",
            file=file.parent,
            remedy='Write one: {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": '
            '".nii.gz"}.',
        )
    try:
        table = load_json(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            "dataset.json cannot be read as JSON.", file=file, value=str(error), remedy="Correct the file."
        ) from error
    if not isinstance(table, dict):
        raise SourceError(
            "dataset.json is not a JSON object.", file=file, value=type(table).__name__, remedy=f"Write {_EXAMPLE}."
        )
    ignore = {*ignore, *_ignored_by_file(table, file)}
    number, modality, channels = _channel(table, file, channel)
    names, nothing = _labels(table, file, words, ignore)
    ignored = {value: name for name, value in _label_values(table, file) if value and normalise(name) in ignore}
    licence = _text(table, "licence", "license")
    remarks = [*_said_of_channel(table, number, channels), *left_out_labels(ignored.values())]
    remarks += stated_licence(licence, "dataset.json")
    return Description(
        modality=modality,
        channel=number,
        channels=channels,
        ending=_ending(table, file),
        names=names,
        spellings={value: name for name, value in _label_values(table, file) if value in names},
        nothing=nothing,
        ignored=ignored,
        sides=_sides(table, file),
        listed=_listed(table, file),
        licence=licence or UNKNOWN,
        citation=_text(table, "citation", "reference"),
        url=_text(table, "url"),
        remarks=tuple(remarks),
        patients=patients_of(table, file),
    )


def _channel(table: Mapping[str, Any], file: Path, chosen: str | None) -> tuple[int, Modality, int]:
    """Number and modality of the channel to read, and how many there are."""
    key = "channel_names" if "channel_names" in table else "modality"
    channels = table.get(key)
    remedy = 'Write "channel_names": {"0": "CT"} or {"0": "MRI"}; sequences such as T1, T2w, FLAIR or DESS will do.'
    if not isinstance(channels, dict) or not channels:
        raise SourceError("dataset.json does not say what the channels are.", file=file, value=channels, remedy=remedy)
    for number, name in channels.items():
        if not str(number).isdecimal() or not isinstance(name, str):
            raise SourceError(
                f"{key} in dataset.json is not a JSON object that maps numbers to names.",
                file=file,
                value=json.dumps({number: name}),
                remedy=remedy,
            )
    wanted = channels
    if chosen is not None:
        wanted = {n: name for n, name in channels.items() if chosen in (n, name) or chosen.lower() == name.lower()}
        if not wanted:
            raise SourceError(
                "dataset.json has no such channel.",
                file=file,
                value=chosen,
                remedy=f"Give --channel one of {', '.join(f'{n} ({name})' for n, name in channels.items())}.",
            )
    for number, name in sorted(wanted.items(), key=lambda item: int(item[0])):
        modality = modality_of(name)
        if modality:
            return int(number), modality, len(channels)
    raise SourceError(
        "No channel in dataset.json is called CT or MR.", file=file, value=json.dumps(channels), remedy=remedy
    )


def _said_of_channel(table: Mapping[str, Any], number: int, count: int) -> Iterator[str]:
    """Which channel is read, where there are several."""
    if count > 1:
        channels = table.get("channel_names") or table["modality"]
        names = ", ".join(f"{n} ({name})" for n, name in sorted(channels.items(), key=lambda item: int(item[0])))
        chosen = next(name for n, name in channels.items() if int(n) == number)
        yield f"Channel {number} ({chosen}) of {count} is read; --channel chooses another: {names}."


def _ignored_by_file(table: Mapping[str, Any], file: Path) -> Iterator[str]:
    """Labels that the file itself leaves out, normalised."""
    names = table.get("ignore_labels", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(
            "'ignore_labels' in dataset.json is not a list of names.",
            file=file,
            value=json.dumps(names),
            remedy='Write "ignore_labels": ["couch"].',
        )
    yield from map(normalise, names)


def _ending(table: Mapping[str, Any], file: Path) -> str:
    ending = table.get("file_ending", ENDINGS[0])
    if str(ending).lower() not in ENDINGS:
        raise SourceError(
            "Files of this format cannot be read.",
            file=file,
            value=f"file_ending {ending}",
            remedy=f"Convert the files; file_ending is one of {', '.join(ENDINGS)}.",
        )
    return str(ending)


def _sides(table: Mapping[str, Any], file: Path) -> dict[str, Side]:
    sides = table.get("sides", {})
    legal = get_args(Side)
    wrong = [case for case, side in sides.items() if side not in legal] if isinstance(sides, dict) else ["sides"]
    if wrong:
        raise SourceError(
            "'sides' in dataset.json does not map cases to left or right.",
            file=file,
            value=wrong[0],
            remedy='Write "sides": {"CASE": "left"}; leave out cases that show more than one limb.',
        )
    return sides


def _listed(table: Mapping[str, Any], file: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """The table ``dataset`` of nnU-Net's version 2, whose files need not follow any naming."""
    listed = table.get("dataset")
    if not isinstance(listed, dict):
        return {}
    found = {}
    for case, row in listed.items():
        images, label = (row.get("images"), row.get("label")) if isinstance(row, dict) else (None, None)
        if not isinstance(label, str) or not isinstance(images, list) or not images:
            raise SourceError(
                "A case of the table 'dataset' in dataset.json lacks its images or its label file.",
                file=file,
                value=json.dumps({case: row})[:200],
                remedy='Write "dataset": {"CASE": {"images": ["imagesTr/CASE_0000.nii.gz"], "label": "labelsTr/..."}}.',
            )
        for path in (*images, label):
            if not isinstance(path, str) or ".." in Path(path).parts:
                raise SourceError(
                    "A path in dataset.json points outside its folder.",
                    file=file,
                    value=path,
                    remedy="Give the path in the folder of dataset.json.",
                )
        found[str(case)] = (tuple(map(str, images)), label)
    return found


def _text(table: Mapping[str, Any], *keys: str) -> str:
    """The first of these keys that has a text; ends of lines become spaces."""
    texts = (" ".join(table[key].split()) for key in keys if isinstance(table.get(key), str))
    return next((text for text in texts if text), "")


def _labels(
    table: Mapping[str, Any], file: Path, words: Mapping[str, Structure], ignore: Collection[str]
) -> tuple[dict[int, str], tuple[int, ...]]:
    """Canonical name by label value, and the values that are nothing."""
    names: dict[int, str] = {}
    spelled: dict[str, str] = {}
    nothing: list[int] = []
    unknown: list[str] = []
    seen: dict[int, str] = {}
    for name, value in _label_values(table, file):
        if value in seen:
            raise SourceError(
                "Two labels in dataset.json have the same value.",
                file=file,
                value=f"{seen[value]} and {name}: {value}",
                remedy="Give each structure a value of its own.",
            )
        seen[value] = name
        if normalise(name) in NOTHING or normalise(name) in ignore:
            nothing += [value] if value else []
            continue
        if value == 0:
            raise SourceError(
                "0 is the value of the background, not of a structure.",
                file=file,
                value=name,
                remedy="Number the structures from 1, in dataset.json and in the label files.",
            )
        structure = find(name, words)
        if structure is None:
            unknown.append(name)
        elif structure.name in spelled:
            raise SourceError(
                f"Two labels in dataset.json are the same structure, {structure.name}.",
                file=file,
                value=f"{spelled[structure.name]} and {name}",
                remedy="Merge them in the label files, or describe one as a structure of its own with --vocabulary.",
            )
        else:
            spelled[structure.name] = name
            names[value] = structure.name
    if unknown:
        raise LabelsNotInVocabularyError(
            "The vocabulary has no entry for some labels of dataset.json.",
            file=file,
            labels=unknown,
            remedy=f"{near_misses(unknown, words)}Leave labels out with --ignore-labels {quote(','.join(unknown))} (or "
            f'"ignore_labels" in the file), or rename those that are known under another name. '
            f"{how_to_add(unknown, words)}",
        )
    if not names:
        raise SourceError(
            "dataset.json names no structure.",
            file=file,
            value=json.dumps(table["labels"]),
            remedy='Write "labels": {"background": 0, "liver": 1, "spleen": 2}.',
        )
    return names, tuple(nothing)


def _label_values(table: Mapping[str, Any], file: Path) -> Iterator[tuple[str, int]]:
    """Each label's name and value, from either form."""
    labels = table.get("labels")
    remedy = 'Write "labels": {"background": 0, "liver": 1, "spleen": 2}.'
    if isinstance(labels, str):
        if labels not in label_map_names():
            raise SourceError(
                "dataset.json names an unknown label map.",
                file=file,
                value=labels,
                remedy=f"Known label maps: {', '.join(label_map_names())}. Or {remedy[0].lower()}{remedy[1:]}",
            )
        yield from ((name, value) for value, name in label_map(labels).items())
        return
    if not isinstance(labels, dict):
        raise SourceError("dataset.json does not say what the labels are.", file=file, value=labels, remedy=remedy)
    yield from _of_regions(labels, file, remedy)
    older = bool(labels) and all(key.isdecimal() and isinstance(value, str) for key, value in labels.items())
    for key, value in labels.items():
        if older:
            yield value, int(key)
        elif isinstance(value, list):
            continue  # a region of several values: see below
        elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SourceError(
                "A label in dataset.json has no whole number as its value.",
                file=file,
                value=json.dumps({key: value}),
                remedy=remedy,
            )
        else:
            yield key, value


def _of_regions(labels: Mapping[str, Any], file: Path, remedy: str) -> Iterator[tuple[str, int]]:
    """Names of values that only regions of several values have: each value has that of the smallest one it is in.

    In ``{"whole tumour": [1, 2, 3], "tumour core": [2, 3]}`` 1 is whole tumour, and 2 and 3 are tumour core: a voxel's
    own value decides. Regions of values that have names of their own are left alone.
    """
    regions = {name: values for name, values in labels.items() if isinstance(values, list)}
    named = {value for value in labels.values() if isinstance(value, int)}
    smallest: dict[int, str] = {}
    for name, values in sorted(regions.items(), key=lambda item: (-len(item[1]), item[0])):
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise SourceError(
                    "A region in dataset.json is not a list of whole numbers.",
                    file=file,
                    value=json.dumps({name: values}),
                    remedy=remedy,
                )
            smallest[value] = name
    taken: dict[str, int] = {}
    for value, name in sorted(smallest.items()):
        if value and value not in named:
            if name in taken:
                raise SourceError(
                    "A region in dataset.json combines several values that have no names of their own.",
                    file=file,
                    value=json.dumps({name: regions[name]}),
                    remedy="Give each of its values a name beside the region.",
                )
            taken[name] = value
            yield name, value
