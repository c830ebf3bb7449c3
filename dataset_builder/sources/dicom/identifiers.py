"""What in a DICOM file says who the patient is, and its removal from everything that is said.

No path below the user's folder is ever shown, since many archives name files and folders by patient, date or UID: a
series is identified by its pseudonym, and the local file of pseudonyms lists which folder that is.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dataset_builder.core.errors import MISGroundError

IDENTIFYING = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "AcquisitionDateTime",
    "InstanceCreationDate",
    "StructureSetDate",
    "StudyTime",
    "SeriesTime",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "PhysiciansOfRecord",
    "ContentCreatorName",
    "ReviewerName",
)
"""Attributes whose values are never shown."""

_NAMES = re.compile(r"Name|Physician")
_UID = re.compile(r"\b(?:\d+(?:\.\d+){4,}|2\.25\.\d+)\b")
_DATE = re.compile(r"\b(?:19|20)\d{2}[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12]\d|3[01])\b")
REMOVED = "[removed]"


def identifiers_in(dataset: Any) -> frozenset[str]:
    """What in this file identifies the patient: whole values, and the parts of names; nothing shorter than three."""
    found: set[str] = set()
    for keyword in IDENTIFYING:
        value = dataset.get(keyword)
        values = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        for text in (str(one).strip() for one in values if one is not None):
            found.add(text)
            if _NAMES.search(keyword):
                found.update(re.split(r"[\^=,\s]+", text))
    return frozenset(text for text in found if len(text) > 2)


def without_identifiers(text: str, identifiers: frozenset[str]) -> str:
    """The text without these, and without anything that looks like a UID or a date.

    >>> without_identifiers("Liver DOE 20240131", frozenset({"Doe"}))
    'Liver [removed] [removed]'
    """
    for identifier in sorted(identifiers, key=len, reverse=True):
        # As a word: "Ann" is not to be taken out of "pancreas channel".
        text = re.sub(rf"(?<![^\W_]){re.escape(identifier)}(?![^\W_])", REMOVED, text, flags=re.IGNORECASE)
    return _DATE.sub(REMOVED, _UID.sub(REMOVED, text))


def cleaned(error: MISGroundError, identifiers: frozenset[str], place: str) -> MISGroundError:
    """The same error without identifiers.

    Args:
        place: shown instead of the file.
    """
    problem, remedy = (without_identifiers(text, identifiers) for text in (error.problem, error.remedy))
    value = None if error.value is None else without_identifiers(str(error.value), identifiers)
    return type(error)(problem, file=place, value=value, remedy=remedy)


@contextmanager
def unheard() -> Iterator[None]:
    """Pydicom's warnings and log lines show values of the file, such as dates and UIDs: they are not let out."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom", "pylibjpeg", "libjpeg", "openjpeg")]
    before = [logger.disabled for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled
