from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

from dataset_builder.core.errors import FetchError
from lm_eval_tasks import smollm2 as module

PROMPT = (
    "In an axial CT slice, is structure A to the right or to the left of structure B?\nOptions: right; left\nAnswer:"
)


@pytest.mark.slow
def test_the_folder_answers_as_the_gguf_file_does(smollm2):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = module.fetch_gguf()
    models = [
        AutoModelForCausalLM.from_pretrained(smollm2),
        AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name),
    ]
    tokenizers = [
        AutoTokenizer.from_pretrained(smollm2),
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name),
    ]
    saved, direct = (model.state_dict() for model in models)
    assert saved.keys() == direct.keys()
    assert all(saved[name].dtype == torch.float32 and torch.equal(saved[name], direct[name]) for name in direct)
    answers = []
    for model, tokenizer in zip(models, tokenizers, strict=True):
        turns = [{"role": "user", "content": PROMPT}]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, return_tensors="pt").input_ids
        answers.append(model.generate(ids, do_sample=False, max_new_tokens=12)[0].tolist())
    assert answers[0] == answers[1]
    text = tokenizers[0].decode(answers[0])
    assert text.startswith("<|im_start|>system\n")
    assert "<|im_start|>user\nIn an axial CT slice" in text


@pytest.fixture
def making(tmp_path, monkeypatch) -> list[Path]:
    """An empty cache, and a conversion that writes small files and notes where."""
    made: list[Path] = []

    def convert(gguf: Path, folder: Path) -> None:
        sleep(0.2)
        folder.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_text(f"{name} of {gguf.name}")
        made.append(folder)

    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "fetch_gguf", lambda: (tmp_path / "cache").mkdir(exist_ok=True) or Path("model.gguf"))
    monkeypatch.setattr(module, "_convert", convert)
    return made


def test_the_folder_is_made_once(making):
    folder = module.fetch_smollm2()
    assert (folder / "config.json").read_text() == "config.json of model.gguf"
    assert module.fetch_smollm2() == folder
    assert len(making) == 1


@pytest.mark.parametrize("damage", ["changed", "cut off", "missing", "other making", "no manifest", "odd manifest"])
def test_a_damaged_folder_is_made_again(making, damage, monkeypatch):
    folder = module.fetch_smollm2()
    if damage == "changed":
        (folder / "model.safetensors").write_text("model.safetensors of model.gguF")
    elif damage == "cut off":
        (folder / "model.safetensors").write_text("model")
    elif damage == "missing":
        (folder / "tokenizer.json").unlink()
    elif damage == "other making":
        monkeypatch.setattr(module, "_ORIGIN", "another")
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    else:
        (folder / "manifest.json").write_text('{"files": []}')
    assert module.fetch_smollm2() == folder
    assert len(making) == 2
    assert (folder / "model.safetensors").read_text() == "model.safetensors of model.gguf"
    assert (folder / "tokenizer.json").exists()


def test_a_stopped_making_leaves_nothing_that_looks_whole(making, monkeypatch):
    convert = module._convert

    def stop(gguf: Path, folder: Path) -> None:
        convert(gguf, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_convert", stop)
    with pytest.raises(KeyboardInterrupt):
        module.fetch_smollm2()
    cache = module.cache_folder()
    assert not (cache / module.FOLDER).exists()
    (cache / f"{module._TEMPORARY}killed").mkdir()  # what a killed process leaves
    monkeypatch.setattr(module, "_convert", convert)
    folder = module.fetch_smollm2()
    assert {path.name for path in cache.iterdir()} == {folder.name, f".{folder.name}.lock"}


def test_two_at_once_make_one(making):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: module.fetch_smollm2(), range(2))
    assert first == second
    assert len(making) == 1


def test_a_missing_reader_is_told_with_its_remedy(making, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"gguf.*pip install 'mis-ground\[demo\]'"):
        module.fetch_smollm2()


def test_a_full_disk_is_told_with_its_remedy(making, monkeypatch):
    def full(gguf: Path, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_convert", full)
    with pytest.raises(FetchError, match=r"No space left on device.*MIS_GROUND_CACHE"):
        module.fetch_smollm2()
