import logging
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semsam import neighbours
from semsam.errors import EmbeddingError, SettingsError, TablesError, TokenizerMismatchError
from semsam.neighbours import build, nearest
from semsam.settings import Settings
from tests.helpers import slow_rule, tiny_models

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def embedding_of(rows: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def everything(embedding: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(embedding), dtype=torch.bool)


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(1, 50),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.booleans(),
)
def test_equals_the_slow_cosines(rows, width, k, seed, control, guarded):
    embedding = embedding_of(rows, width, seed)
    generator = np.random.default_rng(seed)
    content = generator.random(rows) >= control
    apart = generator.integers(rows, size=(20, 2)).tolist() if guarded else []
    tables = build(embedding, torch.tensor(content), k, apart=torch.tensor(apart).view(-1, 2))
    ids, weights = slow_rule.neighbours(embedding, content, k, {tuple(pair) for pair in apart})
    assert tables.ids.dtype == torch.int32
    assert tables.ids.shape == tables.weights.shape == (rows, k)
    assert tables.content.tolist() == content.tolist()
    np.testing.assert_allclose(tables.weights.numpy(), weights, atol=1e-5)
    if width > 2:  # in one or two dimensions many cosines are equal but for rounding
        assert tables.ids.tolist() == ids


@pytest.mark.parametrize("dtype", DTYPES)
def test_token_is_its_own_first_neighbour_with_weight_one(dtype):
    embedding = embedding_of(500, 16).to(dtype)
    tables = build(embedding, everything(embedding), 4)
    assert tables.ids[:, 0].tolist() == list(range(500))
    assert (tables.weights[:, 0] == 1).all()
    assert ((tables.weights >= 0) & (tables.weights <= 1)).all()
    assert (tables.weights[:, 1:].diff(dim=1) <= 0).all()


def test_control_tokens_have_and_are_no_neighbours():
    embedding = embedding_of(100, 8)
    content = everything(embedding)
    content[[3, 50]] = False
    embedding[3] = embedding.mean(0)  # a hub, were it let in
    tables = build(embedding, content, 10)
    assert not torch.isin(tables.ids[content], torch.tensor([3, 50], dtype=torch.int32)).any()
    assert tables.ids[3].tolist() == [3] * 10
    assert tables.weights[3].tolist() == [1.0] + [0.0] * 9


def test_equal_rows_come_by_id():
    embedding = embedding_of(3, 24)[[0, 1, 2] * 700]
    tables = build(embedding, everything(embedding), 5)
    assert tables.ids[0].tolist() == [0, 3, 6, 9, 12]
    assert tables.ids[7].tolist() == [7, 1, 4, 10, 13]
    assert (tables.weights > 0.9999).all()


def test_zero_row_has_only_itself():
    embedding = embedding_of(30, 8)
    embedding[4] = 0
    tables = build(embedding, everything(embedding), 5)
    assert tables.weights[4].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    others = tables.ids[torch.arange(30) != 4]
    assert (tables.weights[torch.arange(30) != 4][others == 4] == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_length_of_vectors_does_not_matter(scale):
    embedding = embedding_of(60, 8)
    scaled = embedding * scale
    scaled[::2] *= 7
    assert torch.equal(build(scaled, everything(scaled), 5).ids, build(embedding, everything(embedding), 5).ids)


@pytest.mark.parametrize("memory", [1, 150_000, 1_000_000])
def test_memory_does_not_change_the_tables(memory):
    embedding = embedding_of(300, 32)
    content = everything(embedding)
    content[::7] = False
    large = build(embedding, content, 6)
    small = build(embedding, content, 6, memory=memory)
    assert torch.equal(large.ids, small.ids)
    torch.testing.assert_close(large.weights, small.weights)


def test_same_embedding_same_bytes():
    embedding = embedding_of(1500, 24)
    first, second = (build(embedding, everything(embedding), 8) for _ in range(2))
    assert torch.equal(first.ids, second.ids)
    assert torch.equal(first.weights, second.weights)


@pytest.mark.parametrize(
    ("rows", "width", "memory"), [(3000, 32, 8 << 20), (3000, 2048, 40 << 20), (6000, 64, 1 << 31)]
)
def test_peak_is_stated_before_and_kept(rows, width, memory, caplog):
    from torch.profiler import profile

    embedding = embedding_of(rows, width).bfloat16()
    content = everything(embedding)
    with caplog.at_level(logging.INFO, "semsam"), profile(profile_memory=True) as record:
        build(embedding, content, 16, memory=memory)
    in_use = peak = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            in_use += event.nbytes()
            peak = max(peak, in_use)
    tables = 2 * rows * 16 * 4 + 32 * rows
    stated = neighbours._plan(rows, width, 16, memory).peak
    assert stated <= memory
    assert peak - tables <= stated * 1.1
    assert f"up to {stated / 2**20:,.0f} MiB beside the embedding" in caplog.text


@pytest.mark.parametrize("hidden", [576, 5120, 8192])
@pytest.mark.parametrize("vocabulary", [49_152, 151_936, 262_144])
def test_default_stays_below_two_gib(vocabulary, hidden):
    plan = neighbours._plan(vocabulary, hidden, 16, neighbours.DEFAULT_MEMORY)
    assert plan.peak + vocabulary * 16 * 8 < 2 << 30
    assert plan.rows >= 256


def test_nearest_are_rows_of_the_tables():
    embedding = embedding_of(400, 16)
    content = everything(embedding)
    content[5] = False
    apart = torch.tensor([[7, 9], [9, 7], [300, 301]])
    tables = build(embedding, content, 6, apart=apart)
    ids, weights = nearest(embedding, content, torch.tensor([300, 7, 0]), 6, apart=apart)
    assert torch.equal(ids, tables.ids[[300, 7, 0]])
    torch.testing.assert_close(weights, tables.weights[[300, 7, 0]])


def test_guarded_tokens_give_way_to_the_next_nearest():
    embedding = embedding_of(50, 8)
    plain = build(embedding, everything(embedding), 4)
    near = plain.ids[0].tolist()
    guarded = build(embedding, everything(embedding), 3, apart=torch.tensor([[0, near[1]]]), guard="antonyms")
    assert guarded.ids[0].tolist() == [near[0], *near[2:]]
    assert guarded.guard == "antonyms"
    assert torch.equal(guarded.ids[1:], plain.ids[1:, :3])


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (torch.zeros(10, 4, dtype=torch.int8), r"int8\[10, 4\].*Remedy: load the model without quantisation"),
        (torch.zeros(10), "as a matrix"),
        (torch.tensor([[1.0, 2.0], [float("nan"), 1.0]]), r"not finite.*tokens \[1\]"),
        (torch.tensor([[1.0, float("inf")], [3.0, 1.0]]), r"not finite.*tokens \[0\]"),
    ],
)
def test_unfit_embedding_is_refused(embedding, message):
    with pytest.raises(EmbeddingError, match=message):
        build(embedding, torch.ones(len(embedding), dtype=torch.bool), 2)


