"""Neighbourhoods without meaning, for controls: the weights of the real ones, other tokens."""

import dataclasses

import torch
from torch import Tensor

from semsam.arms.arm import Loaded, seeded
from semsam.tables import NeighbourTables

PASSAGES = (
    "The report was sent on Monday, and nobody has answered it yet.",
    "Water boils at a lower temperature on a mountain than at the sea.",
    "She put the cup on the table to the left of the lamp and opened the window.",
    "In this image, the first structure lies above the second one.",
    "What is the answer? One of the options, and nothing else.",
    "There are three reasons for this, of which the last is the most important.",
    "First we look at the picture. Then we compare the two sides.",
    "He walked along the river until he came to the old bridge.",
    "The patient was examined twice; both results were normal.",
    "It is on the right, near the middle, and a little lower than before.",
    "Prices rose by two per cent in the second half of the year.",
    "If the line is longer than the page, break it after a comma.",
)
"""What a model reads so that it shows how probable it finds its tokens in general."""


@torch.no_grad()
def mean_probability(loaded: Loaded) -> Tensor:
    """float32[V]: the mean of the model's next-token distribution over all places of `PASSAGES`, on the CPU."""
    tokenizer = getattr(loaded.tokenizer, "tokenizer", loaded.tokenizer)
    total, places = torch.zeros(()), 0
    for passage in PASSAGES:
        ids = torch.tensor([tokenizer.encode(passage, add_special_tokens=False)], device=loaded.model.device)
        logits = loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
        total = total + logits.float().softmax(-1).sum(0).cpu()
        places += len(logits)
    return total / places


def exchange(content: Tensor, probability: Tensor | None, group: int, seed: int) -> Tensor:
    """int64[V]: for each content token another one of like frequency and probability; a permutation of them.

    The vocabulary's own order stands for frequency: byte-pair vocabularies are in the order in which pairs were merged,
    the frequent ones first. Tokens are divided into strata of neighbouring ids, each stratum is sorted by probability,
    and each run of ``group`` tokens in that order is permuted in one random cycle. So no token stays, and none comes
    back after two steps.

    Args:
        content: bool[V]; other tokens stay where they are.
        probability: float[V]; None: matched by frequency alone.
        group: at least 3.
        seed: of the permutation.
    """
    generator = seeded(seed)
    result = torch.arange(len(content))
    tokens = content.cpu().nonzero().squeeze(1)
    strata = 1 if probability is None else max(1, round((len(tokens) / group) ** 0.5))
    for stratum in tokens.tensor_split(strata):
        ordered = stratum if probability is None else stratum[probability.cpu()[stratum].argsort(stable=True)]
        for alike in ordered.tensor_split(max(1, len(ordered) // group)):
            cycle = alike[torch.randperm(len(alike), generator=generator)]
            result[cycle] = cycle.roll(1)
    return result


def exchanged(tables: NeighbourTables, other: Tensor) -> NeighbourTables:
    """Tables in which each neighbour is exchanged for another token; a token stays its own first neighbour.

    A neighbour that would become the token itself, and so count twice, takes one step more.
    """
    ids = tables.ids.long()
    own = ids[:, :1]
    other = other.to(ids.device)
    new = other[ids]
    new = torch.where(new == own, other[new], new)
    real = (ids != own) & tables.content.unsqueeze(1)
    return dataclasses.replace(tables, ids=torch.where(real, new, ids).int(), fingerprint="")


def random_sets(tables: NeighbourTables, seed: int) -> NeighbourTables:
    """Tables in which the neighbours are drawn at random from all content tokens, none twice; weights stay."""
    generator = seeded(seed)
    tokens = tables.content.cpu().nonzero().squeeze(1)
    ids = tables.ids.cpu().long().clone()
    count, wanted = len(tokens), min(tables.k, len(tokens)) - 1
    if wanted < 1:
        return tables
    drawn = _distinct(count, wanted, generator)
    ids[tokens, 1 : 1 + wanted] = tokens[drawn]
    return dataclasses.replace(tables, ids=ids.int().to(tables.ids.device), fingerprint="")


def _distinct(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """int64[count, wanted]: in row i, different numbers below ``count`` other than i."""
    if wanted > count // 2:  # drawing again would take long
        keys = torch.rand(count, count, generator=generator).fill_diagonal_(2.0)
        return keys.argsort(1)[:, :wanted]
    own = torch.arange(count).unsqueeze(1)
    drawn = torch.randint(count - 1, (count, wanted), generator=generator)
    while True:
        ordered = drawn.sort(1).values
        twice = (ordered[:, 1:] == ordered[:, :-1]).any(1)
        if not bool(twice.any()):
            return drawn + (drawn >= own)
        drawn[twice] = torch.randint(count - 1, (int(twice.sum()), wanted), generator=generator)
