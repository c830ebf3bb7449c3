"""What each arm may do, slowly: plain loops over one unpadded prompt, every step computed anew without a cache.

`step` gives a step's logits; the functions named after arms turn a row of logits into scores (the largest is to be
taken) or into the tokens that may be drawn.
"""

import math
from contextlib import contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from tests.helpers.slow_rule import softmax


def step(model, inputs: dict, tokens: list[int]) -> list[float]:
    """The logits after a prompt of one row and some tokens of an answer."""
    extra = torch.tensor([tokens], dtype=torch.int64)
    more = {}
    for name, value in inputs.items():
        if name == "input_ids":
            more[name] = torch.cat([value, extra], 1)
        elif name in ("attention_mask", "mm_token_type_ids"):
            fill = torch.full_like(extra, int(name == "attention_mask"))
            more[name] = torch.cat([value, fill], 1)
        else:
            more[name] = value
    with torch.no_grad():
        return model(**more, use_cache=False).logits[0, -1].float().tolist()


def min_p(row: list[float], share: float, temperature: float = 1.0) -> set[int]:
    """Tokens at least ``share`` times as probable as the most probable one."""
    probability = softmax([value / temperature for value in row])
    least = share * max(probability) * (1 - 1e-6)
    return {token for token, p in enumerate(probability) if p >= least}


def top_n_sigma(row: list[float], n: float) -> set[int]:
    """Tokens within n standard deviations of the largest logit."""
    finite = [value for value in row if value > -math.inf]
    mean = sum(finite) / len(finite)
    sigma = math.sqrt(sum((value - mean) ** 2 for value in finite) / (len(finite) - 1))
    least = max(finite) - n * sigma - 1e-5
    return {token for token, value in enumerate(row) if value >= least}


def top_h(row: list[float], share: float, temperature: float = 1.0) -> set[int]:
    """The most probable tokens, as long as their part of the entropy is at most a share of it; of the first 100."""
    order = sorted(range(len(row)), key=lambda token: -row[token])[:100]
    probability = softmax([row[token] / temperature for token in order])
    parts = [-p * math.log(p) if p > 0 else 0.0 for p in probability]
    kept, total = {order[0]}, 0.0
    for token, part in zip(order, parts, strict=True):
        total += part
        if total <= share * sum(parts) * (1 + 1e-5):
            kept.add(token)
    return kept


def contrast(row: list[float], other: list[float], alpha: float, beta: float) -> list[float]:
    """Visual contrastive decoding of one row."""
    cut = max(row) + math.log(beta)
    return [
        (1 + alpha) * own - alpha * against if own >= cut else -math.inf
        for own, against in zip(row, other, strict=True)
    ]


@contextmanager
def attention_by_loops(model, prompt: int, image: list[bool], factor: float):
    """Within this the language model attends as the paper says, computed place by place and head by head."""

    def attend(module, query, key, value, attention_mask, scaling=None, **more):
        causal = getattr(module, "is_causal", False)
        batch, heads, places, width = query.shape
        groups = heads // key.shape[1]
        scale = width**-0.5 if scaling is None else scaling
        out = torch.zeros(batch, places, heads, width)
        for head in range(heads):
            keys, values = key[0, head // groups].float(), value[0, head // groups].float()
            for place in range(places):
                seen = place + 1 if causal else places
                logits = scale * (keys[:seen] @ query[0, head, place].float())
                if causal and place == prompt - 1:
                    for other in range(seen):
                        if image[other]:
                            logits[other] *= factor
                out[0, place, head] = torch.softmax(logits, 0) @ values[:seen]
        return out.to(query.dtype), None

    AttentionInterface.register("attention_by_loops", attend)
    AttentionMaskInterface.register("attention_by_loops", ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation_internal = "attention_by_loops"
    try:
        yield
    finally:
        config._attn_implementation_internal = before
