"""The anatomy: what each structure is called, where it belongs, and what may be asked about it.

The rows are in ``structures_*.yaml``, the meaning of the values of known label maps in ``label_maps_*.yaml``. A user's
own file has the same form and adds structures, or overrides fields of those that are here. Files are read and checked
on first use, once.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from dataset_builder.core.errors import BuildError
from dataset_builder.core.factors import REGISTERS, Side
from dataset_builder.files.strict_text import load_yaml
from dataset_builder.vocabulary.lesion_words import lesion_word
from dataset_builder.vocabulary.other_languages import name_from_another_language
from dataset_builder.vocabulary.packaged import packaged_files
from dataset_builder.vocabulary.side_words import read_side, sides_of_names

Region = Literal[
    "head",
    "neck",
    "spine",
    "shoulder",
    "arm",
    "hand",
    "thorax",
    "abdomen",
    "pelvis",
    "thigh",
    "knee",
    "leg",
    "foot",
]
Tissue = Literal["soft", "bone", "lung"]
Limb = Literal["upper", "lower"]
StructureKind = Literal["anatomy", "lesion"]

REGIONS: tuple[Region, ...] = get_args(Region)
TISSUES: tuple[Tissue, ...] = get_args(Tissue)
LIMBS: tuple[Limb, ...] = get_args(Limb)
STRUCTURE_KINDS: tuple[StructureKind, ...] = get_args(StructureKind)


@dataclass(frozen=True)
class Structure:
    """An anatomical structure or a lesion; the head of ``structures_ct.yaml`` explains the fields.

    ``clinical`` and ``lay`` have no article and fit "Is the ... " ("Are the ... " if ``plural``). ``side`` is the one
    that the name states; a knee's femur has none. ``same_word``: the register changes nothing in the structure's name.
    ``pair`` and ``part_of`` are canonical names; the whole need not be labelled in the same data.
    """

    name: str
    clinical: str
    lay: str
    same_word: bool
    plural: bool
    side: Side | None
    check_side: bool
    midline: bool
    midline_reference: bool
    pair: str | None
    region: Region | None
    tissue: Tissue
    limb: Limb | None
    aliases: tuple[str, ...] = ()
    part_of: str | None = None
    kind: StructureKind = "anatomy"

    @property
    def is_lesion(self) -> bool:
        """Whether disease made it: it lies in an organ, and the organ's own label leaves it out."""
        return self.kind == "lesion"


def structures(extra: Path | None = None) -> Mapping[str, Structure]:
    """All structures by canonical name.

    Args:
        extra: a user's YAML file. A row of a name that is known already replaces the fields that it gives.

    Raises:
        BuildError: if the file cannot be read or a row is wrong; names the file, row, field and legal values.
    """
    return _load(*_identity(extra))


def find(name: str, vocabulary: Mapping[str, Structure] | None = None) -> Structure | None:
    """The structure of that canonical name, or else of that alias; ``None`` if there is none.

    Case, spaces and hyphens do not matter: ``"Left Kidney"`` is found as ``left_kidney``, an alias of ``kidney_left``.
    Nor does how a side is spelled: so are ``"Kidney_L"`` and ``"Lt. kidney"`` (see :mod:`.side_words`). The organ that
    a lesion's name says is left out: ``"liver tumor"`` is ``tumour`` (see :mod:`.lesion_words`). The name may be in one
    of six other languages: ``"Niere links"`` is ``kidney_left`` (see :mod:`.other_languages`).

    Args:
        name: as a data set spells it.
        vocabulary: structures by canonical name; the package's own if not given.
    """
    known = structures() if vocabulary is None else vocabulary
    if name in known:
        return known[name]
    spellings = _packaged_spellings() if vocabulary is None else _spellings(vocabulary)
    found = known.get(spellings.get(normalise(name), ""))
    if found is not None:
        return found
    base, side = read_side(name)
    found = known.get(spellings.get(f"{side}_{base}", "")) if side else None
    if found is not None:
        return found
    meant, said = name_from_another_language(name) or ("", None)
    if meant in known and known[meant].side == said:
        return known[meant]
    if side:
        return None

    def is_lesion(spelling: str) -> bool:
        return spellings.get(spelling) in known and known[spellings[spelling]].is_lesion

    word = lesion_word(name, is_lesion)
    return known[spellings[word]] if word else None


def confusable(a: str, b: str, vocabulary: Mapping[str, Structure] | None = None) -> bool:
    """Whether two structures must not be options of one question.

    They must not if one's wording holds the other's as whole words in either register, since an answer read from free
    text could be either; nor if one is part of the other, since both would be right.

    Args:
        a, b: canonical names.
        vocabulary: structures by canonical name; the package's own if not given.

    Raises:
        KeyError: if a name is unknown.
    """
    known = structures() if vocabulary is None else vocabulary
    if a in _wholes(b, known) or b in _wholes(a, known):
        return True
    for register in REGISTERS:
        first, second = (f" {_words(getattr(known[name], register))} " for name in (a, b))
        if first in second or second in first:
            return True
    return False


