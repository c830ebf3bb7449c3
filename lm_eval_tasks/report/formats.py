"""Numbers as a reader sees them."""

from math import nan

from cluster_statistics import FEW_CLUSTERS, Interval
from lm_eval_tasks.report.scores import Json

NOTE = (
    f"* one volume only: by fact, and says nothing about other volumes; † fewer than {FEW_CLUSTERS} volumes: "
    "says little of others"
)
"""What the signs behind intervals mean."""


def per_cent(interval: Json | None, signed: bool = False) -> str:
    """An interval as in ``61.2 (57.0-65.3)``, in per cent; with a sign of `NOTE` if it is of few volumes."""
    if interval is None or interval["value"] is None:
        return "-"
    numbers = {name: nan if interval[name] is None else interval[name] for name in ("value", "low", "high")}
    shown = Interval(**numbers, method=interval["method"], clusters=interval["clusters"]).per_cent(signed)
    return shown.rstrip("†") + sign(interval)


def sign(interval: Json) -> str:
    """The sign of `NOTE` that an interval needs; none for a number without interval."""
    if interval["low"] is None:
        return ""
    return "*" if interval["method"] == "t by fact" else "†" if interval["clusters"] < FEW_CLUSTERS else ""


def p_value(p: float | None) -> str:
    """A p-value as in ``0.031`` or ``<0.001``."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def volumes_in_words(volumes: int) -> str:
    """As in ``1 volume``."""
    return f"{volumes:,} volume{'s' * (volumes != 1)}"


def size_of(count: int, volumes: int, what: str = "") -> str:
    """How much a number comes from; of few volumes, from how many."""
    few = f" of {volumes_in_words(volumes)}" if volumes < FEW_CLUSTERS else ""
    return f"{count:,}{' ' * bool(what)}{what}{few}"
