"""Labels that the vocabulary lacks: the very rows to write."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import get_args

import yaml

from dataset_builder.core.factors import Side
from dataset_builder.vocabulary import REGIONS, Structure, normalise


def how_to_add(labels: Iterable[str], words: Mapping[str, Structure]) -> str:
    """What to do about labels that the vocabulary lacks, as the remedy of an error."""
    rows = "\n".join(vocabulary_rows(labels, words))
    return (
        "Write a YAML file with these rows, their wording mended and REGION filled in, and give it with --vocabulary "
        f"FILE:\n{rows}\nREGION is one of: {', '.join(REGIONS)}."
    )


def vocabulary_rows(labels: Iterable[str], words: Mapping[str, Structure]) -> list[str]:
    """Rows for a user's vocabulary file under which these labels will be found.

    >>> vocabulary_rows(["Plica Left"], {})
    ['plica_left: {clinical: plica left, lay: plica left, side: left, region: REGION}']
    """
    rows: dict[str, str] = {}
    for spelling in {normalise(label): label for label in labels}.values():
        plain = re.sub(r"\W", "", normalise(spelling), flags=re.ASCII).strip("_")
        plain = re.sub(r"^(the|an?)_", "", plain)
        # YAML reads some words as other things than text, such as "no".
        if len(plain) < 2 or not plain[0].isalpha() or not isinstance(yaml.safe_load(plain), str):
            plain = f"structure_{plain}".strip("_")
        candidates = chain([plain], (f"{plain}_{number}" for number in count(2)))
        name = next(name for name in candidates if name not in words and name not in rows)
        wording = name.replace("_", " ")
        sides = [side for side in get_args(Side) if side in wording.split()]
        fields = [f"clinical: {wording}", f"lay: {wording}"]
        fields += [f"side: {sides[0]}"] if len(sides) == 1 else []
        fields += ["region: REGION"]
        fields += [f"aliases: [{json.dumps(spelling, ensure_ascii=False)}]"] if name != normalise(spelling) else []
        rows[name] = f"{name}: {{{', '.join(fields)}}}"
    return list(rows.values())
