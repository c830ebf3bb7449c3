"""Tiny models of the families that people use, with their own classes, processors and random weights.

`FAMILIES` names the functions that save one into a folder; each takes images in the harness's ``hf-multimodal``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SIDE = 32
"""Pixels of an image's side."""

TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 8192,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}


def tokenizer_of(tokens: Mapping[str, str], more: tuple[str, ...] = (), template: str = "") -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes and special tokens.

    Args:
        tokens: special tokens by the name of their attribute, such as ``image_token``.
        more: further special tokens.
        template: what the chat template writes for an image.
    """
    special = dict.fromkeys(["<pad>", "<s>", "</s>", *tokens.values(), *more])
    vocabulary = {token: i for i, token in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), *special])}
    made = Tokenizer(models.BPE(vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(special))
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=chat_template(template),
        extra_special_tokens=dict(tokens),
        model_max_length=8192,
    )


def chat_template(image: str) -> str:
    """A template that writes ``image`` for each image."""
    return (
        "{%- for message in messages %}{{ '[' + message.role + ']' }}"
        "{%- if message.content is string %}{{ message.content }}{%- else %}{%- for part in message.content %}"
        f"{{%- if part.type == 'image' %}}{{{{ '{image}' }}}}{{%- else %}}{{{{ part.text }}}}{{%- endif %}}"
        "{%- endfor %}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{ '[assistant]' }}{%- endif %}"
    )


def _save(folder: Path, model: Any, processor: Any, tokenizer: Any) -> Path:
    for setting in ("eos_token_id", "pad_token_id", "bos_token_id"):
        setattr(model.generation_config, setting, getattr(tokenizer, setting))
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _ids(tokenizer: Any) -> dict[str, int]:
    return {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _qwen_tokenizer() -> PreTrainedTokenizerFast:
    tokens = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    more = ("<|vision_start|>", "<|vision_end|>")
    return tokenizer_of(tokens, more, "<|vision_start|><|image_pad|><|vision_end|>")


def _qwen(folder: Path, generation: str, vision: dict[str, Any], text: dict[str, Any]) -> Path:
    tokenizer = _qwen_tokenizer()
    token = tokenizer.convert_tokens_to_ids
    config = getattr(transformers, f"{generation}Config")(
        text_config=TEXT | text | _ids(tokenizer) | {"vocab_size": len(tokenizer)},
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    size = vision["patch_size"]
    given = {"size": {"shortest_edge": SIDE * SIDE, "longest_edge": 64 * 64}, "patch_size": size}
    video = "Qwen3VLVideoProcessor" if generation == "Qwen3VL" else "Qwen2VLVideoProcessor"
    processor = getattr(transformers, f"{generation}Processor".replace("Qwen2_5_VL", "Qwen2_5_VL"))(
        image_processor=transformers.Qwen2VLImageProcessor(**given),
        video_processor=getattr(transformers, video)(**given),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )
    model = getattr(transformers, f"{generation}ForConditionalGeneration")(config)
    return _save(folder, model, processor, tokenizer)


ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}


def qwen2_vl(folder: Path) -> Path:
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 32, "patch_size": 14, "mlp_ratio": 2}
    return _qwen(folder, "Qwen2VL", vision, {"rope_parameters": ROPE})


def qwen2_5_vl(folder: Path) -> Path:
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 32}
    vision |= {"patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56}
    return _qwen(folder, "Qwen2_5_VL", vision, {"rope_parameters": ROPE})


def qwen3_vl(folder: Path) -> Path:
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 32}
    vision |= {"patch_size": 16, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    return _qwen(folder, "Qwen3VL", vision, {"head_dim": 16, "rope_parameters": ROPE})


def glm4v(folder: Path) -> Path:
    more = ("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>")
    tokens = {"image_token": "<|image|>", "video_token": "<|video|>"}
    tokenizer = tokenizer_of(tokens, more, "<|begin_of_image|><|image|><|end_of_image|>")
    token = tokenizer.convert_tokens_to_ids
    vision = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 64, "out_hidden_size": 32}
    vision |= {"patch_size": 14, "image_size": 56}
    config = transformers.Glm4vConfig(
        text_config=TEXT
        | _ids(tokenizer)
        | {
            "vocab_size": len(tokenizer),
            "rope_parameters": ROPE | {"partial_rotary_factor": 0.5, "mrope_section": [1, 1, 2]},
        },
        vision_config=vision,
        image_token_id=token("<|image|>"),
        video_token_id=token("<|video|>"),
        image_start_token_id=token("<|begin_of_image|>"),
        image_end_token_id=token("<|end_of_image|>"),
        video_start_token_id=token("<|begin_of_video|>"),
        video_end_token_id=token("<|end_of_video|>"),
    )
    given = {"size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}, "patch_size": 14}
    processor = transformers.Glm4vProcessor(
        image_processor=transformers.Glm4vImageProcessor(**given),
        video_processor=transformers.Glm4vVideoProcessor(**given),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.Glm4vForConditionalGeneration(config), processor, tokenizer)


def _idefics3_tokenizer() -> PreTrainedTokenizerFast:
    tiles = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    tokens = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
    }
    return tokenizer_of(tokens | {"end_of_utterance_token": "<end_of_utterance>"}, tiles, "<image>")


def idefics3(folder: Path) -> Path:
    tokenizer = _idefics3_tokenizer()
    config = transformers.Idefics3Config(
        text_config=TEXT | _ids(tokenizer) | {"model_type": "llama", "vocab_size": len(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    given = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = transformers.Idefics3Processor(
        transformers.Idefics3ImageProcessor(**given), tokenizer, image_seq_len=4, chat_template=tokenizer.chat_template
    )
    return _save(folder, transformers.Idefics3ForConditionalGeneration(config), processor, tokenizer)


def smolvlm(folder: Path) -> Path:
    tokenizer = _idefics3_tokenizer()
    config = transformers.SmolVLMConfig(
        text_config=TEXT | _ids(tokenizer) | {"model_type": "llama", "vocab_size": len(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=tokenizer.pad_token_id,
    )
    given = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = transformers.SmolVLMProcessor(
        transformers.SmolVLMImageProcessor(**given),
        tokenizer,
        transformers.SmolVLMVideoProcessor(**given),
        image_seq_len=4,
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.SmolVLMForConditionalGeneration(config), processor, tokenizer)


def internvl(folder: Path) -> Path:
    tokens = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = tokenizer_of(tokens | {"video_token": "<video>"}, (), "<IMG_CONTEXT>\\n")
    config = transformers.InternVLConfig(
        text_config=TEXT | _ids(tokenizer) | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=VISION | {"image_size": [SIDE, SIDE], "patch_size": [8, 8]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    size = {"size": {"height": SIDE, "width": SIDE}}
    processor = transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessor(**size, crop_to_patches=False),
        tokenizer,
        transformers.InternVLVideoProcessor(**size),
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.InternVLForConditionalGeneration(config), processor, tokenizer)


def gemma3(folder: Path) -> Path:
    tokens = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = tokenizer_of(tokens, (), "<start_of_image>")
    token = tokenizer.convert_tokens_to_ids
    config = transformers.Gemma3Config(
        text_config=TEXT | _ids(tokenizer) | {"vocab_size": len(tokenizer), "head_dim": 16, "sliding_window": 64},
        vision_config=VISION | {"model_type": "siglip_vision_model", "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=token("<start_of_image>"),
        eoi_token_index=token("<end_of_image>"),
        image_token_index=token("<image_soft_token>"),
    )
    processor = transformers.Gemma3Processor(
        transformers.Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE}),
        tokenizer,
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.Gemma3ForConditionalGeneration(config), processor, tokenizer)


def paligemma(folder: Path) -> Path:
    tokenizer = tokenizer_of({"image_token": "<image>"}, (), "<image>")
    config = transformers.PaliGemmaConfig(
        text_config=TEXT | _ids(tokenizer) | {"model_type": "gemma", "vocab_size": len(tokenizer), "head_dim": 16},
        vision_config=VISION | {"model_type": "siglip_vision_model", "vision_use_head": False, "projection_dim": 32},
        projection_dim=32,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    image_processor = transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    image_processor.image_seq_length = 16
    processor = transformers.PaliGemmaProcessor(image_processor, tokenizer, chat_template=tokenizer.chat_template)
    model = transformers.PaliGemmaForConditionalGeneration(config)
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    return _save(folder, model, processor, tokenizer)


def llava_onevision(folder: Path) -> Path:
    tokenizer = tokenizer_of({"image_token": "<image>", "video_token": "<video>"}, (), "<image>")
    pinpoints = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE]]
    config = transformers.LlavaOnevisionConfig(
        text_config=TEXT | _ids(tokenizer) | {"model_type": "qwen2", "vocab_size": len(tokenizer)},
        vision_config=VISION | {"model_type": "siglip_vision_model", "vision_use_head": False},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
        tokenizer,
        transformers.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.LlavaOnevisionForConditionalGeneration(config), processor, tokenizer)


def mllama(folder: Path) -> Path:
    tokenizer = tokenizer_of(
        {"image_token": "<|image|>"}, ("<|python_tag|>", *(f"<|reserved_{n}|>" for n in range(7))), "<|image|>"
    )
    # As published: the embedding has eight rows more than there are logits, the image's token the first of them.
    rows = len(tokenizer) - 8
    ids = tokenizer.convert_tokens_to_ids(["<|image|>"])
    config = transformers.MllamaConfig(
        text_config=TEXT | _ids(tokenizer) | {"vocab_size": rows, "cross_attention_layers": [1]},
        vision_config=VISION
        | {"num_global_layers": 1, "intermediate_layers_indices": [0], "attention_heads": 2, "max_num_tiles": 2}
        | {"vision_output_dim": 64, "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]]},
        image_token_index=ids[0],
    )
    processor = transformers.MllamaProcessor(
        transformers.MllamaImageProcessor(size={"height": SIDE, "width": SIDE}, max_image_tiles=2),
        tokenizer,
        chat_template=tokenizer.chat_template,
    )
    return _save(folder, transformers.MllamaForConditionalGeneration(config), processor, tokenizer)


def idefics(folder: Path) -> Path:
    tokens = {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    tokenizer = tokenizer_of(tokens, ("<end_of_utterance>",), "<image>")
    config = transformers.IdeficsConfig(
        vocab_size=len(tokenizer) - 3,
        additional_vocab_size=3,
        **{
            name: TEXT[name]
            for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        },
        **_ids(tokenizer),
        cross_layer_interval=1,
        use_resampler=False,
        vision_config={
            "embed_dim": 32,
            "image_size": SIDE,
            "patch_size": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.IdeficsProcessor(
        transformers.IdeficsImageProcessor(image_size=SIDE), tokenizer, image_size=SIDE
    )
    return _save(folder, transformers.IdeficsForVisionText2Text(config), processor, tokenizer)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "gemma3": gemma3,
    "llava_onevision": llava_onevision,
    "idefics3": idefics3,
    "mllama": mllama,
    "paligemma": paligemma,
    "glm4v": glm4v,
}


def save_family(name: str, folder: Path) -> Path:
    """Save a family's tiny model."""
    torch.manual_seed(0)
    return {**FAMILIES, "idefics": idefics}[name](folder)
