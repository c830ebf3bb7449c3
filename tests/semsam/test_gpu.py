"""The rule on a GPU; skipped where there is none. ``pytest tests/semsam/test_gpu.py`` needs no package but torch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from semsam.logits_processor import SemanticSamplingLogitsProcessor
from semsam.neighbours import build
from semsam.rescoring import RowSettings, rescore, rescore_rows
from semsam.settings import Settings
from tests.helpers.rescoring_cases import cases, check_against_slow_rule, random_tables
from tests.helpers.tiny_models import save_tiny_llama

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@settings(max_examples=150)
@given(cases())
def test_equals_the_slow_rule(case):
    logits, tables, top_m, top_p = case
    result = rescore(torch.from_numpy(logits).cuda(), tables.to("cuda"), top_m, top_p)
    assert result.is_cuda
    check_against_slow_rule(logits, result.cpu().numpy(), tables, top_m, top_p)


@settings(max_examples=100)
@given(cases(), st.sampled_from(DTYPES))
def test_one_neighbour_is_default_decoding(case, dtype):
    logits, tables, top_m, top_p = case
    logits = torch.from_numpy(logits).to("cuda", dtype)
    result = rescore(logits, tables.first(1).to("cuda"), top_m, top_p)
    assert result.dtype == dtype
    assert torch.equal(result.argmax(-1), logits.argmax(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_program_does_not_wait_for_the_gpu(dtype):
    tables = random_tables(5000, 8, seed=0, control=0.01).to("cuda")
    logits = torch.randn(16, 5000, generator=torch.Generator().manual_seed(1)).to("cuda", dtype)
    processor = SemanticSamplingLogitsProcessor(tables, Settings(k=8))
    expected = rescore(logits, tables, 50, 0.95)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            logits[0, 0].item()
        result = rescore(logits, tables, 50, 0.95)
        by_processor = processor(torch.zeros(16, 1, dtype=torch.long, device="cuda"), logits)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result, expected)
    assert torch.equal(by_processor, expected)


def test_a_graph_gives_what_the_rule_gives():
    tables = random_tables(5000, 8, seed=0).to("cuda")
    logits = torch.zeros(8, 5000, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        rescore(logits, tables, 50, 0.95)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = rescore(logits, tables, 50, 0.95)
    for seed in range(3):
        logits.copy_(3 * torch.randn(8, 5000, generator=torch.Generator().manual_seed(seed)))
        graph.replay()
        assert torch.equal(result, rescore(logits, tables, 50, 0.95))


def test_rows_with_settings_of_their_own():
    tables = random_tables(3000, 8, seed=2, control=0.01).to("cuda")
    logits = 3 * torch.randn(6, 3000, generator=torch.Generator().manual_seed(3)).cuda()
    each = [
        Settings(k=8),
        Settings(k=8, top_m=1, top_p=1.0),
        Settings(k=4, top_m=20, top_p=0.5, strength=0.5),
        None,
        Settings(k=1, top_m=60, top_p=1.0),
        Settings(k=2, top_m=5, top_p=0.1),
    ]
    together = rescore_rows(logits, tables, RowSettings.of(each, "cuda"))
    for row, own in zip(range(6), each, strict=True):
        if own is None:
            assert torch.equal(together[row], logits[row])
            continue
        alone = rescore(logits[row : row + 1], tables.first(own.k), own.top_m, own.top_p, strength=own.strength)
        torch.testing.assert_close(together[row], alone[0], rtol=1e-6, atol=1e-6)


def test_the_same_neighbours_as_on_the_cpu():
    draw = torch.Generator().manual_seed(4)
    embedding, content = torch.randn(4000, 64, generator=draw), torch.rand(4000, generator=draw) > 0.05
    here, there = build(embedding, content, 8, device="cpu"), build(embedding.cuda(), content, 8)
    torch.testing.assert_close(there.weights.cpu(), here.weights, rtol=0, atol=1e-5)
    gap = (here.weights[:, :-1] - here.weights[:, 1:]).amin(-1) > 1e-5  # of the others, rounding decides the order
    assert gap.float().mean() > 0.9
    assert torch.equal(there.ids.cpu()[gap], here.ids[gap])


def test_a_model_generates_as_on_the_cpu(tmp_path):
    folder = save_tiny_llama(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    inputs = tokenizer(["left", "the liver lies to the right of", "superior", "x"], return_tensors="pt", padding=True)
    made = {}
    for device in ("cpu", "cuda"):
        model = AutoModelForCausalLM.from_pretrained(folder).to(device)
        for k in (1, 8):
            processor = SemanticSamplingLogitsProcessor.for_model(model, tokenizer, Settings(k=k))
            options = {"max_new_tokens": 24, "do_sample": False}
            on = inputs.to(device)
            made[device, k] = model.generate(**on, **options, logits_processor=[processor]).cpu()
        made[device, "plain"] = model.generate(**on, **options).cpu()
    assert torch.equal(made["cuda", 1], made["cuda", "plain"])
    assert torch.equal(made["cuda", "plain"], made["cpu", "plain"])
    assert torch.equal(made["cuda", 8], made["cpu", 8])
    assert not torch.equal(made["cuda", 8], made["cuda", 1])
