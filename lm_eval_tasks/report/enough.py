"""Whether the questions of a report are enough for what it compares, in numbers and in words.

Of a comparison or an effect the differences themselves tell how much volumes differ in them; from that follows which
difference the same questions would have shown with 80 % power (:mod:`cluster_statistics.planning`).
"""

from collections.abc import Iterator, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from cluster_statistics import rounded
from cluster_statistics.planning import WANTED_POWER, clustering, detectable_difference, power_of_difference, resized
from lm_eval_tasks.report.effects import matched_differences
from lm_eval_tasks.report.items import Sheet
from lm_eval_tasks.report.scores import Json

WORTH_SEEING = 0.1
"""It is said which effects could not even show this difference."""
NAMED = 5
MOST_VOLUMES = 20_000


def enough(sheets: Sequence[Sheet], compared: Sequence[Json]) -> Json:
    """What the questions of some runs can show.

    Args:
        sheets: the runs.
        compared: their comparisons, as in ``report.json``.
    """
    by_name = {sheet.run.name: sheet for sheet in sheets}
    of_runs = [_run(sheet) for sheet in sheets]
    of_pairs = [_comparison(by_name[each["from"]], by_name[each["to"]], each["overall"]["p"]) for each in compared]
    return {"power": WANTED_POWER, "runs": of_runs, "comparisons": of_pairs}


def _units(sheet: Sheet, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """Of each question the patient, and what that is called: volumes, where each is another patient's."""
    fewer = len(np.unique(sheet.patients[rows])) < len(np.unique(sheet.volumes[rows]))
    return sheet.patients[rows], "patient" if fewer else "volume"


def least_seen(differences: NDArray[np.float64], clusters: NDArray[np.int64]) -> float | None:
    """The least mean difference that as many questions in as many clusters would show; None if none.

    Args:
        differences: float[N], measured.
        clusters: int[N].
    """
    told = clustering(differences, clusters)
    if not isfinite(told.correlation):
        return None
    sizes = np.unique(clusters, return_counts=True)[1]
    discordant = max(told.spread + told.mean**2, 1 / (len(differences) + 2))  # that none differs is luck
    return detectable_difference(discordant, sizes, told.correlation)


def clusters_for(wanted: float, differences: NDArray[np.float64], clusters: NDArray[np.int64]) -> int | None:
    """In how many clusters like these a difference would be seen; None if it takes very many, or nobody knows.

    Args:
        wanted: the difference.
        differences: float[N], measured.
        clusters: int[N].
    """
    told = clustering(differences, clusters)
    if not isfinite(told.correlation) or not wanted:
        return None
    sizes = np.unique(clusters, return_counts=True)[1]
    low = high = len(sizes)
    while (
        power_of_difference(wanted, told.spread + told.mean**2, resized(sizes, high), told.correlation) < WANTED_POWER
    ):
        low, high = high, 2 * high
        if high > MOST_VOLUMES:
            return None
    while low < high:
        middle = (low + high) // 2
        found = power_of_difference(wanted, told.spread + told.mean**2, resized(sizes, middle), told.correlation)
        low, high = (low, middle) if found >= WANTED_POWER else (middle + 1, high)
    return high


def _run(sheet: Sheet) -> Json:
    """How well the accuracy of a run is known, and which of its effects could have shown something."""
    rows = sheet.scored
    units, unit = _units(sheet, rows)
    told = clustering(sheet.right[rows].astype(float), units)
    effects = list(_effects(sheet))
    weak = [each for each in effects if each["difference"] is None or each["difference"] > WORTH_SEEING]
    counts = {
        "questions": len(rows),
        "pairs": len(sheet.pairs_scored),
        "facts": len(np.unique(sheet.facts[rows])),
        "volumes": len(np.unique(sheet.volumes[rows])),
        "patients": len(np.unique(sheet.patients[rows])),
    }
    said = (
        f"{sheet.run.name}: {counts['questions']:,} questions ({counts['pairs']:,} pairs) about "
        f"{counts['facts']:,} facts in {_many(counts['volumes'], 'volume')} of {_many(counts['patients'], 'patient')}."
    )
    if isfinite(told.correlation):
        said += f" What questions of a {unit} have in common: an intraclass correlation of {told.correlation:.3f}."
    if effects:
        able = len(effects) - len(weak)
        said += (
            f" {able} of {_many(len(effects), 'effect')} of factors {'comes' if able == 1 else 'come'} from enough "
            f"questions to show {100 * WORTH_SEEING:g} points with {100 * WANTED_POWER:.0f} % power"
        )
        names = "; ".join(f"{each['factor']}, {each['from']} to {each['to']}" for each in weak[:NAMED])
        more = f" and {len(weak) - NAMED} more" if len(weak) > NAMED else ""
        said += f"; too few: {names}{more}." if weak else "."
    return {
        "run": sheet.run.name,
        "unit": unit,
        **counts,
        "correlation": rounded(told.correlation),
        "effects": effects,
        "said": said,
    }


def _many(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'s' * (count != 1)}"


def _effects(sheet: Sheet) -> Iterator[Json]:
    for name, one, other, first, differences in matched_differences(sheet):
        seen = least_seen(differences, _units(sheet, first)[0])
        yield {"factor": name, "from": one, "to": other, "difference": None if seen is None else rounded(seen)}


def _comparison(one: Sheet, other: Sheet, p: float | None) -> Json:
    """Which difference of two runs could have been seen, and whether the one found is as large."""
    ids = [each for each in one.ids if each in other.run.answers]
    kept = {*ids}
    rows = np.array([row for row in one.scored if one.ids[row] in kept], dtype=np.int64)
    differences = other.right[other.rows_of([one.ids[row] for row in rows])].astype(float) - one.right[rows]
    units, unit = _units(one, rows)
    seen = least_seen(differences, units)
    found = float(differences.mean()) if len(rows) else float("nan")
    needed = None if seen is None or abs(found) >= seen else clusters_for(abs(found), differences, units)
    said = _verdict(found, seen, needed, p, unit, len(np.unique(units)))
    return {
        "from": one.run.name,
        "to": other.run.name,
        "measured": rounded(found),
        "seen": None if seen is None else rounded(seen),
        "needed": needed,
        "said": f"{other.run.name} against {one.run.name}: {said}",
    }


def _verdict(found: float, seen: float | None, needed: int | None, p: float | None, unit: str, count: int) -> str:
    if seen is None:
        return f"{_many(count, unit)} cannot show any difference with {100 * WANTED_POWER:.0f} % power; add {unit}s."
    said = f"the questions show a difference of {100 * seen:.1f} points or more with {100 * WANTED_POWER:.0f} % power. "
    measured = f"the one measured ({100 * found:+.1f})"
    if abs(found) >= seen:
        return f"{said}They are enough for {measured}."
    more = (
        f"about {_many(needed, unit)} with as many questions each would be"
        if needed
        else f"more than {MOST_VOLUMES:,} {unit}s would be"
        if found
        else ""
    )
    if p is not None and p < 0.05:
        return f"{said}A test found {measured} although it is smaller; to rely on finding such a one, {more} needed."
    if not more:
        return f"{said}None was measured: one smaller than that may be there."
    return f"{said}They are too few for one as small as {measured}: {more} needed."
