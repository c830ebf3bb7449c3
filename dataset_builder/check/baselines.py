"""What could be had without looking: answers from options and text alone, scored per cell.

Blind baselines, none of which sees an image:

* ``first`` takes the first option.
* ``longest`` takes the longest option.
* ``constant`` takes the option that was right most often, of the times it was offered, in other volumes.
* ``text`` is a linear classifier over words and phrases of up to three words of the question (options among them),
  trained on other volumes. Each option is scored against each phrase; the best option is taken.

* ``rank`` is asked for an image of a stack: of the numbers offered it takes the lowest, second ... as was right most
  often in other volumes.
* ``place`` is asked for the name of a marked structure: it takes the one whose marker lay nearest to there in other
  volumes, and sees nothing of the scan. What it gets is what blank canvases give away.
* ``traces`` reads ids, order and statistics of images (:mod:`dataset_builder.check.traces`), and no question.

Choices among equals get the share of credit that a random choice would. Where a marker is drawn and two options are
given, the design leaves nothing to find, so that every guesser must be within two standard errors of chance (see
:func:`dataset_builder.check.statistics.accuracy`; corrected for their number by Holm's method). Traces tell nothing in
any cell. Where four names or images are offered, no guesser may be better than chance by more than
:data:`MAX_GAIN`, but for ``place``. Elsewhere, as where structures are named, the prior is real: it is reported.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import Item, Items, group
from dataset_builder.check.statistics import Share, accuracy, holm
from dataset_builder.check.traces import trace_classifier, traces_of
from dataset_builder.core.factors import DRAWN_PROMPTS

LEVEL = 0.05
"""Two standard errors: probability of a false alarm over all cells together, after Holm's correction."""
MAX_GAIN = 0.15
"""Where four names or numbers are offered, guessers may exceed chance by this much: no draw makes names equal."""
TRACE_LEVEL, MIN_TRACE = 0.001, 0.1
"""Traces tell something if they are better than chance by this much, with this probability of a false alarm."""
FOLDS = 5
MAX_ROWS, MAX_TRAINING_ROWS = 100_000, 20_000
"""The classifier scores, and is trained on, at most this many rows; larger data sets are sampled, pairs kept whole."""
SCORED_AT_ONCE = 2000
HASH_SIZE = 1 << 21
"""Weights of the classifier: one for an option with a phrase, by their hash."""
EPOCHS = 8

GUESSERS = ("first", "longest", "constant", "text", "rank", "place", "traces")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CellBaselines:
    """What each guesser gets in a cell.

    Args:
        gated: whether all guessers must be at chance.
        guessers: name -> accuracy; a guesser that could not be trained (one volume only) is left out.
    """

    cell: str
    gated: bool
    guessers: dict[str, Share]


@dataclass(frozen=True)
class Followed:
    """How often the answer of anatomy (column ``prior_answer``) is right, for rows that are shown alike.

    Args:
        stated: rows that have a prior answer.
        right: those of them in which it is the answer.
    """

    shown: str
    rows: int
    stated: int
    right: int


@dataclass(frozen=True)
class BlindBaselines:
    """What could be had without looking: by kind of question, by cell; and by anatomy's own answers."""

    pooled: list[CellBaselines]
    cells: list[CellBaselines]
    followed: list[Followed]


def is_gated(item: Item) -> bool:
    """Whether nothing in a row's text can tell its answer: two options, and markers in place of names."""
    return item.prompt in DRAWN_PROMPTS and len(item.options) == 2


def is_bounded(item: Item) -> bool:
    """Whether four names or images are offered, so that names or numbers alone should tell little."""
    return len(item.options) == 4 and (item.terminology == "anatomical" or " in image " in item.relation)


