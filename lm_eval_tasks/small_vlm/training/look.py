"""How the model looks at a batch in training: as in use, with what it holds on the way."""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AttentionInterface, LlavaForConditionalGeneration

from lm_eval_tasks.small_vlm.training.batches import IGNORED, Batch


@dataclass(frozen=True)
class Seen:
    """What a model makes of a batch.

    Args:
        logits: [m, V] at the answers' places.
        tower: [B * n, TOKENS, H], the tower's tokens.
        tokens: [B, n * TOKENS, H], the images' tokens behind the language model's first layer.
        thought: [starts, H], at the end of each prompt, before the language model's last layer.
    """

    logits: Tensor
    tower: Tensor
    tokens: Tensor
    thought: Tensor


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention as three plain steps [B, heads, L, d]: for short sequences on a CPU in bfloat16, the fastest."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    weights = (query * scale) @ key.mT
    if attention_mask is not None:
        weights = weights + attention_mask
    return (torch.softmax(weights, -1, dtype=value.dtype) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("plain", attention)


def run(model: LlavaForConditionalGeneration, batch: Batch) -> Seen:
    """Look at a batch."""
    inner = model.model
    with torch.autocast("cpu", torch.bfloat16):
        seen = inner.vision_tower(batch.pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        projected = inner.multi_modal_projector(seen)
        images = projected.reshape(len(batch.ids), -1, projected.shape[-1])
        words = inner.get_input_embeddings()(batch.ids[:, images.shape[1] :])
        out = inner.language_model(
            inputs_embeds=torch.cat([images, words.to(images.dtype)], 1),
            attention_mask=torch.where(batch.mask, 0.0, -1e9).bfloat16(),
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=True,
        )
        logits = model.lm_head(out.last_hidden_state[batch.targets != IGNORED])
    rows = torch.tensor([row for row, _, _ in batch.starts])
    starts = torch.tensor([start for _, _, start in batch.starts])
    states = out.hidden_states
    thought = states[-2][rows, starts]
    return Seen(logits.float(), seen.float(), states[1][:, : images.shape[1]].float(), thought.float())
