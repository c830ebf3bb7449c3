"""The rule for the CPU, compiled by numba (extra ``fast``): one visit to each row, and no call for each small step.

The same rule as in :mod:`semsam.rescoring`, which chooses between the two; tests hold each against the other. numba is
imported here and nowhere else. The machine code is made on first use, which takes some seconds, and is kept beside this
file or, where that cannot be written, in numba's cache folder.

Rows are shared out to torch's own threads (:mod:`semsam.openmp`) or, where they cannot be had, to some of ours: numba's
would be a second OpenMP beside torch's.
"""

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from semsam import openmp
from semsam.errors import TablesError
from semsam.tables import NeighbourTables

MOST_CANDIDATES = 256
"""A row's candidates are kept in order by insertion, which is for small numbers."""

_BLOCK = 32  # columns that share a maximum
_TILE = 2048  # columns; they stay in the first cache between their two readings
_WORTH_A_THREAD = 1 << 15  # logits; the same as for torch's softmax
_WORTH_WAKING_ONE = 1 << 17  # logits; fewer are done sooner than a thread of ours is woken

_INF, _LOWEST = np.float32(np.inf), np.float32(np.finfo(np.float32).min)
_ONE, _FLOOR = np.float32(1), np.float32(-87)
_LOG2E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
# Added to a small number, it leaves the nearest whole number in the lowest bits.
_ROUNDER, _ROUNDER_BITS = np.float32(3 << 22), 0x4B400000
_C0, _C1, _C2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C3, _C4, _C5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


def _jit(signature: str, **options: Any) -> Callable[[Any], Any]:
    def compiled(function: Any) -> Any:
        try:
            return numba.njit(signature, error_model="numpy", cache=True, **options)(function)
        except RuntimeError:  # there is no folder for the machine code
            return numba.njit(signature, error_model="numpy", **options)(function)

    return compiled


def _callback(function: Any) -> Any:
    """The function as one that C code can call with a pointer."""
    if numba.config.DISABLE_JIT:
        return None
    try:
        return numba.cfunc("void(voidptr)", cache=True)(function)
    except RuntimeError:
        return numba.cfunc("void(voidptr)")(function)


# Which liberties the compiler may take is said function by function: sums in any order, but not in _exp, whose rounding
# they would undo. A maximum of numbers among which is NaN may be any; the row's sum then is NaN and the row left alone.


