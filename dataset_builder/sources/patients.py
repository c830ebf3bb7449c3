"""Whose scan a case is, as a user's own table says: several scans of one person are neither independent nor apart."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import SourceError


def patients_of(table: Mapping[str, Any], file: Path, cases: Collection[str] = ()) -> dict[str, str]:
    """The patient of each case that the key ``patients`` names; empty if there is no such key.

    Args:
        table: of a pairs file or a ``dataset.json``.
        file: where it is from.
        cases: that there are; none if they are not known yet.

    Raises:
        SourceError: if it is no mapping of cases to names, or names a case that is not there.
    """
    patients = table.get("patients") or {}
    remedy = f"Write patients: {{CASE: PATIENT}} in {file.name}; cases that are left out count as a patient each."
    if not isinstance(patients, Mapping):
        raise SourceError("'patients' does not map cases to patients.", file=file, value=patients, remedy=remedy)
    named = {case: who for case, who in patients.items() if isinstance(who, str | int) and not isinstance(who, bool)}
    wrong = [str(case) for case in patients if not str(named.get(case, "")).strip()]
    if wrong:
        raise SourceError(
            "'patients' does not give every case a name or number.",
            file=file,
            value=", ".join(wrong[:5]),
            remedy=remedy,
        )
    unknown = [str(case) for case in patients if cases and str(case) not in cases]
    if unknown:
        raise SourceError(
            "'patients' names cases that are not there.", file=file, value=", ".join(unknown[:5]), remedy=remedy
        )
    return {str(case): str(who).strip() for case, who in named.items()}