def check_baselines(
    items: Items, findings: Findings, progress: Callable[[str, int, int], None], images: Images | None = None
) -> BlindBaselines:
    """Score the guessers in every cell and test those cells in which they must be at chance."""
    rows = list(items.rows)
    credit: dict[str, Floats] = {"first": first_option(rows), "longest": longest_option(rows)}
    folds = volume_folds(rows)
    if folds is None:
        findings.note("priors", "There is only one volume, so nothing can be trained on others.")
    else:
        credit["constant"] = constant_answer(rows, folds)
        kept = sample(rows, MAX_ROWS)
        if len(kept) < len(rows):
            findings.note("priors", f"The text classifier was trained and scored on {len(kept):,} rows.")
        scored = np.full(len(rows), np.nan)
        scored[kept] = text_classifier([rows[i] for i in kept.tolist()], folds[kept], progress)
        credit["text"] = scored
        credit["rank"] = rank_of_image(rows, folds)
        credit["place"] = marker_place(rows, folds)
    if images is not None:
        by = folds if folds is not None else _facts_apart(rows)
        credit["traces"] = trace_classifier(rows, by, traces_of(rows, images))
    number = {id(item): i for i, item in enumerate(rows)}
    result = BlindBaselines([], [], followed(rows))
    members_of: dict[int, Sequence[Item]] = {}
    families = ((result.pooled, group((kind_of(item), item) for item in rows)), (result.cells, items.cells))
    for scores, groups in families:
        for name, members in sorted(groups.items()):
            for must in (True, False):
                part = [item for item in members if is_gated(item) == must]
                if part:
                    scores.append(_score(name, must, part, [number[id(item)] for item in part], credit))
                    members_of[id(scores[-1])] = part
    _test([*result.pooled, *result.cells], members_of, findings)
    return result


def kind_of(item: Item) -> str:
    """Cells of one kind, over modalities and planes: what is asked, and whether structures are named or marked."""
    shown = item.input if item.view == "plain" else item.view if item.view in ("occluded", "swapped") else "turned"
    shown = "less stated" if item.statement != "edges" else shown
    shown = "yes or no" if item.option_form == "yes_no" else "shifted" if item.option_form != "listed" else shown
    marked = "named" if item.prompt == "none" else "marked" if item.prompt in DRAWN_PROMPTS else "pixels"
    return f"{shown}, {item.terminology}, {marked}"


def _score(
    cell: str, gated: bool, members: Sequence[Item], at: Sequence[int], credit: dict[str, Floats]
) -> CellBaselines:
    guessers = {}
    for name, found in credit.items():
        scored = [(item, found[i]) for item, i in zip(members, at, strict=True) if not np.isnan(found[i])]
        if scored:
            guessers[name] = accuracy(
                [value for _, value in scored],
                [1 / len(item.options) for item, _ in scored],
                [item.volume for item, _ in scored],
            )
    return CellBaselines(cell, gated, guessers)


def _test(baselines: Sequence[CellBaselines], members: Mapping[int, Sequence[Item]], findings: Findings) -> None:
    tests = [(scored.cell, name, result) for scored in baselines for name, result in scored.guessers.items()]
    must = [test for scored, test in zip(_each(baselines), tests, strict=True) if scored.gated and test[1] != "traces"]
    findings.looked("priors", len(must))
    if not must:
        findings.note("priors", "No row has two options and drawn markers.")
    for (cell, name, result), p in zip(must, holm([result.p for _, _, result in must]), strict=True):
        if p < LEVEL:
            problem = "The answer can be guessed without looking, although markers are drawn."
            findings.violation("priors", problem, cell, _reported(name, result))
    traces = [test for test in tests if test[1] == "traces"]
    findings.looked("leakage", len(traces))
    for (cell, name, result), p in zip(traces, holm([result.p for _, _, result in traces]), strict=True):
        if p < TRACE_LEVEL and result.deviation > MIN_TRACE:
            problem = "Ids, order of rows or image statistics reveal the answer."
            findings.violation("leakage", problem, cell, _reported(name, result))
    bounded = [
        (scored.cell, name, result)
        for scored in baselines
        if all(is_bounded(item) for item in members[id(scored)])
        for name, result in scored.guessers.items()
        if name not in ("place", "traces") and result.error > 0
    ]
    findings.looked("priors", len(bounded))
    above = [float(norm.sf((result.deviation - MAX_GAIN) / result.error)) for _, _, result in bounded]
    for (cell, name, result), p in zip(bounded, holm(above), strict=True):
        if p < LEVEL:
            problem = "Of four names or images, the right one can be guessed without looking."
            findings.violation("priors", problem, cell, _reported(name, result))


def _each(baselines: Sequence[CellBaselines]) -> Iterator[CellBaselines]:
    """Every result once for each of its guessers."""
    return (scored for scored in baselines for _ in scored.guessers)


def _reported(name: str, result: Share) -> str:
    return (
        f"{name}: {100 * result.value:.1f} % of {result.rows}, chance {100 * result.expected:.1f} %, "
        f"standard error {100 * result.error:.1f} %"
    )


# Guessers ------------------------------------------------------------------------------------------------------------


