import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList, TopPLogitsWarper

from semsam.errors import EmbeddingError, TablesError
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.neighbours import build, for_model
from semsam.rescoring import rescore
from semsam.settings import Settings
from tests.helpers.tiny_models import save_tiny_llama

PROMPTS = ["the liver", "a", "Which side is the spleen on?", "left or right: "]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = AutoModelForCausalLM.from_pretrained(save_tiny_llama(tmp_path_factory.mktemp("model")))
    with torch.no_grad():
        model.lm_head.weight *= 10  # random weights give a flat distribution; a model's is not
        model.lm_head.weight[256:] *= 0.1
    return model


@pytest.fixture(scope="module")
def tokenizer(model):
    tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
    tokenizer.padding_side = "left"
    return tokenizer


@pytest.fixture(scope="module")
def tables(model, tokenizer):
    return for_model(model, tokenizer, Settings(k=8), cache=False)


def processors(tables, **settings) -> LogitsProcessorList:
    return LogitsProcessorList([SemanticSamplingLogitsProcessor(tables, Settings(k=8, **settings))])


def generate(model, tokenizer, prompts=PROMPTS, **arguments) -> torch.Tensor:
    inputs = tokenizer(prompts, padding=True, return_tensors="pt")
    arguments = {"max_new_tokens": 12, "do_sample": False} | arguments
    return model.generate(**inputs, **arguments)[:, inputs["input_ids"].shape[1] :]


def test_is_the_pure_function(tables):
    scores = torch.randn(4, 263, generator=torch.Generator().manual_seed(0)) * 3
    for settings in (Settings(k=8), Settings(k=3, top_m=9, top_p=0.7, mode="sample", strength=0.5)):
        got = SemanticSamplingLogitsProcessor(tables, settings)(torch.zeros(4, 3, dtype=torch.int64), scores)
        expected = rescore(
            scores, tables, settings.top_m, settings.top_p, k=settings.k, mode=settings.mode, strength=settings.strength
        )
        assert torch.equal(got, expected)


def test_changes_what_is_generated_and_batches_do_not(model, tokenizer, tables):
    plain = generate(model, tokenizer)
    together = generate(model, tokenizer, logits_processor=processors(tables))
    assert not torch.equal(together, plain)
    for prompt, row in zip(PROMPTS, together, strict=True):
        assert torch.equal(generate(model, tokenizer, [prompt], logits_processor=processors(tables))[0], row)


def test_one_neighbour_and_no_strength_are_greedy_decoding(model, tokenizer, tables):
    plain = generate(model, tokenizer)
    one = LogitsProcessorList([SemanticSamplingLogitsProcessor(tables, Settings(k=1))])
    assert torch.equal(generate(model, tokenizer, logits_processor=one), plain)
    assert torch.equal(generate(model, tokenizer, logits_processor=processors(tables, strength=0)), plain)


def test_one_neighbour_samples_the_tokens_that_top_p_samples():
    scores = torch.randn(500, 300, generator=torch.Generator().manual_seed(0)) * 3
    embedding = torch.randn(300, 8)
    one = build(embedding, torch.ones(300, dtype=torch.bool), 1)
    ours = SemanticSamplingLogitsProcessor(one, Settings(k=1, top_m=300, top_p=0.8))(None, scores)
    plain = TopPLogitsWarper(0.8)(None, scores)
    drawn = [
        torch.multinomial(logits.softmax(-1), 1, generator=torch.Generator().manual_seed(5)) for logits in (ours, plain)
    ]
    assert torch.equal(*drawn)
    assert not torch.equal(drawn[0].squeeze(1), scores.argmax(-1))


def test_sampling_from_the_scores_draws_candidates_only(model, tokenizer, tables):
    chosen = processors(tables, mode="sample", top_m=4)
    torch.manual_seed(0)
    rows = generate(model, tokenizer, do_sample=True, top_k=0, logits_processor=chosen)
    assert not torch.equal(rows, generate(model, tokenizer, logits_processor=processors(tables, top_m=4)))


def test_what_other_processors_rule_out_stays_out(model, tokenizer, tables):
    usual = generate(model, tokenizer, logits_processor=processors(tables))
    forbidden = usual.unique().tolist()
    rows = generate(model, tokenizer, suppress_tokens=forbidden, logits_processor=processors(tables))
    assert not set(rows.unique().tolist()) & set(forbidden)


def test_works_in_beam_search_and_in_half_precision(model, tokenizer, tables):
    assert generate(model, tokenizer, num_beams=3, logits_processor=processors(tables)).shape[0] == len(PROMPTS)
    half = AutoModelForCausalLM.from_pretrained(model.name_or_path, dtype=torch.bfloat16)
    assert generate(half, tokenizer, logits_processor=processors(tables)).shape[0] == len(PROMPTS)


def test_for_model_makes_its_tables(model, tokenizer, tables, tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path))
    made = SemanticSamplingLogitsProcessor.for_model(model, tokenizer, Settings(k=8))
    assert torch.equal(made.tables.ids, tables.ids)
    assert made.settings == Settings(k=8)


def test_tables_with_another_guard_are_refused(tables):
    with pytest.raises(TablesError, match=r"guard=antonyms.*found: guard=none.*Remedy: build"):
        SemanticSamplingLogitsProcessor(tables, Settings(k=8, guard="antonyms"))


def test_tables_with_fewer_neighbours_are_refused(tables):
    with pytest.raises(TablesError, match=r"have 8 neighbours.*16 are requested"):
        SemanticSamplingLogitsProcessor(tables)


def test_tables_of_another_model_are_refused_before_anything_is_generated(model, tables):
    SemanticSamplingLogitsProcessor(tables, Settings(k=8), model)
    other = build(torch.randn(263, 32), tables.content, 8)
    with pytest.raises(TablesError, match="belong to another model"):
        SemanticSamplingLogitsProcessor(other, Settings(k=8), model)


def test_model_without_token_embedding_is_refused():
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32)
    with pytest.raises(EmbeddingError, match="embedding"):
        for_model(ViTModel(config), object())
