import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semsam.errors import SettingsError, TablesError
from semsam.neighbours import NeighbourTables
from semsam.rescoring import RowSettings, rescore, rescore_rows
from semsam.settings import Settings
from tests.helpers.rescoring_cases import cases, check_against_slow_rule, random_tables, tables_of

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_the_slow_rule(case):
    logits, tables, top_m, top_p = case
    result = rescore(torch.from_numpy(logits), tables, top_m, top_p).numpy()
    assert result.dtype == np.float32
    check_against_slow_rule(logits, result, tables, top_m, top_p)


@settings(max_examples=100, deadline=None)
@given(cases(), st.sampled_from(DTYPES))
def test_one_neighbour_is_default_decoding(case, dtype):
    logits, tables, top_m, top_p = case
    logits = torch.from_numpy(logits).to(dtype)
    result = rescore(logits, tables.first(1), top_m, top_p)
    assert result.dtype == dtype
    assert torch.equal(result.argmax(-1), logits.argmax(-1))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=40), st.integers(1, 5), st.sampled_from([0.3, 1.0]))
def test_one_neighbour_is_default_decoding_on_any_float(row, top_m, top_p):
    logits = torch.tensor([row], dtype=torch.float32)
    tables = random_tables(len(row), 1, seed=0)
    assert torch.equal(rescore(logits, tables, top_m, top_p).argmax(-1), logits.argmax(-1))


@settings(max_examples=75, deadline=None)
@given(cases(), st.sampled_from(DTYPES))
def test_argmax_survives_rounding(case, dtype):
    """In half precision too, greedy decoding takes a token whose float32 score is the best."""
    logits, tables, top_m, top_p = case
    logits = torch.from_numpy(logits).to(dtype)
    exact = rescore(logits.float(), tables, top_m, top_p)
    chosen = rescore(logits, tables, top_m, top_p).argmax(-1, keepdim=True)
    # Another sum over the vocabulary may shift all scores of a row by a rounding error, not their order.
    assert torch.equal(exact.gather(1, chosen), exact.amax(-1, keepdim=True))


def test_candidate_loses_to_its_neighbours_sum():
    # p = 0.4, 0.3, 0.3; tokens 1 and 2 are near to each other.
    logits = torch.tensor([[0.4, 0.3, 0.3]]).log()
    tables = tables_of([[0, 0], [1, 2], [2, 1]], [[1, 0], [1, 0.5], [1, 0.5]])
    result = rescore(logits, tables, top_p=1.0)
    torch.testing.assert_close(result, torch.tensor([[0.4, 0.45, 0.45]]).log())
    assert result.argmax() == 1