def normalise(name: str) -> str:
    """A name in the form in which names and aliases are compared.

    >>> normalise("Tibial Cartilage - Medial")
    'tibial_cartilage_medial'
    """
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _words(wording: str) -> str:
    """The bare words, as an answer is searched for them."""
    return " ".join(re.findall(r"\w+", wording.lower()))


def _wholes(name: str, known: Mapping[str, Structure]) -> Iterator[str]:
    """The structure itself and everything that it is part of, from small to large."""
    whole: str | None = name
    while whole is not None:
        yield whole
        whole = known[whole].part_of


# Loading -------------------------------------------------------------------------------------------------------------

_TEXT = ("clinical", "lay")
_PHRASE = {
    "clinical": re.compile(r"\w[\w' -]*\w"),
    "lay": re.compile(r"\w[\w' -]*\w(?: \(\w[\w' -]*\w\))?"),  # an explanation may follow in parentheses
}
_REQUIRED = ("clinical", "lay", "region")
_OF_ANATOMY = ("midline", "midline_reference", "limb")
"""Fields that a lesion cannot have."""
_FLAGS = ("same_word", "plural", "check_side", "midline", "midline_reference")
_LEGAL: Mapping[str, tuple[str, ...]] = {
    "side": get_args(Side),
    "region": REGIONS,
    "tissue": TISSUES,
    "limb": LIMBS,
    "kind": STRUCTURE_KINDS,
}
_NAMES = ("pair", "part_of")
_FIELDS = tuple(field.name for field in fields(Structure) if field.name != "name")


def _identity(extra: Path | None) -> tuple[Path | None, int]:
    """Key of the cache: an edited file is read again."""
    if extra is None:
        return None, 0
    path = Path(extra).absolute()
    try:
        return path, path.stat().st_mtime_ns
    except OSError as error:
        remedy = "Give the path of a YAML file."
        raise BuildError(
            "The vocabulary file cannot be read.", file=path, value=error.strerror, remedy=remedy
        ) from error


@cache
def _load(extra: Path | None, _modified: int) -> Mapping[str, Structure]:
    origin: dict[str, str] = {}
    rows: dict[str, dict[str, Any]] = {}
    for file, text in packaged_files("structures"):
        for name, row in _parse(text, file).items():
            if name in rows:
                raise BuildError(f"The structure '{name}' is in {origin[name]} already.", file=file)
            rows[name], origin[name] = row, file
    read_from_names: dict[str, Any] = {}
    if extra is not None:
        try:
            text = extra.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BuildError("The vocabulary file cannot be read as text.", file=extra, value=str(error)) from error
        table = _parse(text, str(extra))
        read_from_names = sides_of_names(table, rows)
        for name, row in table.items():
            known_row = dict(rows.get(name, {}))
            if row.keys() & set(_TEXT):
                known_row.pop("same_word", None)  # it was said of other wordings
            rows[name], origin[name] = {**known_row, **read_from_names.get(name, {}), **row}, str(extra)
    known = {name: _structure(name, row, origin[name], name in read_from_names) for name, row in rows.items()}
    # The package's own rows fit together: where they do not, the user's file is the cause.
    blame = "structures_*.yaml" if extra is None else str(extra)
    for structure in known.values():
        _check_references(structure, known, blame)
    _check_unique(known, blame)
    return MappingProxyType(known)


def _spellings(known: Mapping[str, Structure]) -> dict[str, str]:
    """Canonical name by normalised name or alias."""
    return {normalise(spelling): name for name, row in known.items() for spelling in (name, *row.aliases)}


@cache
def _packaged_spellings() -> dict[str, str]:
    return _spellings(structures())


def _parse(text: str, file: str) -> dict[str, dict[str, Any]]:
    """The raw rows of a file."""
    try:
        table = load_yaml(text)
    except ValueError as error:
        raise BuildError("The vocabulary file is not valid YAML.", file=file, value=str(error)) from error
    form = "Write rows such as 'kidney_left: {clinical: left kidney, lay: left kidney, side: left, region: abdomen}'."
    if not isinstance(table, dict) or not table:
        raise BuildError("A vocabulary file is a table of rows by name.", file=file, value=table, remedy=form)
    for name, row in table.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise BuildError(
                "A structure's name starts with a letter and is made of letters, digits and underscores.",
                file=file,
                value=name,
            )
        if not isinstance(row, dict):
            raise BuildError(f"The row '{name}' is not a table of fields.", file=file, value=row, remedy=form)
    return table