@_jit("float32(float32)", fastmath={"contract"})
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) to 1e-7 for x up to 88; exactly 1 for 0, NaN for NaN, and 1.6e-38 for all below -87."""
    x = _FLOOR if x < _FLOOR else x
    shifted = x * _LOG2E + _ROUNDER
    n = shifted - _ROUNDER
    x = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((_C0 * x + _C1) * x + _C2) * x + _C3) * x + _C4) * x + _C5
    exponent = np.int32(np.float32(shifted).view(np.int32) + np.int32(127 - _ROUNDER_BITS))
    return (p * (x * x) + x + _ONE) * np.int32(exponent << np.int32(23)).view(np.float32)


@_jit("float32(float32[::1], float32)", fastmath={"contract", "reassoc", "nsz"})
def _sum_of_exp(x, less):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for i in range(x.size):
        total += _exp(x[i] - less)
    return total


@_jit("float32(float32[::1], float32[::1])", fastmath={"nnan", "nsz", "reassoc"})
def _largest(x, maxima):  # type: ignore[no-untyped-def]
    """The largest of x; that of each block goes to ``maxima``."""
    largest = -_INF
    whole = x.size // _BLOCK
    for block in range(whole):
        part = x[block * _BLOCK : (block + 1) * _BLOCK]
        maximum = -_INF
        for i in range(_BLOCK):  # of known length: a few vector instructions
            maximum = part[i] if part[i] > maximum else maximum
        maxima[block] = maximum
        largest = maximum if maximum > largest else largest
    if whole < maxima.size:
        maximum = -_INF
        for i in range(whole * _BLOCK, x.size):
            maximum = x[i] if x[i] > maximum else maximum
        maxima[whole] = maximum
        largest = maximum if maximum > largest else largest
    return largest


@_jit("int64(float32[::1], int64[::1], int64, float32, int64)")
def _keep(values, columns, count, value, column):  # type: ignore[no-untyped-def]
    """Add to the ``count`` largest so far, in falling order; of equal ones the first to come stays first."""
    i = count
    if count == values.size:
        i -= 1
        if not value > values[i]:
            return count
    else:
        count += 1
    while i > 0 and value > values[i - 1]:
        values[i] = values[i - 1]
        columns[i] = columns[i - 1]
        i -= 1
    values[i] = value
    columns[i] = column
    return count


@_jit("int64(float32[::1], float32[::1], float32[::1], int64[::1])")
def _first(x, maxima, values, columns):  # type: ignore[no-untyped-def]
    """The largest of x in order, as many as ``values`` holds but for those of -inf; returns how many.

    The M-th largest of the blocks' maxima is a bound of the M-th largest of all.
    """
    count = 0
    for block in range(maxima.size):
        count = _keep(values, columns, count, maxima[block], block)
    bound = values[count - 1] if count == values.size else -_INF
    count = 0
    for block in range(maxima.size):
        if maxima[block] >= bound:
            for column in range(block * _BLOCK, min((block + 1) * _BLOCK, x.size)):
                if x[column] >= bound and x[column] > -_INF:
                    count = _keep(values, columns, count, x[column], column)
    return count


@_jit("float64(float32[::1], int32[:, :], float32[:, :], int64, int64, float32, float32[::1])")
def _score(x, ids, log_weights, token, k, log_strength, terms):  # type: ignore[no-untyped-def]
    """log(sum of exp(logit + log weight)); NaN if a neighbour is not in the vocabulary."""
    largest = -_INF
    for j in range(k):
        neighbour = ids[token, j]
        if neighbour < 0 or neighbour >= x.size:
            return np.nan
        terms[j] = x[neighbour] + log_weights[token, j]
        if j > 0:
            terms[j] += log_strength
        largest = max(largest, terms[j])
    if largest == -_INF:
        return -np.inf
    # Beside its largest term, the sum of one neighbour is exactly the token's own logit.
    total = np.float32(0)
    for j in range(k):
        total += _exp(terms[j] - largest)
    return np.float32(np.float32(math.log(total)) + largest)


@_jit(
    "Tuple((int64, float32))(float32[::1], int32[:, :], float32[:, :], int64, float32, int64, float32,"
    " float32[::1], float32[::1], int64[::1], float32[::1], float32[::1])"
)
def _scores(  # type: ignore[no-untyped-def]
    x, ids, log_weights, top_m, top_p, k, strength, maxima, values, columns, terms, scores
):
    """A row's candidates and their scores; how many (0: the row defers, -1: wrong tables), and the log of the total."""
    if strength == 0:
        return 0, np.float32(0)
    largest, total = _LOWEST, 0.0
    for start in range(0, x.size, _TILE):
        tile = x[start : start + _TILE]
        blocks = maxima[start // _BLOCK : (start + tile.size + _BLOCK - 1) // _BLOCK]
        here = _largest(tile, blocks)
        if here > largest:
            total *= math.exp(float(largest) - float(here))
            largest = here
        total += _sum_of_exp(tile, largest)
    if not (total > 0.5 and total < np.inf):  # NaN or +inf is in it, or all are -inf
        return 0, np.float32(0)

    most = min(top_m, x.size)
    found = _first(x, maxima, values[:most], columns)
    before, count = 0.0, 0
    while count < found and before < top_p:
        if np.isnan(log_weights[columns[count], 0]):
            return 0, np.float32(0)
        before += math.exp(float(values[count]) - float(largest)) / total
        count += 1
    best = -np.inf
    log_strength = np.float32(math.log(strength))
    for i in range(count):
        score = _score(x, ids, log_weights, columns[i], k, log_strength, terms)
        if np.isnan(score):
            return -1, np.float32(0)
        scores[i] = score
        best = max(best, score)
    return (count if best > -np.inf else 0), np.float32(largest + math.log(total))


@_jit("void(float32[::1], int64[::1], float32[::1], int64, float32, boolean)")
def _write(row, columns, scores, count, log_total, sample):  # type: ignore[no-untyped-def]
    """A re-scored row; see :func:`semsam.rescoring._values`."""
    best = scores[0]
    for i in range(1, count):
        best = max(best, scores[i])
    top = np.float32(best - log_total)
    top = np.float32(math.exp(top)) if sample else top
    below = np.nextafter(top, -_INF)
    row[:] = -_INF
    for i in range(count):
        value = np.float32(scores[i] - log_total)
        value = np.float32(math.exp(value)) if sample else value
        row[columns[i]] = min(value, below) if scores[i] < best else top


@_jit(
    "boolean(float32[:, ::1], float32[:, ::1], int32[:, :], float32[:, :], int64, int64[::1], float32[::1], int64[::1],"
    " float32[::1], boolean[::1], int64[:, ::1], float32[:, ::1], float32[:, ::1], int64, int64)",
    nogil=True,
)
def _rescore(  # type: ignore[no-untyped-def]
    logits, result, ids, log_weights, most, top_m, top_p, k, strength, sample, found, found_scores, totals, row, stop
):
    """Rows from ``row`` to ``stop``; false if a neighbour is not in the vocabulary.

    Into ``result``, if it has rows, else into ``found``, ``found_scores`` and ``totals``.
    """
    maxima = np.empty((logits.shape[1] + _BLOCK - 1) // _BLOCK, np.float32)
    values, columns, scores = np.empty(most, np.float32), np.empty(most, np.int64), np.empty(most, np.float32)
    terms = np.empty(ids.shape[1], np.float32)
    while row < stop:
        x = logits[row]
        one = row if top_m.size > 1 else 0
        count, log_total = _scores(
            x, ids, log_weights, top_m[one], top_p[one], k[one], strength[one], maxima, values, columns, terms, scores
        )
        if count < 0:
            return False
        if result.shape[0] == 0:
            totals[row, 0] = log_total
            for i in range(found.shape[1]):  # the first candidate once more changes nothing
                found[row, i] = columns[i if i < count else 0] if count > 0 else 0
                found_scores[row, i] = scores[i if i < count else 0] if count > 0 else -_INF
        elif count > 0:
            _write(result[row], columns, scores, count, log_total, sample[one])
        else:
            result[row] = x
        row += 1
    return True


_SHARES = 4
"""Pieces of work for each thread, so that one that comes late holds up no other."""

_JOB = np.dtype(
    [
        (name, np.int64)
        for name in (
            *(
                "next_share",
                "shares",
                "failed",
                "rows",
                "width",
                "result_rows",
                "k",
                "most",
                "settings",
                "found_columns",
            ),
            *("logits", "result", "ids", "log_weights"),
            *("top_m", "top_p", "row_k", "strength", "sample"),
            *("found", "found_scores", "totals"),
        )
    ]
)
"""What threads have to do: numbers, and addresses of the arguments of :func:`_rescore`."""


@_callback
def _take_shares(data):  # type: ignore[no-untyped-def]
    """Re-score shares of a job's rows until there are none left; ``data`` is the address of a ``_JOB``."""
    job = numba.carray(data, 1, _JOB)[0]
    rows, width, n = job.rows, job.width, job.settings
    logits = numba.carray(openmp.pointer(job.logits), (rows, width), np.float32)
    result = numba.carray(openmp.pointer(job.result), (job.result_rows, width), np.float32)
    ids = numba.carray(openmp.pointer(job.ids), (width, job.k), np.int32)
    log_weights = numba.carray(openmp.pointer(job.log_weights), (width, job.k), np.float32)
    top_m = numba.carray(openmp.pointer(job.top_m), (n,), np.int64)
    top_p = numba.carray(openmp.pointer(job.top_p), (n,), np.float32)
    k = numba.carray(openmp.pointer(job.row_k), (n,), np.int64)
    strength = numba.carray(openmp.pointer(job.strength), (n,), np.float32)
    sample = numba.carray(openmp.pointer(job.sample), (n,), np.bool_)
    found = numba.carray(openmp.pointer(job.found), (rows, job.found_columns), np.int64)
    found_scores = numba.carray(openmp.pointer(job.found_scores), (rows, job.found_columns), np.float32)
    totals = numba.carray(openmp.pointer(job.totals), (rows, 1), np.float32)
    while True:
        share = openmp.fetch_and_add(data)
        if share >= job.shares:
            return
        row, stop = rows * share // job.shares, rows * (share + 1) // job.shares
        if not _rescore(
            *(logits, result, ids, log_weights, job.most, top_m, top_p, k, strength, sample),
            *(found, found_scores, totals, row, stop),
        ):
            job.failed = 1


class Rows(NamedTuple):
    """Each row's settings, or one for all rows, as numpy arrays; see :class:`semsam.rescoring.RowSettings`."""

    top_m: np.ndarray
    top_p: np.ndarray
    k: np.ndarray
    strength: np.ndarray
    sample: np.ndarray


@functools.lru_cache
def for_all(top_m: int, top_p: float, k: int, strength: float, sample: bool) -> Rows:
    """The same settings for all rows."""
    whole, real = functools.partial(np.array, dtype=np.int64), functools.partial(np.array, dtype=np.float32)
    return Rows(whole([top_m]), real([top_p]), whole([k]), real([strength]), np.array([sample]))


def suits(logits: Tensor, most: int) -> bool:
    """Whether the compiled rule can take these logits: plain numbers on the CPU."""
    return (
        type(logits) is Tensor  # and not one without data, as compilers use
        and logits.device.type == "cpu"
        and most <= MOST_CANDIDATES
    )


def rescore(logits: Tensor, tables: NeighbourTables, most: int, settings: Rows) -> Tensor:
    """Re-score float32[B, V]; see :func:`semsam.rescoring.rescore`."""
    logits = logits.detach()
    if logits.is_contiguous():
        result = torch.empty_like(logits)
    else:
        logits = result = logits.contiguous()  # the copy becomes the result
    _run(logits, result, tables, min(most, logits.shape[1]), settings, _NOTHING)
    return result


def scores(logits: Tensor, tables: NeighbourTables, most: int, settings: Rows) -> tuple[Tensor, Tensor, Tensor]:
    """The candidates of contiguous float32[B, V] and their scores, for a result of another type.

    Returns:
        int64[B, M] columns, float32[B, M] logarithms of scores that do not add up to 1 yet, and float32[B, 1] what to
        subtract from them. A row with fewer candidates has its first again; a row that defers has only scores of -inf.
    """
    rows, most = len(logits), min(most, logits.shape[1])
    found = torch.empty(rows, most, dtype=torch.int64), torch.empty(rows, most), torch.empty(rows, 1)
    _run(logits, logits[:0], tables, most, settings, tuple(tensor.numpy() for tensor in found))
    return found


_NOTHING = (np.empty((0, 0), np.int64), np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))


def _run(
    logits: Tensor, result: Tensor, tables: NeighbourTables, most: int, settings: Rows, found: tuple[Any, ...]
) -> None:
    rows, width = logits.shape
    ids, log_weights = tables.arrays
    size = rows * width
    threads = min(torch.get_num_threads(), rows, size // _WORTH_A_THREAD)
    if threads >= 2 and openmp.available() and ids.flags.c_contiguous and log_weights.flags.c_contiguous:
        done = _by_openmp(logits, result, ids, log_weights, most, settings, found, threads)
    else:
        work = functools.partial(_rescore, logits.numpy(), result.numpy(), ids, log_weights, most, *settings, *found)
        done = _by_own_threads(work, rows, min(threads, size // _WORTH_WAKING_ONE))
    if not done:
        raise TablesError(
            "The neighbour tables name tokens that are not in the vocabulary.",
            value=f"ids {int(tables.ids.min())} to {int(tables.ids.max())}, a vocabulary of {width}",
            remedy="build them anew (semsam.neighbours.for_model).",
        )


def _by_openmp(
    logits: Tensor,
    result: Tensor,
    ids: np.ndarray,
    log_weights: np.ndarray,
    most: int,
    settings: Rows,
    found: tuple[Any, ...],
    threads: int,
) -> bool:
    """Whether all went well."""
    rows, width = logits.shape
    shares = min(rows, _SHARES * threads)
    job = np.array(
        (
            *(0, shares, 0, rows, width, len(result), ids.shape[1], most, len(settings.top_m), found[0].shape[1]),
            *(logits.data_ptr(), result.data_ptr(), ids.ctypes.data, log_weights.ctypes.data),
            *(array.ctypes.data for array in (*settings, *found)),
        ),
        _JOB,
    )
    openmp.run(_take_shares, job, threads)
    return not job["failed"]


def _by_own_threads(work: Callable[[int, int], bool], rows: int, threads: int) -> bool:
    """Whether all went well; ``work`` is done from a row on to another."""
    if threads < 2:
        return work(0, rows)
    pieces = min(rows, _SHARES * threads)
    shares = iter([(rows * piece // pieces, rows * (piece + 1) // pieces) for piece in range(pieces)])

    def take() -> bool:
        return all(work(*share) for share in shares)

    # This thread takes shares until there are none, however late the others wake; it waits for no idle one.
    others = [_threads().submit(take) for _ in range(threads - 1)]
    return False not in {take(), *(other.result() for other in others if not other.cancel())}


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="semsam")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # a child process has none of its parent's threads
