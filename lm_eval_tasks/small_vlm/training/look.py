"""How the model looks at a batch in training: as in use, with what it thinks on the way."""

from dataclasses import dataclass

import torch
from transformers import LlavaForConditionalGeneration

from lm_eval_tasks.small_vlm.training.batches import IGNORED, Batch


@dataclass(frozen=True)
class Seen:
    """What a model makes of a batch.

    Args:
        logits: [m, V] at the answers' places.
        tower: [B * n, TOKENS, H], the tower's tokens.
        tokens: [B, n * TOKENS, H], the pictures' tokens behind the language model's first layer.
        thought: [starts, H], at the end of each prompt, before the language model's last layer.
    """

    logits: torch.Tensor
    tower: torch.Tensor
    tokens: torch.Tensor
    thought: torch.Tensor


def run(model: LlavaForConditionalGeneration, batch: Batch) -> Seen:
    """Look at a batch."""
    inner = model.model
    seen = inner.vision_tower(batch.pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    pictures = inner.multi_modal_projector(seen).reshape(len(batch.ids), -1, model.config.text_config.hidden_size)
    words = inner.get_input_embeddings()(batch.ids[:, pictures.shape[1] :])
    out = inner.language_model(
        inputs_embeds=torch.cat([pictures, words], 1),
        attention_mask=batch.mask,
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    )
    logits = model.lm_head(out.last_hidden_state[batch.targets != IGNORED])
    rows = torch.tensor([row for row, _, _ in batch.starts])
    starts = torch.tensor([start for _, _, start in batch.starts])
    states = out.hidden_states
    return Seen(logits, seen, states[1][:, : pictures.shape[1]], states[-2][rows, starts])
