"""The plugin by itself: both generations of vLLM's runner are played by the test."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality, _load_logitsprocs_by_fqcns
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor.loader import _load_v2_logitsprocs_by_fqcns

from semsam import neighbours
from semsam.rescoring import rescore
from semsam.settings import Settings
from semsam.vllm_plugin import SemanticSampling
from tests.helpers.tiny_models import save_tiny_llama

ASKED = [
    None,
    {"other": 1},
    {"semsam_k": 16, "semsam_top_m": 5},
    {"semsam_k": 3, "semsam_top_m": 8, "semsam_top_p": 0.5},
    {"semsam_k": 40, "semsam_top_m": 4, "semsam_mode": "sample"},
    {"semsam_k": 16, "semsam_top_m": 5, "semsam_strength": 0.5},
    {"semsam_k": 16, "semsam_top_m": 5, "semsam_guard": "antonyms"},
    {"semsam_strength": 0},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("model") / "llama"))


@pytest.fixture(scope="module")
def config(folder) -> SimpleNamespace:
    model = SimpleNamespace(
        model=folder, revision=None, tokenizer=folder, tokenizer_revision=None, trust_remote_code=False
    )
    return SimpleNamespace(model_config=model)


@pytest.fixture(scope="module")
def expected(folder):
    """What the pure function makes of one row of logits with a request's settings."""
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def of(row: torch.Tensor, asked: dict | None) -> torch.Tensor:
        settings = Settings.from_prefixed(asked or {})
        if not any(name.startswith("semsam_") for name in asked or {}):
            return row
        tables = neighbours.for_model(folder, tokenizer, settings)
        arguments = (settings.top_m, settings.top_p)
        return rescore(row[None], tables, *arguments, mode=settings.mode, strength=settings.strength)[0]

    return of


def logits(rows: int, seed: int) -> torch.Tensor:
    """Peaked as a model's; the control tokens (those at the end, and a Llama's 1) far down, so that the rule acts."""
    made = 3 * torch.randn(rows, 263, generator=torch.Generator().manual_seed(seed))
    made[:, [1, *range(256, 263)]] -= 100
    return made


def params(asked: dict | None) -> SamplingParams:
    return SamplingParams(extra_args=asked)


def assert_rows(found: torch.Tensor, before: torch.Tensor, asked: list[dict | None], expected) -> None:
    for row, original, wanted in zip(found, before, asked, strict=True):
        if wanted is None or wanted in (ASKED[1], ASKED[7]):
            assert torch.equal(row, original)
        else:
            torch.testing.assert_close(row, expected(original, wanted))
            assert not torch.equal(row, original)


def test_both_generations_load_it_by_name():
    name = "semsam.vllm_plugin:SemanticSampling"
    assert _load_logitsprocs_by_fqcns([name]) == _load_v2_logitsprocs_by_fqcns([name]) == [SemanticSampling]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"semsam_k": 0}, "'k'"),
        ({"semsam_k": 65}, "at most 64"),
        ({"semsam_top_p": 1.5}, "'top_p'"),
        ({"semsam_guard": "antonym"}, "none, antonyms"),
        ({"semsam_neighbours": 3}, "semsam_neighbours"),
    ],
)
def test_wrong_settings_are_refused_when_the_request_comes(wrong, named):
    with pytest.raises(ValueError, match=named):
        SemanticSampling.validate_params(params(wrong))


@pytest.mark.parametrize("asked", ASKED)
def test_right_settings_pass(asked):
    SemanticSampling.validate_params(params(asked))


def test_first_generation_rows_follow_their_requests(config, expected):
    """Requests come, go and change rows at random; each row is treated as its own request asked."""
    draw = random.Random(0)
    processor = SemanticSampling(config, torch.device("cpu"), False)
    assert not processor.is_argmax_invariant()
    rows: list[dict | None] = []
    for step in range(60):
        removed, added, moved = [], [], []
        for index in sorted(draw.sample(range(len(rows)), draw.randrange(len(rows) + 1)), reverse=True):
            if draw.random() < 0.5 and len(rows) > 1:  # replaced in its row
                rows[index] = draw.choice(ASKED)
                added.append((index, params(rows[index]), None, []))
            elif index == len(rows) - 1:
                rows.pop()
                removed.append(index)
            else:  # the last takes its place
                removed.append(index)
                moved.append((len(rows) - 1, index, MoveDirectionality.UNIDIRECTIONAL))
                rows[index] = rows.pop()
        fresh = [] if added or removed else [draw.choice(ASKED) for _ in range(draw.randrange(4))]
        for asked in fresh:
            rows.append(asked)
            added.append((len(rows) - 1, params(asked), None, []))
        if len(rows) > 1 and not (added or removed or moved):
            a, b = draw.sample(range(len(rows)), 2)
            rows[a], rows[b] = rows[b], rows[a]
            moved.append((a, b, MoveDirectionality.SWAP))
        changed = bool(removed or added or moved)
        processor.update_state(BatchUpdate(len(rows), removed, added, moved) if changed else None)
        before = logits(len(rows), step)
        assert_rows(processor.apply(before.clone()), before, rows, expected)


def test_second_generation_rows_follow_their_slots(config, expected):
    """Slots are handed out again; rows come in any order, several to a request under speculative decoding."""
    draw = random.Random(1)
    slots = 6
    state = LogitsProcRequestState(torch.device("cpu"), slots, 263, *[None] * 4)
    processor = SemanticSampling(config, state)
    held: dict[int, dict | None] = {}
    for step in range(60):
        for slot in draw.sample(range(slots), draw.randrange(1, 4)):
            held[slot] = draw.choice(ASKED)
            acts = processor.add_request(slot, params(held[slot]))
            assert acts == (held[slot] not in (None, ASKED[1], ASKED[7]))
        processor.apply_staged_writes()
        batch = draw.sample(sorted(held), draw.randrange(1, len(held) + 1))
        rows = [slot for slot in batch for _ in range(draw.choice([1, 1, 3]))]
        before = logits(len(rows), step)
        context = LogitsContext(
            expanded_idx_mapping=torch.tensor(rows, dtype=torch.int32),
            idx_mapping=torch.tensor(batch, dtype=torch.int32),
            idx_mapping_np=np.array(batch, dtype=np.int32),
            expanded_local_pos=None,
            input_ids=None,
            pos=None,
            seq_lens_upper_bound_np=None,
        )
        assert_rows(processor.apply(before.clone(), context), before, [held[slot] for slot in rows], expected)


def test_a_batch_of_plain_requests_is_handed_back_as_it_is(config):
    processor = SemanticSampling(config, torch.device("cpu"), False)
    processor.update_state(BatchUpdate(1, [], [(0, params(None), None, [])], []))
    before = logits(1, 0)
    assert processor.apply(before) is before
