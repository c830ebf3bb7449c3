import pytest
from transformers import LlamaConfig

from semsam.content import content_tokens
from semsam.errors import TokenizerMismatchError
from tests.helpers import tiny_models


@pytest.fixture
def tokenizer():
    return tiny_models.tiny_tokenizer()


def control(tokenizer, config=None, size=263):
    return [int(token) for token in (~content_tokens(tokenizer, config, size)).nonzero()]


def test_special_tokens_are_not_content(tokenizer):
    assert tokenizer.convert_ids_to_tokens(control(tokenizer)) == list(tiny_models.SPECIAL_TOKENS)


def test_rows_beyond_the_tokenizer_are_not_content(tokenizer):
    assert control(tokenizer, size=300) == list(range(256, 300))


def test_added_markers_are_control_and_added_words_are_content(tokenizer):
    tokenizer.add_tokens(["<tool_call>", "<|fim_prefix|>", "[IMG]", "spleen", " a < b > c ", "\n\n", "<>"])
    tokens = tokenizer.convert_ids_to_tokens(control(tokenizer, size=270))
    assert set(tokens) - set(tiny_models.SPECIAL_TOKENS) == {"<tool_call>", "<|fim_prefix|>", "[IMG]"}


def test_special_token_that_looks_like_a_word_is_control(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": ["picture"]})
    assert "picture" in tokenizer.convert_ids_to_tokens(control(tokenizer, size=264))


@pytest.mark.parametrize(
    ("token", "is_control"),
    [
        ("<unused7>", True),
        ("<|reserved_special_token_3|>", True),
        ("[unused12]", True),
        ("<|anything|>", True),
        ("<extra_id_0>", True),
        ("<0x0A>", False),
        ("</p>", False),
        ("left", False),
        ("unused", False),
    ],
)
def test_reserved_tokens_within_the_vocabulary(token, is_control):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, token: 1}, unk_token="a")))
    assert control(plain, size=2) == ([1] if is_control else [])


def test_tokens_that_the_config_names_are_control(tokenizer):
    config = {
        "image_token_id": 5,
        "vision_config": {"video_token_index": 6, "patch_size": 16},
        "text_config": {"eos_token_id": [7, 8], "pad_token_id": None, "bos_token_id": 9},
        "boi_token_index": 10,
        "image_token_ids": (11,),
        "tokens_per_second": 12,
        "audio_token_id": 5000,
        "forced_eos_token_id": 13,
    }
    assert control(tokenizer, config)[:7] == [5, 6, 7, 8, 10, 11, 256]


def test_defaults_of_a_config_class_make_no_letter_a_control_token(tokenizer):
    assert LlamaConfig().bos_token_id == 1
    assert 1 not in control(tokenizer, LlamaConfig(eos_token_id=258))


def test_processor_stands_for_its_tokenizer(tokenizer):
    class Processor:
        pass

    Processor.tokenizer = tokenizer
    assert control(Processor) == control(tokenizer)


def test_larger_tokenizer_is_refused(tokenizer):
    with pytest.raises(TokenizerMismatchError, match=r"embedding of 262 rows: its largest token id is 262.*Remedy"):
        content_tokens(tokenizer, None, 262)


def test_real_tokenizer(smollm2):
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    found = tokenizer.convert_ids_to_tokens(control(tokenizer, AutoConfig.from_pretrained(smollm2), 49152))
    assert "<|im_end|>" in found
    assert "<jupyter_code>" in found
    assert len(found) == 17
