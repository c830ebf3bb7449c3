"""The small model: transformers' own LLaVA classes, CLIP's tower and Llama, in a size that two CPU cores can train."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import interpolate
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from lm_eval_tasks.small_vlm.training.words import CHAT_TEMPLATE

SIDE, PATCH = 168, 21
TOKENS = (SIDE // PATCH) ** 2
"""Tokens of an image."""
WIDTH, INNER, HEADS = 128, 384, 4
"""Size of a token, of the layer between the two matrices of a block, and number of attention heads."""
VISION_LAYERS, TEXT_LAYERS = 6, 4
MEAN, STD = (0.16,) * 3, (0.3,) * 3
"""Mean and spread of the grey of the training images: after normalization they lie around 0."""

_RESIDUAL_ENDS = ("o_proj", "down_proj", "out_proj", "fc2")


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Scales images to SIDE x SIDE with Pillow; needs no torchvision."""
    images = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """The model with random weights, scaled so that no layer swells or shrinks what goes through it."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    config = LlavaConfig(  # type: ignore[call-arg]  # its signature leaves out what it passes on
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            # A quarter of the weights that end a residual branch, so that depth does not swell the sum.
            std = (0.5 if name.endswith(_RESIDUAL_ENDS) else 1.0) / math.sqrt(module.weight[0].numel())
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5 if "position" in name else 0.08)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


@dataclass(frozen=True)
class Earlier:
    """An earlier model of the same width.

    Args:
        words: its tokenizer.
        state: its weights by name.
        heads: the training heads' weights, where they were kept.
    """

    words: PreTrainedTokenizerFast
    state: Mapping[str, torch.Tensor]
    heads: Mapping[str, torch.Tensor]

    @classmethod
    def load(cls, folder: Path) -> "Earlier":
        """From a checkpoint or from a run of ``train.py``."""
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=False)["model"]
            model, heads = (
                {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
                for prefix in ("model.", "helpers.")
            )
            return cls(PreTrainedTokenizerFast.from_pretrained(folder / "model"), model, heads)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).state_dict()
        return cls(PreTrainedTokenizerFast.from_pretrained(folder), model, {})


@torch.no_grad()
def start_from(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, earlier: Earlier) -> None:
    """Give the model what an earlier one knows.

    Layers that the earlier one lacks begin as if they were not there; patches and their positions are resized; a new
    token begins as the mean of the earlier tokens that it is made of.
    """
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in earlier.state:
            if any(f"{end}.weight" in name for end in _RESIDUAL_ENDS):
                tensor.zero_()
            continue
        known = earlier.state[name]
        if name.endswith("embed_tokens.weight") or name == "lm_head.weight":
            known = _renamed_tokens(known, earlier.words, tokenizer)
        elif name.endswith("position_embedding.weight"):
            known = _resized_positions(known, len(tensor))
        elif name.endswith("patch_embedding.weight"):
            # Area for area: a patch that shows the same, only smaller, gives the same sum.
            ratio = known.shape[-1] / tensor.shape[-1]
            known = interpolate(known, tensor.shape[-2:], mode="bilinear", antialias=True) * ratio**2
        tensor.copy_(known)
    model.load_state_dict(own)


def _renamed_tokens(
    earlier: torch.Tensor, earlier_words: PreTrainedTokenizerFast, tokenizer: PreTrainedTokenizerFast
) -> torch.Tensor:
    known = earlier_words.get_vocab()
    rows = []
    for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
        parts = [known[token]] if token in known else earlier_words(token).input_ids
        rows.append(earlier[parts].mean(0))
    return torch.stack(rows)


def _resized_positions(earlier: torch.Tensor, count: int) -> torch.Tensor:
    """Positions of the class token and a square of patches: [1 + n * n, H] to [count, H]."""
    old, new = math.isqrt(len(earlier) - 1), math.isqrt(count - 1)
    square = earlier[1:].T.reshape(1, -1, old, old)
    resized = interpolate(square, (new, new), mode="bicubic", align_corners=False)
    return torch.cat([earlier[:1], resized.flatten(2)[0].T])
