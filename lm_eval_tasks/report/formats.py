"""Numbers as a reader sees them."""

from lm_eval_tasks.report.scores import Json

STAR = "* of one volume only: such an interval says nothing of other volumes"


def per_cent(interval: Json | None, signed: bool = False) -> str:
    """An interval as in ``61.2 (57.0-65.3)``, in per cent; with a star if it is of one volume."""
    if interval is None or interval["value"] is None:
        return "-"
    value = f"{100 * interval['value']:{'+' if signed else ''}.1f}"
    if interval["low"] is None:
        return value
    low, high = (f"{100 * interval[name]:{'+' if signed else ''}.1f}" for name in ("low", "high"))
    star = "*" if interval["method"] in ("wilson", "clustered t by fact") else ""
    return f"{value} ({low} to {high}){star}" if signed else f"{value} ({low}-{high}){star}"


def p_value(p: float | None) -> str:
    """A p-value as in ``0.031`` or ``<0.001``."""
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
