"""Any images and labels, listed by two patterns of file names in a YAML file.

::

    images: '{case}/ct.nrrd'            # {case} stands for the name of a case, in both patterns
    labels: '{case}/seg.nii.gz'
    modality: ct                        # or mri
    names: labels.json                  # a table of names (see label_names.py), or {1: liver, 2: spleen}
    folder: scans                       # where the patterns begin; by default beside this file
    ignore: [tumour bed]                # labels that are left out
    sides: {patient7: left}             # of scans of one limb
    patients: {first: p7, second: p7}   # whose case it is, where several are of one person
    channel: 0                          # of images with several
    licence: CC-BY-4.0                  # optional, as are citation and url
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from dataset_builder.core.errors import SourceError
from dataset_builder.core.factors import Modality, Side
from dataset_builder.files.strict_text import load_yaml
from dataset_builder.imaging.scan_files import ending_of
from dataset_builder.sources.label_names import names_of_table, read_label_names
from dataset_builder.sources.labelled_files import Files, LabelledFiles, by_subject
from dataset_builder.sources.named_labels import name_labels
from dataset_builder.sources.patients import patients_of
from dataset_builder.vocabulary import Structure, normalise

KEYS = frozenset(
    {
        "images",
        "labels",
        "modality",
        "names",
        "folder",
        "ignore",
        "sides",
        "patients",
        "channel",
        "licence",
        "citation",
        "url",
    }
)
_REMEDY = "Write images: '{case}/ct.nrrd', labels: '{case}/seg.nii.gz', modality: ct and names: {1: liver}."


def open_pairs(file: Path, words: Mapping[str, Structure], ignore: Collection[str] = ()) -> LabelledFiles:
    """The source that a YAML file describes.

    Args:
        file: the YAML file.
        words: the vocabulary.
        ignore: labels to leave out beside those that the file names, normalised.

    Raises:
        SourceError: names the key that is wrong and how to write it.
    """
    table = _table(file)
    folder = (file.parent / str(table.get("folder", "."))).resolve()
    modality, sides = _one_of(table, "modality", get_args(Modality), file), table.get("sides") or {}
    if not isinstance(sides, Mapping) or any(side not in get_args(Side) for side in sides.values()):
        raise SourceError(
            "'sides' does not map cases to left or right.", file=file, value=sides, remedy="Write sides: {CASE: left}."
        )
    images, labels = (_found(_text(table, key, file), folder, file, key) for key in ("images", "labels"))
    names, tables = _names(table["names"], file) if "names" in table else _missing(file, "names")
    left_out = {*ignore, *map(normalise, map(str, table.get("ignore") or ()))}
    naming = name_labels(names.items(), words, left_out).check(tables[-1], words)
    patients = patients_of(table, file, {*images, *labels})
    channel = table.get("channel")
    if channel is not None and (isinstance(channel, bool) or not isinstance(channel, int) or channel < 0):
        raise SourceError(
            "channel is not a whole number.", file=file, value=channel, remedy="Count the channels from 0."
        )
    both = sorted(images.keys() & labels.keys())
    if not both:
        raise SourceError(
            "No case has both an image and labels.",
            file=folder,
            value=f"{len(images)} images, {len(labels)} label files",
            remedy="Check the two patterns; {case} must stand for the same name in both.",
        )
    files = [
        Files(
            case,
            images[case],
            labels[case],
            modality,
            naming,
            (file, *tables[1:]),
            channel,
            sides.get(case),
            patient=patients.get(case),
        )
        for case in both
    ]
    lone = [(images[case], "This image has no labels.") for case in sorted(images.keys() - labels.keys())]
    lone += [(labels[case], "These labels have no image.") for case in sorted(labels.keys() - images.keys())]
    return LabelledFiles(
        "pairs",
        folder,
        by_subject(files, folder),
        licence=str(table.get("licence") or "unknown"),
        citation=str(table.get("citation") or ""),
        url=str(table.get("url") or ""),
        unmatched=tuple((path.relative_to(folder).as_posix(), why) for path, why in lone),
    )


def _table(file: Path) -> Mapping[str, Any]:
    try:
        table = load_yaml(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(
            "The YAML file cannot be read.", file=file, value=" ".join(str(error).split()), remedy=_REMEDY
        ) from error
    if not isinstance(table, Mapping):
        raise SourceError("The YAML file is not a mapping.", file=file, value=type(table).__name__, remedy=_REMEDY)
    wrong = [str(key) for key in table if key not in KEYS]
    if wrong:
        raise SourceError(
            "The YAML file has an unknown key.",
            file=file,
            value=", ".join(wrong),
            remedy=f"Known keys: {', '.join(sorted(KEYS))}.",
        )
    return table


def _missing(file: Path, key: str) -> Any:
    raise SourceError(f"The YAML file lacks '{key}'.", file=file, remedy=_REMEDY)


def _text(table: Mapping[str, Any], key: str, file: Path) -> str:
    if key not in table:
        _missing(file, key)
    if not isinstance(table[key], str):
        raise SourceError(f"'{key}' is not text.", file=file, value=table[key], remedy=_REMEDY)
    return str(table[key])


def _one_of(table: Mapping[str, Any], key: str, legal: tuple[Any, ...], file: Path) -> Any:
    if key not in table:
        _missing(file, key)
    value = str(table[key]).lower()
    value = {"mr": "mri"}.get(value, value)
    if value not in legal:
        raise SourceError(f"'{key}' is one of {', '.join(legal)}.", file=file, value=table[key], remedy=_REMEDY)
    return value


def _found(pattern: str, folder: Path, file: Path, key: str) -> dict[str, Path]:
    """The files of a pattern by case; ``{case}`` is any text without a slash, ``*`` too, which may differ."""
    if pattern.count("{case}") < 1:
        raise SourceError(
            f"The pattern of '{key}' does not contain {{case}}.",
            file=file,
            value=pattern,
            remedy=_REMEDY,
        )
    if pattern.startswith("/") or ".." in Path(pattern).parts:
        raise SourceError(
            "A pattern must be relative to the folder of the scans.",
            file=file,
            value=pattern,
            remedy="Write folder: PATH for the folder, and the pattern below it.",
        )
    parts = re.split(r"(\{case\}|\*\*/|\*|\?)", pattern)
    seen = False
    text = ""
    for part in parts:
        if part == "{case}":
            text += r"(?P=case)" if seen else r"(?P<case>[^/]+?)"
            seen = True
        else:
            text += {"**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}.get(part, re.escape(part))
    expression = re.compile(text)
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(pattern.replace("{case}", "*"))):
        match = expression.fullmatch(path.relative_to(folder).as_posix())
        if match is None or path.name.startswith(".") or not path.is_file():
            continue
        case = match["case"]
        if case in found:
            raise SourceError(
                f"Two files of '{key}' belong to the same case.",
                file=folder,
                value=f"{case}: {found[case].name}, {path.name}",
                remedy="Make the pattern narrower.",
            )
        if not ending_of(path.name):
            raise SourceError(
                f"A file of '{key}' has a format that cannot be read.", file=path, remedy="Convert it to NIfTI."
            )
        found[case] = path
    return found


def _names(given: object, file: Path) -> tuple[dict[int, str], tuple[Path, ...]]:
    if isinstance(given, str):
        path = file.parent / given
        return read_label_names(path), (file, path)
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return dict(enumerate(given, start=1)), (file,)
    return names_of_table(given, file), (file,)