def first_option(rows: Sequence[Item]) -> Floats:
    """Credit of always taking the first option [N]."""
    return np.array([item.options[0] == item.answer for item in rows], np.float64)


def longest_option(rows: Sequence[Item]) -> Floats:
    """Credit of always taking the longest option [N]."""
    return np.array([_credit(item, [len(option) for option in item.options]) for item in rows])


def constant_answer(rows: Sequence[Item], folds: npt.NDArray[np.int64]) -> Floats:
    """Credit of taking the option that was right most often when it was offered in other folds [N]."""
    credit = np.zeros(len(rows))
    for fold in range(int(folds.max()) + 1):
        offered: dict[str, float] = {}
        right: dict[str, float] = {}
        for item, of in zip(rows, folds, strict=True):
            if of != fold:
                for option in item.options:
                    offered[option] = offered.get(option, 0) + 1
                right[item.answer] = right.get(item.answer, 0) + 1
        for i in np.flatnonzero(folds == fold).tolist():
            item = rows[i]
            chance = 1 / len(item.options)  # counts as one more time that each option was offered
            scores = [(right.get(option, 0) + chance) / (offered.get(option, 0) + 1) for option in item.options]
            credit[i] = _credit(item, scores)
    return credit


def rank_of_image(rows: Sequence[Item], folds: npt.NDArray[np.int64]) -> Floats:
    """Credit of taking, of the images offered, the one of the rank that was right most often in other folds [N]."""
    credit = np.full(len(rows), np.nan)
    asked = [i for i, item in enumerate(rows) if " in image " in item.relation]
    numbers = {i: [int("".join(filter(str.isdigit, option)) or 0) for option in rows[i].options] for i in asked}
    right = {i: sorted(numbers[i]).index(numbers[i][rows[i].options.index(rows[i].answer)]) for i in asked}
    kinds = {i: (rows[i].relation.partition(" in image ")[0], len(rows[i].options)) for i in asked}
    counts = {kind: np.zeros((int(folds.max()) + 1, kind[1])) for kind in kinds.values()}
    for i in asked:
        counts[kinds[i]][folds[i], right[i]] += 1
    for i in asked:
        of_kind = counts[kinds[i]]
        others = of_kind.sum(axis=0) - of_kind[folds[i]]
        credit[i] = _credit(rows[i], others[np.argsort(np.argsort(numbers[i]))].tolist())
    return credit


def marker_place(rows: Sequence[Item], folds: npt.NDArray[np.int64]) -> Floats:
    """Credit of taking the name whose marker lay nearest to there in other folds [N]."""
    credit = np.full(len(rows), np.nan)
    asked = [i for i, item in enumerate(rows) if item.terminology == "anatomical" and item.prompt in DRAWN_PROMPTS]
    known: dict[tuple[str, ...], list[tuple[int, Floats]]] = {}
    for i in asked:
        known.setdefault(_place_key(rows[i], rows[i].answer), []).append((int(folds[i]), _place(rows[i])))
    for i in asked:
        here = _place(rows[i])
        scores = []
        for option in rows[i].options:
            others = [place for fold, place in known.get(_place_key(rows[i], option), ()) if fold != folds[i]]
            scores.append(-float(np.linalg.norm(np.mean(others, axis=0) - here)) if others else -1e9)
        credit[i] = _credit(rows[i], scores)
    return credit


def _place_key(item: Item, name: str) -> tuple[str, ...]:
    return item.modality, item.plane, item.convention, item.view, item.register, name


def _place(item: Item) -> Floats:
    """Middle and extent of the first marker in mm."""
    x0, y0, x1, y1 = item.boxes[0]
    return np.array([x0 + x1, y0 + y1, x1 - x0, y1 - y0]) / 2 * item.pixel_mm


def _facts_apart(rows: Sequence[Item]) -> npt.NDArray[np.int64]:
    """Folds of facts, for a single volume."""
    return np.array(
        [int(hashlib.blake2b(item.fact_id.encode(), digest_size=2).hexdigest(), 16) % FOLDS for item in rows]
    )


def _credit(item: Item, scores: Sequence[float]) -> float:
    """1 for the right option, shared among equals at the top."""
    top = max(scores)
    best = [option for option, score in zip(item.options, scores, strict=True) if score >= top - 1e-12]
    return (item.answer in best) / len(best)