def _structure(name: str, row: Mapping[str, Any], file: str, side_of_name: bool = False) -> Structure:
    """A row as a structure, each field checked by itself.

    Args:
        side_of_name: the side was read from the name; the wordings need not say it.
    """

    def wrong(field: str, problem: str, remedy: str = "") -> BuildError:
        return BuildError(
            f"Structure '{name}', field '{field}': {problem}.", file=file, value=repr(row.get(field)), remedy=remedy
        )

    for field in row:
        if field not in _FIELDS:
            raise wrong(str(field), "there is no such field", f"Fields: {', '.join(_FIELDS)}.")
    is_lesion = row.get("kind") == "lesion"
    for field in _REQUIRED:
        if row.get(field) is None and not (field == "region" and is_lesion):
            raise wrong(field, "is missing", f"Every structure needs: {', '.join(_REQUIRED)}.")
    for field, legal in _LEGAL.items():
        if row.get(field) is not None and row[field] not in legal:
            raise wrong(field, "is not a legal value", f"Legal values: {', '.join(legal)}.")
    for field in _FLAGS:
        if not isinstance(row.get(field, False), bool):
            raise wrong(field, "is neither true nor false", "Legal values: true, false.")
    for field in _NAMES:
        if not isinstance(row.get(field), str | None):
            raise wrong(field, "is not a name", "Give the canonical name of a structure.")
    for field in _OF_ANATOMY:
        if row.get(field) and is_lesion:
            raise wrong(field, "does not apply to a lesion", "Leave it out.")
    side = row.get("side")
    for field in _TEXT:
        text = row[field]
        if not isinstance(text, str) or not _PHRASE[field].fullmatch(text) or "  " in text:
            raise wrong(field, "is not a plain phrase", "Use letters, digits, apostrophes, hyphens and single spaces.")
        if re.match(r"(the|an?) ", text, re.IGNORECASE):
            raise wrong(field, "begins with an article", "Leave it out: questions bring their own.")
        if side and not side_of_name and side not in _words(text).split():
            raise wrong(field, f"does not say '{side}', the structure's side", "Put the side into the wording.")
    aliases = row.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
        raise wrong("aliases", "is not a list of names", "Write it as [left_kidney, kidney_l].")
    equal = row["clinical"] == row["lay"]
    if row.get("same_word", equal) is not equal:
        raise wrong(
            "same_word", "does not fit the wordings", "Set it to true if clinical and lay are equal, else leave it out."
        )
    if row.get("check_side") and not side:
        raise wrong("check_side", "there is no side to check", "Give 'side', or leave 'check_side' out.")
    if row.get("midline_reference") and not row.get("midline"):
        raise wrong("midline_reference", "marks the midline but 'midline' is not true", "Add 'midline: true'.")
    return Structure(
        name=name,
        clinical=row["clinical"],
        lay=row["lay"],
        same_word=equal,
        plural=row.get("plural", False),
        side=side,
        check_side=row.get("check_side", side is not None),
        midline=row.get("midline", False),
        midline_reference=row.get("midline_reference", False),
        pair=row.get("pair"),
        region=row.get("region"),
        tissue=row.get("tissue") or "soft",
        limb=row.get("limb"),
        aliases=tuple(aliases),
        part_of=row.get("part_of"),
        kind=row.get("kind") or "anatomy",
    )


def _check_references(structure: Structure, known: Mapping[str, Structure], file: str) -> None:
    """Check what a row says about others: pairs are mutual and of opposite sides, parts do not run in a circle."""
    name = structure.name
    for field in _NAMES:
        other = getattr(structure, field)
        if other is not None and other not in known:
            problem = f"Structure '{name}', field '{field}': there is no such structure."
            raise BuildError(problem, file=file, value=other, remedy="Add a row for it, or correct the name.")
    if structure.pair is not None:
        twin = known[structure.pair]
        if twin.pair != name or {structure.side, twin.side} != {"left", "right"}:
            raise BuildError(
                f"Structure '{name}', field 'pair': '{twin.name}' is not its twin.",
                file=file,
                value=f"its side is {twin.side}, its pair {twin.pair}",
                remedy="Of a pair one is left and one right, and each names the other.",
            )
    seen: set[str] = set()
    whole: str | None = name
    while whole is not None and whole in known:
        if whole in seen:
            problem = f"Structure '{name}', field 'part_of': leads in a circle."
            raise BuildError(problem, file=file, value=structure.part_of, remedy="No structure is part of itself.")
        seen.add(whole)
        whole = known[whole].part_of


def _check_unique(known: Mapping[str, Structure], file: str) -> None:
    """Check that no two structures share a wording or can be found under the same spelling."""
    for field in (*_TEXT, "aliases"):
        owner: dict[str, str] = {}
        for name, structure in known.items():
            if field == "aliases":
                terms = {normalise(spelling) for spelling in (name, *structure.aliases)}
            else:
                terms = {_words(getattr(structure, field))}
            for term in sorted(terms):
                if term in owner:
                    raise BuildError(
                        f"Structure '{name}', field '{field}': '{owner[term]}' already has it.",
                        file=file,
                        value=term,
                        remedy="Every structure needs one of its own.",
                    )
                owner[term] = name
