"""Tables are made of the embedding as the model uses it, for the tokens that it has logits for."""

import peft
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LlamaConfig, LlamaForCausalLM

from semsam import embedding, neighbours
from semsam.errors import EmbeddingError
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.settings import Settings
from tests.helpers.tiny_families import save_family
from tests.helpers.tiny_models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
ROWS = len(TOKENIZER)
SETTINGS = Settings(k=4)


def llama():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=ROWS, tie_word_embeddings=False, **sizes)).eval()


ADAPTERS = {
    "lora": {"target_modules": ["embed_tokens"]},
    "some tokens": {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [65, 66, 67, 68]}},
    "a copy": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
}


def adapted(kind):
    model = peft.get_peft_model(llama(), peft.LoraConfig(r=2, task_type="CAUSAL_LM", **ADAPTERS[kind])).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(part in name for part in ("lora_embedding", "trainable_tokens", "modules_to_save")):
                weight.copy_(torch.randn_like(weight))
    return model


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_on_the_embedding_counts(kind):
    model = adapted(kind)
    with torch.no_grad():
        used = model.get_input_embeddings()(torch.arange(ROWS))
    assert not torch.allclose(used, llama().get_input_embeddings().weight)
    made = neighbours.for_model(model, TOKENIZER, SETTINGS, cache=False)
    own = neighbours.build(used, made.content, 4)
    assert torch.equal(made.ids, own.ids)
    SemanticSamplingLogitsProcessor(made, SETTINGS, model)  # fits
    with model.disable_adapter():
        plain = neighbours.for_model(model, TOKENIZER, SETTINGS, cache=False)
    assert torch.equal(plain.ids, neighbours.for_model(llama(), TOKENIZER, SETTINGS, cache=False).ids)
    before = embedding.state_of(model)
    with model.disable_adapter():
        assert embedding.state_of(model) != before


def test_an_embedding_that_cannot_be_looked_up_is_refused():
    model = llama()

    class Odd(torch.nn.Embedding):
        def forward(self, ids):
            return super().forward(ids).mean(-2)

    model.set_input_embeddings(Odd.from_pretrained(model.get_input_embeddings().weight))
    with pytest.raises(EmbeddingError, match=r"does not give a vector for each token.*merge_and_unload"):
        neighbours.for_model(model, TOKENIZER, SETTINGS, cache=False)


def test_a_scaled_embedding_is_not_copied():
    model = llama()

    class Scaled(torch.nn.Embedding):
        def forward(self, ids):
            return super().forward(ids) * 4

    model.set_input_embeddings(Scaled.from_pretrained(model.get_input_embeddings().weight))
    assert embedding.of_model(model).data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_content_without_a_logit_is_refused():
    model = llama()
    model.lm_head = torch.nn.Linear(16, 200, bias=False)
    with pytest.raises(EmbeddingError, match=r"no logits for \d+ content tokens.*263 rows, 200 logits"):
        neighbours.for_model(model, TOKENIZER, SETTINGS, cache=False)


def test_logits_beyond_the_embedding_are_no_content():
    model = llama()
    model.lm_head = torch.nn.Linear(16, ROWS + 9, bias=False)
    tables = neighbours.for_model(model, TOKENIZER, SETTINGS, cache=False)
    assert len(tables.ids) == ROWS + 9
    assert not tables.content[ROWS:].any()


@pytest.fixture(scope="module", params=["mllama", "idefics"])
def odd(request, tmp_path_factory):
    """Mllama embeds eight tokens that it never says; the first Idefics keeps its own tokens' vectors apart."""
    folder = save_family(request.param, tmp_path_factory.mktemp("odd") / request.param)
    return folder, AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)


def test_tables_are_as_wide_as_the_logits(odd):
    folder, model, processor = odd
    ids = processor.tokenizer("Where is A?", return_tensors="pt").input_ids
    if folder.name == "mllama":
        logits = model(input_ids=ids).logits
        rows = embedding.load(str(folder), processor.tokenizer)
        assert (len(rows.embedding), rows.logits) == (logits.shape[-1] + 8, logits.shape[-1])
        of_files = neighbours.for_model(str(folder), processor.tokenizer, SETTINGS, cache=False)
        assert len(of_files.ids) == logits.shape[-1]
    else:
        logits = torch.randn(1, 3, len(processor.tokenizer))
    tables = neighbours.for_model(model, processor.tokenizer, SETTINGS, cache=False)
    assert len(tables.ids) == logits.shape[-1]
    step = logits[:, -1].detach().masked_fill(~tables.content, -30)  # where others are likely, the rule defers
    scores = SemanticSamplingLogitsProcessor(tables, SETTINGS, model)(ids, step)
    assert scores.shape == step.shape
    assert not torch.equal(scores, step)
