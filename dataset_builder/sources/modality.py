"""CT or MR, where neither a table nor a name says it: by what the values can be."""

from pathlib import Path

import numpy as np

from dataset_builder.core.errors import CaseError, IntensityError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import read_scan

_STEP = 4


def modality_or_problem(path: Path) -> tuple[Modality, CaseError | None]:
    """What a scan is, and why that cannot be known: it is then refused when it is read."""
    try:
        return modality_of_scan(path), None
    except CaseError as error:
        return "ct", error


def modality_of_scan(path: Path) -> Modality:
    """What a scan is, by its values: air is far below 0 in CT, and nothing is in MR.

    Raises:
        CaseError: if that is not sure, or the scan cannot be read.
    """
    values = read_scan(path).values[::_STEP, ::_STEP, ::_STEP]
    air = float(np.mean((values <= -900) & (values >= -1100)))
    lowest = float(values.min())
    if air > 0.02:
        return "ct"
    if lowest >= 0 and float(values.max()) > lowest:
        return "mri"
    raise IntensityError(
        "It is unclear whether the scan is CT or MR.",
        file=path,
        value=f"values from {lowest:g} to {float(values.max()):g}",
        remedy="Give it: --modality ct or --modality mri.",
    )
