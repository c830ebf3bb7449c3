"""Opposite terms as tokens, for ``guard=antonyms``: this project's own addition to the published rule.

In a model's embedding, opposites lie close together, so that the published rule lets "inferior" lend its probability to
"superior". With the guard they leave each other's neighbourhoods. The terms are data, in ``antonyms.yaml``.

A token is a term if its whole text is: in lower case, capitalised or upper case, with or without a leading space. Terms
that the tokenizer only writes in several pieces are not covered (:func:`not_covered` names them), nor are terms of
several words: no single token stands for them.
"""

import functools
import re
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from typing import Any

import torch
from torch import Tensor

from semsam.errors import SettingsError

# What tokenizers put in place of a leading space, and one (CLIP's) at the end of a word.
_SURFACE = re.compile(r"[\u0120\u2581 ]?([A-Za-z]+)(?:</w>)?")


@dataclass(frozen=True)
class Axis:
    """Two sets of terms; each term of one is an opposite of each of the other."""

    name: str
    one: tuple[str, ...]
    other: tuple[str, ...]


@functools.cache
def axes() -> tuple[Axis, ...]:
    """The reviewed list.

    Raises:
        SettingsError: if a term is not one word in lower case, or stands twice on an axis.
    """
    import yaml

    text = resources.files("semsam").joinpath("antonyms.yaml").read_text(encoding="utf-8")
    found = tuple(Axis(row["axis"], tuple(row["one"]), tuple(row["other"])) for row in yaml.safe_load(text))
    for axis in found:
        terms = axis.one + axis.other
        bad = [term for term in terms if not isinstance(term, str) or not re.fullmatch("[a-z]+", term)]
        bad += sorted({term for term in terms if terms.count(term) > 1} - set(bad))
        if bad or not axis.one or not axis.other:
            raise SettingsError(f"antonyms.yaml: the axis '{axis.name}' is not a list of opposites.", value=bad)
    return found


def pairs(tokenizer: Any) -> Tensor:
    """int64[N, 2]: all pairs of a tokenizer's tokens that are opposites, in both orders, ascending."""
    tokens = _tokens(tokenizer)
    found: set[tuple[int, int]] = set()
    for axis in axes():
        one = [id for term in axis.one for id in tokens[term]]
        other = [id for term in axis.other for id in tokens[term]]
        found.update((a, b) for a in one for b in other)
        found.update((b, a) for a in one for b in other)
    return torch.tensor(sorted(found), dtype=torch.int64).view(-1, 2)


def not_covered(tokenizer: Any) -> list[str]:
    """The terms for which a tokenizer has no single token in any surface form, in alphabetical order."""
    tokens = _tokens(tokenizer)
    return sorted({term for axis in axes() for term in axis.one + axis.other if not tokens[term]})


def _tokens(tokenizer: Any) -> defaultdict[str, list[int]]:
    """Word in lower case -> the tokens that write it."""
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    tokens: defaultdict[str, list[int]] = defaultdict(list)
    for token, id in tokenizer.get_vocab().items():
        match = _SURFACE.fullmatch(token)
        # lEfT is not a surface form of a term.
        if match and match[1] in (match[1].lower(), match[1].upper(), match[1].capitalize()):
            tokens[match[1].lower()].append(id)
    return tokens
