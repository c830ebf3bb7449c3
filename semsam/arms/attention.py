"""Attention to the image made sharper or flatter, for any model that uses transformers' attention interface.

While the prompt is read, the last place's attention logits on image tokens are multiplied by a factor of the row's, in
every head of every layer of the language model, before the mask and the softmax. All else is as without it: what the
other places see, the vision tower, and the steps after the first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from semsam.errors import SettingsError

NAME = "semsam_scaled_image_attention"
BASE = "sdpa"


@dataclass(frozen=True)
class _Scaling:
    """What is in force: bool[B, T] image places of the prompts, float[B] factors."""

    image: Tensor
    factor: Tensor


_in_force: list[_Scaling] = []


@contextmanager
def scaled(model: Any, image: Tensor, factor: Tensor) -> Iterator[None]:
    """Within this, prompts of this batch are read with scaled attention.

    Args:
        model: that generates.
        image: bool[B, T], places of image tokens in the prompts.
        factor: float[B].

    Raises:
        SettingsError: if the model does not use the attention interface.
    """
    _register()
    before = _implementations(model)
    try:
        model.set_attn_implementation(NAME)
        if not any(part.config._attn_implementation == NAME for part in _parts(model)):
            raise ValueError("its attention cannot be replaced")
    except (ValueError, KeyError) as error:
        _restore(before)
        raise SettingsError(
            "This model's attention cannot be scaled: it does not use transformers' attention interface.",
            value=f"{type(model).__name__}: {error}",
            remedy="leave the arms adaptvis and scalingvis out for it.",
        ) from error
    _in_force.append(_Scaling(image, factor))
    try:
        yield
    finally:
        _in_force.pop()
        _restore(before)


def _parts(model: Any) -> list[Any]:
    """The model's parts that have a config of their own."""
    return [part for part in model.modules() if hasattr(getattr(part, "config", None), "_attn_implementation_internal")]


def _implementations(model: Any) -> list[tuple[Any, str]]:
    configs = {id(part.config): part.config for part in _parts(model)}
    return [(config, config._attn_implementation_internal) for config in configs.values()]


def _restore(before: list[tuple[Any, str]]) -> None:
    for config, implementation in before:
        config._attn_implementation_internal = implementation


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS[BASE])


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention as by default, with the last place's output computed anew from scaled logits.

    Args:
        module: the layer's attention.
        query: [B, heads, T, D].
        key: [B, key heads, S, D].
        value: [B, key heads, S, D].
        attention_mask: bool (true: seen) or float (added), broadcast to [B, heads, T, S]; None: nothing is masked that
            the last place could see.
        scaling: of the logits.

    Returns:
        [B, T, heads, D], and no weights.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    output, _ = ALL_ATTENTION_FUNCTIONS[BASE](module, query, key, value, attention_mask, scaling=scaling, **more)
    if not _in_force or not getattr(module, "is_causal", False):
        return output, None
    now = _in_force[-1]
    length = now.image.shape[1]
    if query.shape[2] != length or key.shape[2] != length or len(query) != len(now.image):
        return output, None  # a step after the first, or another batch
    last = last_place(query[:, :, -1:], key, value, attention_mask, scaling, now.image, now.factor)
    return torch.cat([output[:, :-1], last.transpose(1, 2).to(output.dtype)], dim=1), None


def last_place(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    image: Tensor,
    factor: Tensor,
) -> Tensor:
    """[B, heads, 1, D]: the output of the last place; shapes as in `attention`, of ``query`` only that place."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = torch.matmul(query, key.transpose(2, 3)).float() * scale  # [B, heads, 1, S]
    by = torch.where(image.to(logits.device), factor.to(logits.device).float().unsqueeze(1), 1.0)  # [B, S]
    logits = logits * by[:, None, None, :]
    if mask is not None:
        last = mask[..., -1:, :]
        logits = logits.masked_fill(~last, -torch.inf) if last.dtype == torch.bool else logits + last.float()
    return torch.matmul(logits.softmax(-1).to(value.dtype), value)
