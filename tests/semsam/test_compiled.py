"""What is particular to the compiled rule; that it is the rule, :mod:`test_rescoring` says of both."""

import math
import multiprocessing
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semsam import compiled, openmp, rescoring
from semsam.errors import TablesError
from semsam.neighbours import NeighbourTables
from semsam.rescoring import RowSettings, rescore, rescore_rows
from semsam.settings import Settings
from tests.helpers.rescoring_cases import cases, near_an_edge, random_tables, tables_of


def by_torch(call, *args, **kwargs) -> torch.Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rescoring, "_compiled", lambda: None)
        return call(*args, **kwargs)


def row_settings(k: int):
    return st.none() | st.builds(
        Settings,
        k=st.integers(1, k),
        top_m=st.integers(1, 60),
        top_p=st.sampled_from([0.3, 0.9, 1.0]),
        mode=st.sampled_from(["argmax", "sample"]),
        strength=st.sampled_from([0.0, 0.2, 1.0]),
    )


@settings(max_examples=150, deadline=None)
@given(cases(), st.data(), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_rows_with_settings_of_their_own_are_as_by_torch(case, data, dtype):
    logits, tables, _, _ = case
    rows = [data.draw(row_settings(tables.k)) for _ in logits]
    logits = torch.from_numpy(logits).to(dtype)
    got = rescore_rows(logits, tables, RowSettings.of(rows))
    expected = by_torch(rescore_rows, logits, tables, RowSettings.of(rows))
    # Sums in another order differ by rounding errors, which half precision may widen to one of its steps.
    tolerance = 2e-5 if dtype == torch.float32 else 1.01 * torch.finfo(dtype).eps
    for row, chosen, mine, other in zip(logits, rows, got, expected, strict=True):
        if chosen is None or not near_an_edge(row.float().numpy(), chosen.top_p):
            torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_exponential_is_exact_to_a_rounding_error():
    x = np.linspace(-87, 20, 200_001, dtype=np.float32)
    got = np.array([compiled._exp(value) for value in x])
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=2.5e-7)


def test_exponential_at_its_edges():
    assert compiled._exp(np.float32(0)) == compiled._exp(np.float32(-0.0)) == 1
    assert compiled._exp(np.float32(-math.log(2))) == 0.5
    assert math.isnan(compiled._exp(np.float32(math.nan)))
    assert 0 < compiled._exp(np.float32(-math.inf)) < 2e-38


def test_nan_with_any_bits_leaves_its_row_as_it_is():
    """A NaN's lower bits must not make it a number on the way."""
    logits = torch.randn(40, 3000, generator=torch.Generator().manual_seed(0))
    bits = torch.randint(0x7F800001, 0x7FFFFFFF, (40,), generator=torch.Generator().manual_seed(1), dtype=torch.int64)
    bits[::2] -= 1 << 31  # of either sign
    logits.view(torch.int32)[torch.arange(40), torch.arange(0, 3000, 75)] = bits.to(torch.int32)
    result = compiled.rescore(logits, random_tables(3000, 4, seed=0), 50, compiled.for_all(50, 0.95, 4, 1.0, False))
    assert torch.equal(result.view(torch.int32), logits.view(torch.int32))


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def wide():
    logits = torch.randn(13, 50_257, generator=torch.Generator().manual_seed(2)) * 3
    logits[4, 50_256] = math.nan
    ids = torch.randint(50_257, (50_257, 5), dtype=torch.int32, generator=torch.Generator().manual_seed(3))
    weights = torch.rand(50_257, 5, generator=torch.Generator().manual_seed(4))
    return logits, NeighbourTables(ids, weights, torch.rand(50_257) < 0.999)


def test_threads_of_torch_do_not_matter(wide, four_threads, monkeypatch):
    logits, tables = wide
    calls, run = [], openmp.run
    monkeypatch.setattr(openmp, "run", lambda *args: calls.append(args[2]) or run(*args))
    together = [rescore(logits, tables) for _ in range(20)]
    assert calls == [4] * 20
    for row, got in zip(logits, together[0], strict=True):
        assert torch.equal(rescore(row[None], tables)[0].view(torch.int32), got.view(torch.int32))
    assert all(torch.equal(again.view(torch.int32), together[0].view(torch.int32)) for again in together)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_with_settings_of_their_own_on_threads(wide, four_threads, dtype):
    logits, tables = wide
    logits = logits.to(dtype)
    rows = [None if row % 3 == 0 else Settings(k=1 + row % 5, top_m=10 + row) for row in range(len(logits))]
    together = rescore_rows(logits, tables, RowSettings.of(rows))
    for row, own, got in zip(logits, rows, together, strict=True):
        alone = rescore_rows(row[None], tables, RowSettings.of([own]))[0]
        assert torch.equal(alone.view(torch.uint8), got.view(torch.uint8))


