"""What a build asks about a scan, without what names it: to compare the same scan from two sources."""

from pathlib import Path
from typing import Any

import pytest

from dataset_builder.building.rows import volume_rows
from dataset_builder.core.settings import Settings
from dataset_builder.slices.store import store_volume
from dataset_builder.sources import open_source

NAMES = ("id", "pair_id", "fact_id", "source", "subject", "patient")
"""Columns that say where a row is from: they may differ."""


def asked(spec: str, settings: Settings, store: Path) -> list[dict[str, Any]]:
    """The rows of the one case of a source, but for the columns that name it."""
    source = open_source(spec)
    (case,) = source.cases()
    stored = store_volume(source, case, settings, store)
    return [{key: value for key, value in row.items() if key not in NAMES} for row in volume_rows(stored, settings)]


def assert_same_rows(rows: list[dict[str, Any]], expected: list[dict[str, Any]], said: object) -> None:
    """Equal questions, answers, boxes and images; only the last digits of a distance may differ."""
    assert len(rows) == len(expected), said
    for row, other in zip(rows, expected, strict=True):
        different = [key for key in other if key != "margin_mm" and row[key] != other[key]]
        assert not different, (said, different, [(row[key], other[key]) for key in different if key != "images"])
        assert row["margin_mm"] == pytest.approx(other["margin_mm"], abs=1e-3), said
