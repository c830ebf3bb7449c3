import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from semsam import embedding
from semsam.errors import EmbeddingError
from tests.helpers.tiny_models import save_tiny_llama


@pytest.fixture
def folder(tmp_path):
    return save_tiny_llama(tmp_path / "model")


@pytest.fixture
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


def test_read_from_files_is_the_loaded_model_s(folder, model):
    assert torch.equal(embedding.read(folder), model.model.embed_tokens.weight)
    assert torch.equal(embedding.of_model(model), model.model.embed_tokens.weight)
    assert not embedding.of_model(model).requires_grad


def test_sharded_files(folder, model):
    model.save_pretrained(folder, max_shard_size="20KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    (folder / "model.safetensors").unlink(missing_ok=True)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    needed = index["weight_map"]["model.embed_tokens.weight"]
    for shard in shards:
        if shard.name != needed:
            shard.write_bytes(b"never read")
    assert torch.equal(embedding.read(folder), model.model.embed_tokens.weight)


def test_only_the_embedding_is_read(folder, monkeypatch):
    import safetensors

    read = []
    opened = safetensors.safe_open

    class Watched:
        def __init__(self, *arguments, **options):
            self.file = opened(*arguments, **options)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def keys(self):
            return self.file.keys()

        def get_tensor(self, name):
            read.append(name)
            return self.file.get_tensor(name)

    monkeypatch.setattr("safetensors.safe_open", Watched)
    embedding.read(folder)
    assert read == ["model.embed_tokens.weight"]


def test_vision_language_model(tmp_path):
    from tests.helpers.tiny_models import save_tiny_qwen3_vl

    folder = save_tiny_qwen3_vl(tmp_path / "vlm")
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert torch.equal(embedding.read(folder), model.get_input_embeddings().weight)


@pytest.mark.parametrize("name", ["transformer.wte.weight", "gpt_neox.embed_in.weight", "tok_embeddings.weight"])
def test_names_of_other_families(folder, name):
    weight = torch.randn(263, 32)
    save_file({name: weight, "h.0.attn.weight": torch.randn(4, 4)}, folder / "model.safetensors")
    assert torch.equal(embedding.read(folder), weight)


def test_of_several_the_one_of_the_text_vocabulary(folder):
    text = torch.randn(263, 32)
    several = {"model.embed_tokens.weight": text, "audio.embed_tokens.weight": torch.randn(99, 32)}
    save_file(several, folder / "model.safetensors")
    assert torch.equal(embedding.read(folder), text)


def test_of_several_alike_none_is_guessed(folder):
    several = {f"{part}.embed_tokens.weight": torch.randn(263, 32) for part in ("encoder", "decoder")}
    save_file(several, folder / "model.safetensors")
    with pytest.raises(EmbeddingError, match=r"several.*decoder.embed_tokens.weight, encoder.*Remedy: load the model"):
        embedding.read(folder)


def test_config_of_an_unknown_model_is_read_as_it_is(folder):
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "nobody-knows", "vocab_size": 263}
    (folder / "config.json").write_text(json.dumps(config))
    assert embedding.load(folder).config["vocab_size"] == 263


def test_folder_without_config_will_do(folder):
    from tests.helpers.tiny_models import tiny_tokenizer

    (folder / "config.json").unlink()
    source = embedding.load(folder, tiny_tokenizer())
    assert source.config is None
    assert len(source.embedding) == 263


def test_files_without_embedding_are_refused(folder):
    save_file({"lm_head.weight": torch.randn(263, 32)}, folder / "model.safetensors")
    with pytest.raises(EmbeddingError, match="no token embedding with a known name"):
        embedding.read(folder)


def test_quantised_files_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = torch.zeros(263, 16, dtype=torch.uint8)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(EmbeddingError, match=r"quantised.*uint8\[263, 16\].*Remedy: build the tables from the unquant"):
        embedding.read(folder)


@pytest.mark.parametrize("length", [0, 6, 500, -10])
def test_damaged_files_are_refused(folder, length):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:length])
    with pytest.raises(EmbeddingError, match=r"cannot be read.*Remedy: download them again"):
        embedding.read(folder)


def test_damaged_index_and_missing_shard_are_refused(folder, model):
    model.save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    index = folder / "model.safetensors.index.json"
    text = index.read_text()
    index.write_text("{")
    with pytest.raises(EmbeddingError, match="cannot be read"):
        embedding.read(folder)
    index.write_text(text)
    (folder / json.loads(text)["weight_map"]["model.embed_tokens.weight"]).unlink()
    with pytest.raises(EmbeddingError, match="is missing"):
        embedding.read(folder)


@pytest.mark.parametrize("place", ["/no/such/folder", "nobody/no-such-model", "a/b/c", "."])
def test_no_model_is_refused(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EmbeddingError, match="No safetensors files of a model"):
        embedding.read(place)


def test_quantised_model_is_refused(model):
    model.get_input_embeddings().weight = torch.nn.Parameter(torch.zeros(263, 32).char(), requires_grad=False)
    with pytest.raises(EmbeddingError, match=r"quantised.*int8"):
        embedding.of_model(model)


def test_tensor_of_a_special_kind_is_refused(model):
    class Special(torch.Tensor):
        pass

    weight = torch.zeros(263, 32).as_subclass(Special)
    model.get_input_embeddings().weight = torch.nn.Parameter(weight, requires_grad=False)
    with pytest.raises(EmbeddingError, match=r"one plain tensor.*Special.*Remedy: give the model's folder"):
        embedding.of_model(model)


def test_offloaded_model_is_refused(model):
    with pytest.raises(EmbeddingError, match=r"not in memory.*Remedy: give the model's folder"):
        embedding.of_model(model.to("meta"))


@pytest.mark.parametrize("thing", [object(), torch.nn.Linear(2, 2)])
def test_what_has_no_embedding_is_refused(thing):
    with pytest.raises(EmbeddingError, match="has no token embedding"):
        embedding.of_model(thing)
