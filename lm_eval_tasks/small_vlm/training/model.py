"""The small model: transformers' own LLaVA classes, CLIP's tower and Llama, in a size that two CPU cores can train."""

import math

import torch
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from lm_eval_tasks.small_vlm.training.words import CHAT_TEMPLATE

SIDE, PATCH = 168, 28
TOKENS = (SIDE // PATCH) ** 2
"""Tokens of a picture."""
MEAN, STD = (0.16,) * 3, (0.3,) * 3
"""Mean and spread of the grey of the training pictures: after normalisation they lie around 0."""


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Scales pictures to SIDE x SIDE with Pillow; needs no torchvision."""
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
    """The model with random weights: each layer's as large as keeps the size of what goes through it."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=128,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    config = LlavaConfig(
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
            last = name.endswith(("o_proj", "down_proj", "out_proj", "fc2"))
            std = (0.5 if last else 1.0) / math.sqrt(module.weight[0].numel())
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5 if "position" in name else 0.08)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
