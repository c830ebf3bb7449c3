"""Labels that the vocabulary lacks: the very rows to write."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, count

import yaml

from dataset_builder.core.factors import Side
from dataset_builder.vocabulary import REGIONS, Structure, find, normalise, read_side


def how_to_add(labels: Iterable[str], words: Mapping[str, Structure]) -> str:
    """What to do about labels that the vocabulary lacks, as the remedy of an error."""
    rows = "\n".join(vocabulary_rows(labels, words))
    return (
        "Write a YAML file with these rows, with better wording and REGION filled in, and give it with --vocabulary "
        f"FILE:\n{rows}\nREGION is one of: {', '.join(REGIONS)}."
    )


def vocabulary_rows(labels: Iterable[str], words: Mapping[str, Structure]) -> list[str]:
    """Rows for a user's vocabulary file under which these labels will be found.

    >>> vocabulary_rows(["Plica Left"], {})
    ['plica_left: {clinical: plica left, lay: plica left, side: left, region: REGION}']
    """
    named: dict[str, tuple[str, Side | None]] = {}  # spelling and side, by the name of the row
    for spelling in {normalise(label): label for label in labels}.values():
        base, side = read_side(spelling)
        plain = _plain(f"{base}_{side}" if side else normalise(spelling))
        candidates = chain([plain], (f"{plain}_{number}" for number in count(2)))
        name = next(name for name in candidates if name not in words and name not in named)
        named[name] = spelling, side
    return [_row(name, spelling, side, named) for name, (spelling, side) in named.items()]


def _plain(name: str) -> str:
    """A legal name of a row, as near to what a label is called as can be."""
    plain = re.sub(r"\W", "", normalise(name), flags=re.ASCII).strip("_")
    plain = re.sub(r"^(the|an?)_", "", plain)
    # YAML reads some words as other things than text, such as "no".
    if len(plain) < 2 or not plain[0].isalpha() or not isinstance(yaml.safe_load(plain), str):
        plain = f"structure_{plain}".strip("_")
    return plain


def _names_a_lesion(spelling: str) -> bool:
    """Whether one of its words is a lesion, as in "left lung nodule"."""
    base, _ = read_side(spelling)
    return any((found := find(word)) is not None and found.is_lesion for word in base.split("_"))


def _row(name: str, spelling: str, side: Side | None, named: Collection[str]) -> str:
    wording = name.replace("_", " ")
    if side and side not in wording.split():
        wording = f"{wording} {side}"
    fields = [f"clinical: {wording}", f"lay: {wording}"]
    if side:
        fields += [f"side: {side}"]
        twin = re.sub(rf"(?<![^_]){side}(?![^_])", "left" if side == "right" else "right", name)
        fields += [f"pair: {twin}"] if twin in named and twin != name else []
    fields += ["kind: lesion"] if _names_a_lesion(spelling) else ["region: REGION"]
    fields += [f"aliases: [{json.dumps(spelling, ensure_ascii=False)}]"] if name != normalise(spelling) else []
    return f"{name}: {{{', '.join(fields)}}}"
