"""Logits, tables and settings for the tests of the rule; adversarial where it hurts."""

import numpy as np
import torch
from hypothesis import strategies as st

from semsam.neighbours import NeighbourTables, build
from tests.helpers import slow_rule


def tables_of(ids, weights, content=None) -> NeighbourTables:
    ids = torch.tensor(ids, dtype=torch.int32)
    content = torch.ones(len(ids), dtype=torch.bool) if content is None else torch.tensor(content)
    return NeighbourTables(ids, torch.tensor(weights, dtype=torch.float32), content)


def random_tables(vocabulary: int, k: int, seed: int, control: float = 0.0) -> NeighbourTables:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(vocabulary, 12, generator=generator)
    content = torch.rand(vocabulary, generator=generator) >= control
    return build(embedding, content, k)


@st.composite
def cases(draw):
    """A batch of logits, tables and settings; adversarial where it hurts."""
    vocabulary = draw(st.integers(2, 60) | st.integers(1500, 3000))
    k = draw(st.integers(1, 8))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["smooth", "grid", "flat", "hub", "masked", "huge", "tiny"]))
    batch = draw(st.integers(1, 4))
    logits = generator.normal(size=(batch, vocabulary)) * 3
    if kind == "grid":  # many equal logits, at the edges too
        logits = np.round(logits / 2)
    if kind == "flat":
        logits = np.full_like(logits, draw(st.sampled_from([0.0, -7.5])))
    if kind == "masked":  # as other processors leave them
        logits[generator.random(logits.shape) < 0.7] = -np.inf
        logits[:, generator.integers(vocabulary)] = 1.0
    if kind == "huge":
        logits *= 30
    if kind == "tiny":
        logits *= 1e-7
    ids = generator.integers(vocabulary, size=(vocabulary, k))
    if kind == "hub":  # one token near to all others
        ids[:, -1] = 0
    ids[:, 0] = np.arange(vocabulary)
    weights = generator.random((vocabulary, k))
    weights[generator.random(weights.shape) < 0.2] = 0
    weights[:, 0] = 1
    content = generator.random(vocabulary) >= draw(st.sampled_from([0.0, 0.05]))
    top_m = draw(st.integers(1, 60))
    top_p = draw(st.sampled_from([0.1, 0.5, 0.9, 0.95, 1.0]))
    return logits.astype(np.float32), tables_of(ids.tolist(), weights.tolist(), content.tolist()), top_m, top_p


def check_against_slow_rule(logits: np.ndarray, got: np.ndarray, tables: NeighbourTables, top_m: int, top_p: float):
    """Re-scored rows float32[B, V] are those of the slow rule, and rows that it leaves alone the same bits."""
    of_tables = (tables.ids.tolist(), tables.weights.tolist(), tables.content.tolist())
    for row, scored in zip(logits, got, strict=True):
        if near_an_edge(row, top_p):
            continue
        expected = slow_rule.rescore(row, *of_tables, top_m, top_p)
        if expected is None:
            assert scored.tobytes() == row.tobytes()
            continue
        scores = np.zeros(len(row))
        scores[list(expected)] = list(expected.values())
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(scored, np.log(scores), rtol=2e-5, atol=2e-5)


def near_an_edge(row: np.ndarray, top_p: float) -> bool:
    """Whether rounding may decide which candidate is the last."""
    mass = np.cumsum(sorted(slow_rule.softmax(row.tolist()), reverse=True))
    return top_p < 1 and bool(np.any(np.abs(mass - top_p) < 1e-5))
