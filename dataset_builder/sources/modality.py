"""CT or MR: by what a channel or file is called, else by what the values can be."""

import re
from pathlib import Path

import numpy as np

from dataset_builder.core.errors import CaseError, IntensityError
from dataset_builder.core.factors import Modality
from dataset_builder.imaging.scan_files import read_scan

_STEP = 4

_CT = frozenset({"ct", "cta", "cect", "ncct", "cbct"})
_MR = frozenset(
    {"mr", "mri", "dess", "flair", "dwi", "adc", "swi", "stir", "tse", "fse", "spgr", "dixon", "vibe", "bssfp"}
)
_MR_WEIGHTING = re.compile(r"t1|t2|t1(w|c|ce|n|gd|wi|ce?w)|t2(w|f|fs|wi|star)|pd(w|fs|wi)?")


_NEITHER = frozenset(
    {
        "pet",
        "suv",
        "suvbw",
        "fdg",
        "psma",
        "dotatate",
        "spect",
        "us",
        "ultrasound",
        "dose",
        "rtdose",
        "mask",
        "masks",
        "seg",
    }
    | {
        "segmentation",
        "label",
        "labels",
        "contour",
        "attenuation",
        "mumap",
        "umap",
        "xray",
        "mammography",
        "oct",
        "probability",
    }
)
"""Words of channels that are no CT and no MR, whatever else their names say."""
_RELATED_TO = re.compile(
    r"\b(?:co-?)?(?:registered|resampled|aligned|warped|mapped|projected|interpolated|transformed)\b|\b(?:to|onto|on|from|in|like|of)\b"
)
"""After these a name says what the channel was brought to or made from."""


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


def modality_of(channel: str) -> Modality | None:
    """What a channel's name says, if it says it.

    What it was registered to, or made from, is not what it is; a name of two modalities says neither.

    >>> modality_of("T2-weighted")
    'mri'
    >>> modality_of("SUV registered to CT")
    """
    head = _RELATED_TO.split(channel.lower(), maxsplit=1)[0]
    words = re.findall(r"[a-z0-9]+", re.sub(r"\b(ultra|very|low|reduced|standard|full)[ -]dose\b", "", head))
    if any(word in _NEITHER for word in words):
        return None
    ct = any(word in _CT for word in words) or words[:2] == ["computed", "tomography"]
    mri = any(word in _MR or _MR_WEIGHTING.fullmatch(word) for word in words) or words[:2] == ["magnetic", "resonance"]
    if ct == mri:
        return None
    return "ct" if ct else "mri"
