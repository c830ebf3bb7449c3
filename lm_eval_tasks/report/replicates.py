"""Test-retest: how far a score moves when other slices and wordings of the same scans are asked.

``mis-ground build --seeds N`` makes data sets that differ in the seed alone. Runs of one model under the same settings
on several of them are replicates: the spread of their scores is what the choice of slices and wordings adds, the
interval by volume what the choice of volumes adds.
"""

from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

import numpy as np

from cluster_statistics import proportion, rounded
from lm_eval_tasks.report.items import Sheet, by_volume, codes, fact, patient, volume
from lm_eval_tasks.report.scores import Json
from lm_eval_tasks.report.settings import flat

OF_THE_DATA = frozenset({"data_digest", "dataset", "data_rows"})
"""Settings in which replicates may differ."""


def replicates(sheets: Sequence[Sheet]) -> list[Json]:
    """Of runs that differ in the data set alone, and share no question, how their scores vary."""
    return [_spread(of_one) for of_one in _grouped(sheets) if len(of_one) > 1]


def _grouped(sheets: Sequence[Sheet]) -> Iterator[list[Sheet]]:
    by_settings: dict[Any, list[Sheet]] = {}
    for sheet in sheets:
        run = sheet.run
        known = {name: value for name, value in flat(dict(run.settings)).items() if name not in OF_THE_DATA}
        key = (run.mode, run.model, tuple(sorted(known.items())), frozenset(run.versions.get("data", "").split(", ")))
        by_settings.setdefault(key, []).append(sheet)
    for alike in by_settings.values():
        apart: list[Sheet] = []
        for sheet in alike:
            if all(not sheet.run.answers.keys() & other.run.answers.keys() for other in apart):
                apart.append(sheet)
        yield apart


def _spread(sheets: Sequence[Sheet]) -> Json:
    """The scores of replicates, their spread, and the interval by volume of all their questions together."""
    each = [float(sheet.right[sheet.scored].mean()) for sheet in sheets]
    pairs = [sheet.right[sheet.pairs_scored].all(axis=1) for sheet in sheets]
    of_pairs = [float(np.mean(found)) if np.size(found) else nan for found in pairs]
    asked = [(sheet, int(row)) for sheet in sheets for row in sheet.scored]
    questions = [sheet.questions[row] for sheet, row in asked]
    patients, facts = (codes([of(question) for question in questions]) for of in (patient, fact))
    clusters, unit = by_volume(patients, facts)
    volumes = [{volume(sheet.questions[row]) for row in sheet.scored} for sheet in sheets]
    if unit == "volume" and len(np.unique(clusters)) < len(set().union(*volumes)):
        unit = "patient"
    together = proportion([sheet.right[row] for sheet, row in asked], clusters, unit)
    intervals = [proportion(sheet.right[sheet.scored], *sheet.clusters(sheet.scored)) for sheet in sheets]
    half = float(np.mean([(found.high - found.low) / 2 for found in intervals]))
    spread = float(np.std(each, ddof=1))
    found: Json = {
        "runs": [sheet.run.name for sheet in sheets],
        "model": sheets[0].run.model,
        "mode": sheets[0].run.mode,
        "accuracies": [rounded(value) for value in each],
        "pair_accuracies": [rounded(value) for value in of_pairs],
        "spread": rounded(spread),
        "range": rounded(max(each) - min(each)),
        "pair_spread": rounded(float(np.std(of_pairs, ddof=1))),
        "half_interval": rounded(half),
        "accuracy": together.to_json(),
        "same_volumes": all(named == volumes[0] for named in volumes),
    }
    return found | {"said": _said(found, len(sheets), spread, half, unit)}


def _said(found: Json, count: int, spread: float, half: float, unit: str) -> str:
    pooled = found["accuracy"]
    said = (
        f"{found['model'].rstrip('/').rsplit('/', 1)[-1]}, {count} data sets with other slices and wordings: accuracy "
        f"{', '.join(f'{100 * value:.1f}' for value in found['accuracies'])}; the standard deviation between them is "
        f"{100 * spread:.1f} points."
    )
    if half == half and count > 2:
        said += (
            f" Beside it, half of the 95 % interval by {unit} of one data set is {100 * half:.1f} points: the choice "
            f"of {unit}s matters {'more' if half > 1.96 * spread else 'less'} than that of slices and wordings."
        )
    if pooled["low"] is not None:
        said += (
            f" All together: {100 * pooled['value']:.1f} ({100 * pooled['low']:.1f} to {100 * pooled['high']:.1f}; by "
            f"{unit}, each counted once however many data sets ask about it)."
        )
    if not found["same_volumes"]:
        said += " The data sets are not about the same volumes, so the choice of volumes is part of the spread."
    return said