def volume_folds(rows: Sequence[Item]) -> npt.NDArray[np.int64] | None:
    """The fold of each row: a volume lies in one fold; ``None`` if there is only one volume."""
    from sklearn.model_selection import GroupKFold

    # Words that were asked of one subject's slice and then of another's stay together.
    home = {item.fact_id: item.volume for item in rows if item.view != "swapped"}
    volumes = [home.get(item.fact_id, item.volume) for item in rows]
    number = {volume: i for i, volume in enumerate(sorted(set(volumes)))}
    if len(number) < 2:
        return None
    groups = [number[volume] for volume in volumes]
    fold_of = np.zeros(len(rows), np.int64)
    splits = GroupKFold(min(FOLDS, len(number))).split(np.zeros((len(rows), 1)), groups=groups)
    for fold, (_, held_out) in enumerate(splits):
        fold_of[held_out] = fold
    return fold_of


def sample(rows: Sequence[Item], count: int) -> npt.NDArray[np.int64]:
    """Numbers of about ``count`` rows, pairs whole, the same whenever it is called."""
    if len(rows) <= count:
        return np.arange(len(rows))
    limit = int(count / len(rows) * 2**64)
    drawn = (int.from_bytes(hashlib.blake2b(item.draw_id.encode(), digest_size=8).digest(), "big") for item in rows)
    return np.flatnonzero([value < limit for value in drawn])


def text_classifier(
    rows: Sequence[Item], folds: npt.NDArray[np.int64], progress: Callable[[str, int, int], None]
) -> Floats:
    """Credit of a classifier that reads the question, trained on other folds [N]."""
    from scipy import sparse
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier

    phrases = HashingVectorizer(
        token_pattern=r"(?u)\b\w+\b",  # letters and digits that stand alone count, too
        ngram_range=(1, 3),
        n_features=HASH_SIZE,
        alternate_sign=False,
        binary=True,
        norm=None,
        dtype=np.float32,
    ).transform(item.question for item in rows)
    options = sorted({option for item in rows for option in item.options})
    salt = {option: int(hashlib.blake2b(option.encode(), digest_size=4).hexdigest(), 16) for option in options}

    def crossed(numbers: npt.NDArray[np.int64]) -> tuple[sparse.csr_matrix, npt.NDArray[np.bool_]]:
        """Each option of each row as the phrases it stands with [options of all rows], and whether it is right."""
        parts, labels = [], []
        for i in numbers.tolist():
            found = phrases.indices[phrases.indptr[i] : phrases.indptr[i + 1]].astype(np.int64)
            for option in rows[i].options:
                # Multiplied by an odd number, phrases stay apart; the option decides where they go.
                parts.append((found * (2 * salt[option] + 1) + salt[option]) % HASH_SIZE)
                labels.append(option == rows[i].answer)
        ends = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int32)
        scale = np.concatenate([np.full(len(part), len(part) ** -0.5, np.float32) for part in parts])
        matrix = sparse.csr_matrix((scale, np.concatenate(parts).astype(np.int32), ends), (len(parts), HASH_SIZE))
        return matrix, np.array(labels)

    credit = np.zeros(len(rows))
    count = int(folds.max()) + 1
    for fold in range(count):
        progress("classifier", fold, count)
        held_out = np.flatnonzero(folds == fold)
        if not len(held_out):
            continue
        model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=EPOCHS, tol=None, random_state=0)
        others = np.flatnonzero(folds != fold)
        model.fit(*crossed(others[sample([rows[i] for i in others.tolist()], MAX_TRAINING_ROWS)]))
        for start in range(0, len(held_out), SCORED_AT_ONCE):
            part = held_out[start : start + SCORED_AT_ONCE]
            scores = iter(model.decision_function(crossed(part)[0]).tolist())
            for i in part.tolist():
                credit[i] = _credit(rows[i], [next(scores) for _ in rows[i].options])
    progress("classifier", count, count)
    return credit


def followed(rows: Sequence[Item]) -> list[Followed]:
    """How often anatomy's own answer is right, by how a question is shown and what it asks."""
    found: dict[tuple[str, ...], list[Item]] = {}
    for item in rows:
        found.setdefault((item.input, item.terminology, item.frame, item.convention, item.view), []).append(item)
    result = []
    for key, members in sorted(found.items()):
        stated = [item for item in members if item.prior_answer]
        if stated:
            right = sum(item.prior_answer == item.answer for item in stated)
            result.append(Followed(", ".join(key), len(members), len(stated), right))
    return result
