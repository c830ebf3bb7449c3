import dataclasses
import functools
import gc
import weakref
from pathlib import Path

import pytest
import torch
import transformers
from packaging.version import Version
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList

import semsam
from semsam.custom_generate import generate as recipe
from semsam.errors import SettingsError
from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.settings import Settings
from tests.helpers.tiny_models import save_tiny_llama

FOLDER = Path(semsam.__file__).parent


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def model(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(save_tiny_llama(tmp_path / "model"))
    with torch.no_grad():
        model.lm_head.weight *= 10
        model.lm_head.weight[256:] *= 0.1
    return model


@pytest.fixture
def inputs(model):
    tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
    tokenizer.padding_side = "left"
    texts = tokenizer(["the liver", "Which side is the spleen on?"], padding=True, return_tensors="pt")
    return {**texts, "max_new_tokens": 12, "do_sample": False}


def by_processor(model, inputs, settings):
    processor = SemanticSamplingLogitsProcessor.for_model(model, settings=settings)
    return model.generate(**inputs, logits_processor=LogitsProcessorList([processor]))


def test_loads_from_its_folder_and_equals_the_processor(model, inputs):
    ours = {"custom_generate": str(FOLDER), "trust_remote_code": True}
    got = model.generate(**inputs, **ours, semsam_k=8, semsam_top_p=0.9)
    assert torch.equal(got, by_processor(model, inputs, Settings(k=8, top_p=0.9)))
    assert not torch.equal(got, model.generate(**inputs))
    assert torch.equal(model.generate(**inputs, **ours, semsam_strength=0), model.generate(**inputs))


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.12"),
    reason="before 5.12 transformers runs the code of a local folder without permission",
)
def test_refused_without_trust(model, inputs):
    with pytest.raises(ValueError, match="trust_remote_code"):
        model.generate(**inputs, custom_generate=str(FOLDER), trust_remote_code=False)


def test_wrong_setting_is_named_before_anything_is_generated(model, inputs, monkeypatch):
    monkeypatch.setattr(type(model), "forward", None)
    with pytest.raises(SettingsError, match=r"semsam_topk.*use one of"):
        recipe.generate(model, **inputs, semsam_topk=3)
    with pytest.raises(SettingsError, match="'top_p'"):
        recipe.generate(model, **inputs, semsam_top_p=2)


def test_other_processors_run_first(model, inputs):
    class First:
        def __call__(self, input_ids, scores):
            return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([65]), 0.0)

    rows = recipe.generate(model, logits_processor=LogitsProcessorList([First()]), **inputs)
    assert (rows[:, inputs["input_ids"].shape[1] :] == 65).all()


def test_may_be_the_model_s_own_generate(model, inputs):
    """So it is after `from_pretrained` of a repository that holds the recipe beside its weights."""
    expected = recipe.generate(model, **inputs)
    model.generate = functools.partial(recipe.generate, model=model)
    assert torch.equal(model.generate(**inputs), expected)


def test_tables_are_made_once_and_anew_when_the_embedding_changes(model, inputs, monkeypatch):
    made = []
    for_model = SemanticSamplingLogitsProcessor.for_model

    def counted(*arguments, **named):
        made.append(1)
        return for_model(*arguments, **named)

    monkeypatch.setattr(recipe.SemanticSamplingLogitsProcessor, "for_model", counted)
    for _ in range(2):
        recipe.generate(model, **inputs, semsam_k=8)
    assert len(made) == 1
    with torch.no_grad():
        model.get_input_embeddings().weight[70:80] *= -1
    rows = recipe.generate(model, **inputs, semsam_k=8)
    assert len(made) == 2
    assert torch.equal(rows, by_processor(model, inputs, Settings(k=8)))


def test_forgets_a_model_that_is_gone(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(save_tiny_llama(tmp_path / "another"))
    recipe.generate(model, input_ids=torch.tensor([[65, 66]]), max_new_tokens=2)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_card_names_every_setting_and_how_to_call():
    card = (FOLDER / "custom_generate" / "README.md").read_text()
    assert card.startswith("---\n")
    front = card.split("---\n")[1]
    assert "library_name: transformers" in front
    assert "- custom_generate" in front
    for field in dataclasses.fields(Settings):
        assert f"`semsam_{field.name}`" in card
        assert f"`{field.default}`" in card
    assert "trust_remote_code=True" in card