def test_control_token_need_not_be_finite():
    embedding = embedding_of(10, 4)
    embedding[3] = float("nan")
    content = everything(embedding)
    content[3] = False
    assert build(embedding, content, 3).weights.isfinite().all()


@pytest.mark.parametrize("k", [0, -1, 10**9])
def test_unfit_k_is_refused(k):
    embedding = embedding_of(10, 4)
    with pytest.raises(SettingsError, match=f"k={k}"):
        build(embedding, everything(embedding), k)


def test_mask_of_another_size_is_refused():
    with pytest.raises(TablesError, match=r"bool\[10\].*found: torch.bool\[9\]"):
        build(embedding_of(10, 4), torch.ones(9, dtype=torch.bool), 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    return tiny_models.save_tiny_llama(tmp_path / "model")


def test_files_and_loaded_model_give_the_same_tables(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    by_files = neighbours.for_model(folder, settings=Settings(k=5), cache=False)
    by_model = neighbours.for_model(model, tokenizer, Settings(k=5), cache=False)
    named = neighbours.for_model(model, settings=Settings(k=5), cache=False)
    assert torch.equal(by_files.ids, by_model.ids)
    assert torch.equal(by_files.weights, by_model.weights)
    assert torch.equal(by_files.ids, named.ids)
    assert by_files.content.sum() == 256


def test_tokenizer_of_another_model_is_refused(folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(200)
    with pytest.raises(TokenizerMismatchError, match="embedding of 200 rows: its largest token id is 262"):
        neighbours.for_model(model, settings=Settings(k=5), cache=False)


def test_rows_beyond_the_tokenizer_are_not_content(folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(320)
    tables = neighbours.for_model(model, settings=Settings(k=5), cache=False)
    assert not tables.content[263:].any()
    assert tables.ids[tables.content].max() < 256


def test_without_tokenizer_the_remedy_is_named(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(TokenizerMismatchError, match="Remedy: pass the tokenizer"):
        neighbours.for_model(folder)


def test_second_time_comes_from_the_cache(folder, monkeypatch):
    made = neighbours.for_model(folder, settings=Settings(k=5))
    monkeypatch.setattr(neighbours, "build", None)
    again = neighbours.for_model(folder, settings=Settings(k=5))
    fewer = neighbours.for_model(folder, settings=Settings(k=2, guard="none", top_m=3))
    assert torch.equal(again.ids, made.ids)
    assert torch.equal(again.weights, made.weights)
    assert torch.equal(fewer.ids, made.ids[:, :2])
    with pytest.raises(TypeError):  # more neighbours, so that they would have to be built
        neighbours.for_model(folder, settings=Settings(k=6))


def test_changed_embedding_tokenizer_or_guard_is_built_anew(folder, monkeypatch):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    chosen = Settings(k=3)
    first = neighbours.for_model(model, tokenizer, chosen)
    with torch.no_grad():
        model.get_input_embeddings().weight[10] *= -1
    second = neighbours.for_model(model, tokenizer, chosen)
    tokenizer.add_special_tokens({"additional_special_tokens": ["a"]})
    third = neighbours.for_model(model, tokenizer, chosen)
    assert not torch.equal(first.weights, second.weights)
    assert third.content.sum() == second.content.sum() - 1
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


def test_two_that_want_the_same_tables_at_once_build_them_once(folder, tmp_path, monkeypatch):
    built = []

    def slow_build(*arguments, **options):
        built.append(1)
        time.sleep(0.5)
        return build(*arguments, **options)

    monkeypatch.setattr(neighbours, "build", slow_build)
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: neighbours.for_model(folder, settings=Settings(k=4)), range(2))
    assert torch.equal(first.ids, second.ids)
    assert len(built) == 1
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1
