"""Which tokens are content: all but special, control and modality tokens and rows that no token uses."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from semsam.errors import TokenizerMismatchError

# Tokens that were added to a vocabulary and look like markup are control tokens, also where the tokenizer does not
# call them special: <tool_call>, <|fim_prefix|>, [IMG]. Added words are content.
_ADDED_MARKER = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]", re.ASCII)
# In the vocabulary itself only what can be nothing else.
_MARKER = re.compile(r"<\|[^<>\s]+\|>|[<\[]\|?(?:unused|reserved|extra_id|placeholder)[^<>\[\]\s]*[>\]]", re.IGNORECASE)
# image_token_id, eos_token_id (a number or a list), image_token_index, boi_token_index ...; not those of which configs
# have defaults that are not control tokens of the model at hand: of these the tokenizer knows.
_TOKEN_ID_KEY = re.compile(r"(?!bos|unk|sep|cls|mask|decoder_start|forced)(\w+_)?token_(id|ids|index|idx)")


def content_tokens(tokenizer: Any, config: Any, vocabulary_size: int) -> Tensor:
    """bool[vocabulary_size], true for content tokens.

    Args:
        tokenizer: a ``transformers`` tokenizer, or a processor that has one.
        config: the model's config (or its dict), which names tokens that stand for images, video, audio; or None.
        vocabulary_size: rows of the embedding; those beyond the tokenizer are not content.

    Raises:
        TokenizerMismatchError: if the tokenizer has tokens beyond the embedding, or none at all.
    """
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    largest = max(vocabulary.values(), default=-1)
    if not 0 <= largest < vocabulary_size:
        raise TokenizerMismatchError(
            f"The tokenizer does not match the embedding of {vocabulary_size} rows: its largest token id is {largest}.",
            value=getattr(tokenizer, "name_or_path", None) or type(tokenizer).__name__,
            remedy="give the model's own tokenizer, or resize the embedding to the tokenizer first.",
        )
    content = torch.zeros(vocabulary_size, dtype=torch.bool)
    content[list(vocabulary.values())] = True
    control = set(tokenizer.all_special_ids)
    control.update(id for token, id in vocabulary.items() if _MARKER.fullmatch(token))
    for id, token in tokenizer.added_tokens_decoder.items():
        if token.special or _ADDED_MARKER.fullmatch(token.content):
            control.add(id)
    if config is not None:
        control.update(_named_ids(config if isinstance(config, dict) else config.to_dict()))
    content[[id for id in control if 0 <= id < vocabulary_size]] = False
    return content


def _named_ids(config: Any) -> Iterator[int]:
    """Token ids named anywhere in a config, its parts included."""
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        if isinstance(key, str) and _TOKEN_ID_KEY.fullmatch(key):
            values = value if isinstance(value, list | tuple) else [value]
            yield from (id for id in values if isinstance(id, int) and not isinstance(id, bool))
        else:
            yield from _named_ids(value)