@pytest.mark.parametrize("rows", [2, 40])
def test_neighbour_outside_the_vocabulary_is_refused_on_threads(four_threads, rows):
    tables = random_tables(40_000, 4, seed=0)
    ids = tables.ids.clone()
    ids[7, 2] = 40_000
    logits = torch.zeros(rows, 40_000)
    logits[-1, 7] = 20
    with pytest.raises(TablesError, match="not in the vocabulary"):
        rescore(logits, NeighbourTables(ids, tables.weights, tables.content))


@pytest.mark.parametrize("others_first", [False, True])
def test_threads_of_our_own_do_not_matter(wide, four_threads, monkeypatch, others_first):
    monkeypatch.setattr(openmp, "available", lambda: False)
    logits, tables = wide
    pool, done = compiled._threads(), []
    submit = pool.submit

    def watched(work):
        done.append(submit(work))
        if others_first:
            done[-1].result()
        return done[-1]

    monkeypatch.setattr(pool, "submit", watched)
    together = rescore(logits, tables)
    assert len(done) == 3
    for row, got in zip(logits, together, strict=True):
        assert torch.equal(rescore(row[None], tables)[0].view(torch.int32), got.view(torch.int32))


def test_works_in_a_forked_process(wide, four_threads):
    """As the harness and vLLM make them: a child has none of its parent's threads, and must not wait for them."""
    logits, tables = wide
    expected = rescore(logits, tables)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=lambda: answer.put(rescore(logits, tables).numpy().tobytes()))
    child.start()
    try:
        assert answer.get(timeout=60) == expected.numpy().tobytes()
        child.join(60)
    finally:
        child.kill()


@pytest.mark.parametrize("stray", [-1, 3])
def test_neighbour_outside_the_vocabulary_is_refused(stray):
    with pytest.raises(TablesError, match=r"not in the vocabulary.*Remedy: build them anew"):
        rescore(torch.zeros(1, 3), tables_of([[0, 1], [1, stray], [2, 0]], [[1, 0.5]] * 3))


def test_very_many_candidates_are_left_to_torch():
    logits, tables = torch.randn(2, 3000), random_tables(3000, 4, seed=0)
    most = compiled.MOST_CANDIDATES
    assert compiled.suits(logits, most)
    assert not compiled.suits(logits, most + 1)
    assert torch.equal(rescore(logits, tables, most + 1, 1.0), by_torch(rescore, logits, tables, most + 1, 1.0))


def test_a_function_that_no_file_holds_is_compiled_each_time_anew():
    """As where no folder can be written; numba then refuses to keep the machine code."""
    space: dict = {}
    exec("def twice(x):\n    return 2 * x", space)
    assert compiled._jit("int64(int64)")(space["twice"])(21) == 42


@pytest.fixture
def undecided():
    """Which of the two does it is decided once in a process; here anew, before the test and after."""
    rescoring._compiled.cache_clear()
    yield
    rescoring._compiled.cache_clear()


def test_without_numba_torch_does_it(monkeypatch, undecided):
    import semsam

    logits, tables = torch.randn(2, 300), random_tables(300, 4, seed=0)
    monkeypatch.delattr(semsam, "compiled")
    monkeypatch.delitem(sys.modules, "semsam.compiled")
    monkeypatch.setitem(sys.modules, "numba", None)
    assert rescoring._compiled() is None
    assert torch.equal(rescore(logits, tables), by_torch(rescore, logits, tables))


@pytest.mark.parametrize("numba_too", [False, True])
def test_beside_vllm_numba_is_not_imported(monkeypatch, undecided, numba_too):
    """vLLM's engine does not start where numba is imported before it."""
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    if not numba_too:
        monkeypatch.delitem(sys.modules, "numba")
    assert rescoring._compiled() is (compiled if numba_too else None)
    assert ("numba" in sys.modules) == numba_too


def test_numba_is_imported_when_first_needed():
    code = "import sys, semsam.rescoring; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