def test_neighbours_that_are_no_candidates_count():
    logits = torch.tensor([[0.45, 0.40, 0.15]]).log()
    tables = tables_of([[0, 0], [1, 2], [2, 1]], [[1, 0], [1, 1], [1, 1]])
    result = rescore(logits, tables, top_m=2)
    torch.testing.assert_close(result[0, :2], torch.tensor([0.45, 0.55]).log())
    assert result[0, 2] == -math.inf


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.5, [0]), (0.500001, [0, 1]), (0.75, [0, 1]), (0.8, [0, 1, 2]), (1.0, [0, 1, 2, 3])]
)
def test_token_that_reaches_top_p_is_the_last_candidate(top_p, kept):
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log2() * math.log(2)
    tables = random_tables(4, 1, seed=0)
    assert rescore(logits, tables, top_p=top_p)[0].isfinite().nonzero().squeeze(1).tolist() == kept


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.99])
def test_candidates_are_those_of_transformers_top_p(top_p, dtype):
    from transformers import TopPLogitsWarper

    logits = (torch.randn(64, 300, generator=torch.Generator().manual_seed(1)) * 3).to(dtype)
    mine = rescore(logits, random_tables(300, 4, seed=0), top_m=300, top_p=top_p)
    other = TopPLogitsWarper(top_p)(None, logits.float())
    if dtype == torch.float32:
        assert torch.equal(mine.isfinite(), other.isfinite())
    # Where logits are equal, the sort of transformers leaves open which of them is the last.
    assert torch.equal(mine.isfinite().sum(-1), other.isfinite().sum(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_row_with_control_token_among_candidates_is_unchanged(dtype):
    logits = torch.tensor([[2.0, 1.0, -0.0, -9.0], [2.0, 1.0, -9.0, -0.0]], dtype=dtype)
    tables = random_tables(4, 2, seed=0)
    tables = NeighbourTables(tables.ids, tables.weights, torch.tensor([True, True, False, True]))
    result = rescore(logits, tables, top_p=0.99)
    assert torch.equal(result[0].view(torch.uint8), logits[0].view(torch.uint8))
    assert not torch.equal(result[1], logits[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_row_that_is_not_finite_is_unchanged_and_leaves_others_alone(bad, dtype):
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    alone = rescore(logits[:1], random_tables(50, 4, seed=0))
    logits[1, 7] = bad
    logits[2] = -math.inf
    result = rescore(logits, random_tables(50, 4, seed=0), top_p=1.0)
    torch.testing.assert_close(result[1:], logits[1:], rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(rescore(logits, random_tables(50, 4, seed=0))[:1], alone)


def test_token_ruled_out_by_another_processor_never_comes_back():
    logits = torch.tensor([[5.0, -math.inf, 4.0]])
    tables = tables_of([[0, 1], [1, 0], [2, 1]], [[1, 0.9], [1, 1], [1, 0.9]])
    result = rescore(logits, tables, top_p=1.0)
    assert result[0, 1] == -math.inf
    assert result[0, [0, 2]].isfinite().all()


def test_control_token_ruled_out_by_another_processor_does_not_make_the_row_defer():
    logits = torch.tensor([[1.0, 0.5, -math.inf]])
    tables = tables_of([[0, 1], [1, 0], [2, 2]], [[1, 0.5], [1, 0.5], [1, 0]], [True, True, False])
    assert rescore(logits, tables, top_p=1.0)[0, 0] != logits[0, 0]


def test_row_in_which_no_candidate_has_a_score_is_unchanged():
    logits = torch.tensor([[1.0, 0.5, 0.0]])
    tables = tables_of([[0], [1], [2]], [[0], [0], [0]])
    assert torch.equal(rescore(logits, tables), logits)


def test_candidate_without_a_score_loses_and_the_others_are_rescored():
    logits = torch.tensor([[2.0, 1.0]])
    result = rescore(logits, tables_of([[0], [1]], [[0], [1]]), top_p=1.0)
    assert result[0, 0] == -math.inf
    torch.testing.assert_close(result[0, 1], logits.log_softmax(-1)[0, 1])


def test_equal_scores_stay_equal():
    logits = torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    result = rescore(logits, random_tables(4, 1, seed=0), top_p=1.0)
    assert result[0, 1] == result[0, 2] == result[0, 3]
    assert result.argmax() == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_that_rounding_would_make_equal_keep_the_best_first(dtype):
    # Token 1 is better by less than the type can show beside so large a sum.
    step = torch.finfo(dtype).eps
    logits = torch.full((1, 4000), 0.0, dtype=dtype)
    logits[0, 0], logits[0, 1] = 0.25, 0.25 + step / 4
    assert logits[0, 0] < logits[0, 1]
    result = rescore(logits, random_tables(4000, 1, seed=0), top_m=5)
    assert result[0, 0] < result[0, 1]
    assert result.argmax() == 1


def test_sample_draws_from_the_softmax_of_the_scores():
    probability = torch.tensor([[0.5, 0.3, 0.2]])
    tables = tables_of([[0, 1], [1, 2], [2, 2]], [[1, 0.5], [1, 0.25], [1, 0]])
    result = rescore(probability.log(), tables, top_p=0.75, mode="sample")
    scores = [0.5 + 0.5 * 0.3, 0.3 + 0.25 * 0.2]
    expected = torch.tensor([math.exp(score) for score in scores])
    torch.testing.assert_close(result.softmax(-1)[0], torch.tensor([*(expected / expected.sum()), 0.0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_strength_zero_is_the_very_input(dtype):
    logits = torch.randn(5, 80).to(dtype)
    result = rescore(logits, random_tables(80, 4, seed=0), strength=0)
    assert torch.equal(result, logits)


def test_strength_weakens_the_neighbours_only():
    probability = torch.tensor([[0.6, 0.4]])
    tables = tables_of([[0, 1], [1, 0]], [[1, 0.5], [1, 0.5]])
    result = rescore(probability.log(), tables, top_p=1.0, strength=0.25)
    torch.testing.assert_close(result.exp(), torch.tensor([[0.6 + 0.125 * 0.4, 0.4 + 0.125 * 0.6]]))


def test_fewer_neighbours_than_the_tables_have():
    logits = torch.randn(6, 90, generator=torch.Generator().manual_seed(3))
    tables = random_tables(90, 8, seed=1)
    assert torch.equal(rescore(logits, tables, k=3), rescore(logits, tables.first(3)))


@pytest.mark.parametrize("vocabulary", [90, 5000])
def test_rows_with_settings_of_their_own(vocabulary):
    rows = [
        Settings(k=8, top_m=50, top_p=0.95),
        None,
        Settings(k=1, top_m=5, top_p=1.0),
        Settings(k=3, top_m=2, top_p=0.5, mode="sample"),
        Settings(k=8, top_m=70, top_p=1.0, strength=0.3),
        Settings(k=8, strength=0.0),
        Settings(k=5, top_m=20, top_p=0.3),
    ]
    logits = torch.randn(len(rows), vocabulary, generator=torch.Generator().manual_seed(5)) * 2
    tables = random_tables(vocabulary, 8, seed=2, control=0.002)
    together = rescore_rows(logits, tables, RowSettings.of(rows))
    rescored = 0
    for row, chosen, got in zip(logits, rows, together, strict=True):
        alone = row[None]
        if chosen is not None:
            alone = rescore(
                row[None], tables, chosen.top_m, chosen.top_p, k=chosen.k, mode=chosen.mode, strength=chosen.strength
            )
        assert torch.equal(got, alone[0])
        rescored += not torch.equal(got, row)
    assert rescored >= 4


def test_rows_can_be_taken_by_index():
    rows = RowSettings.of([Settings(k=2, top_m=3), None, Settings(k=4, top_p=0.5)])
    taken = rows.take(torch.tensor([2, 2, 0]))
    again = RowSettings.of([Settings(k=4, top_p=0.5), Settings(k=4, top_p=0.5), Settings(k=2, top_m=3)])
    logits, tables = torch.randn(3, 70), random_tables(70, 4, seed=0)
    assert torch.equal(rescore_rows(logits, tables, taken), rescore_rows(logits, tables, again))


def test_batch_does_not_matter():
    logits = torch.randn(8, 3001, generator=torch.Generator().manual_seed(0)) * 3
    tables = random_tables(3001, 16, seed=0, control=0.001)
    together = rescore(logits, tables)
    for row, got in zip(logits, together, strict=True):
        torch.testing.assert_close(rescore(row[None], tables)[0], got)


def test_no_row_is_fine():
    assert rescore(torch.empty(0, 500), random_tables(500, 4, seed=0)).shape == (0, 500)


def test_input_is_not_changed():
    logits = torch.randn(3, 100)
    before = logits.clone()
    rescore(logits, random_tables(100, 4, seed=0))
    rescore(logits, random_tables(100, 4, seed=0), mode="sample")
    assert torch.equal(logits, before)


def test_input_may_be_a_view_and_need_gradients():
    logits = torch.randn(100, 6, requires_grad=True)
    tables = random_tables(100, 4, seed=0)
    assert torch.equal(rescore(logits.T, tables), rescore(logits.detach().T.contiguous(), tables))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_one_float32_copy(dtype):
    from torch.profiler import profile

    logits = (torch.randn(16, 150_000) * 3).to(dtype)
    ids = torch.arange(150_000, dtype=torch.int32).unsqueeze(1)
    tables = NeighbourTables(ids, torch.ones_like(ids, dtype=torch.float32), torch.ones(150_000, dtype=torch.bool))
    with profile(profile_memory=True) as record:
        rescore(logits, tables)
    in_use = peak = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            in_use += event.nbytes()
            peak = max(peak, in_use)
    copy, result = 4 * logits.numel(), 2 * logits.numel() if dtype != torch.float32 else 0
    assert copy <= peak < 1.25 * copy + result


@pytest.mark.parametrize(
    "bad",
    [
        {"top_m": 0},
        {"top_m": True},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"k": 0},
        {"mode": "greedy"},
        {"strength": -1},
    ],
)
def test_illegal_setting_is_named(bad):
    with pytest.raises(SettingsError, match=f"'{next(iter(bad))}'"):
        rescore(torch.randn(1, 30), random_tables(30, 4, seed=0), **bad)


def test_tables_of_another_vocabulary_are_refused():
    with pytest.raises(TablesError, match=r"vocabulary of 30 tokens.*Remedy: build the tables"):
        rescore(torch.randn(1, 31), random_tables(30, 4, seed=0))


def test_more_neighbours_than_the_tables_have_are_refused():
    tables = random_tables(30, 4, seed=0)
    with pytest.raises(TablesError, match=r"have 4 neighbours.*5 are requested"):
        rescore(torch.randn(1, 30), tables, k=5)
    with pytest.raises(TablesError, match=r"have 4 neighbours.*5 are requested"):
        rescore_rows(torch.randn(1, 30), tables, RowSettings.of([Settings(k=5)]))


def test_settings_of_fewer_rows_are_refused():
    with pytest.raises(SettingsError, match="settings for 1 rows, but logits for 3"):
        rescore_rows(torch.randn(3, 30), random_tables(30, 4, seed=0), RowSettings.of([Settings(k=2)]))


def test_tables_elsewhere_are_refused():
    tables = random_tables(30, 4, seed=0).to("meta")
    with pytest.raises(TablesError, match=r"on meta.*tables\.to\(device\)"):
        rescore(torch.randn(1, 30), tables)


def test_float64_logits_are_refused():
    with pytest.raises(TablesError, match="float64"):
        rescore(torch.randn(1, 30, dtype=torch.float64), random_tables(30, 4, seed=0))


@pytest.mark.parametrize("by_row", [False, True])
def test_never_waits_for_the_device(by_row):
    """On tensors without data any look at a value fails."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    made = random_tables(3000, 4, seed=0)
    with FakeTensorMode() as mode:
        tables = NeighbourTables(*(mode.from_tensor(part) for part in (made.ids, made.weights, made.content)))
        logits = torch.empty(4, 3000)
        if by_row:
            result = rescore_rows(logits, tables, RowSettings.of([Settings(k=4), None, Settings(k=2), None]))
        else:
            result = rescore(logits, tables, strength=0.5, mode="sample")
    assert result.shape == (4, 3000)
