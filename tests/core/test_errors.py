import inspect
import pickle
import re
from pathlib import Path

import pytest

from dataset_builder.core import errors
from dataset_builder.core.errors import CaseError, MISGroundError, SourceError, SwappedSidesError, UnreadableError

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MISGroundError)]
CASES = [kind for kind in KINDS if issubclass(kind, CaseError) and kind is not CaseError]


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "It is broken."),
        ({"file": Path("/data/ct.nii.gz")}, "It is broken. [file: /data/ct.nii.gz]"),
        ({"value": 31.5}, "It is broken. [found: 31.5]"),
        ({"value": 0}, "It is broken. [found: 0]"),  # zero is a value, not "none"
        ({"value": ""}, "It is broken. [found: ]"),
        ({"remedy": "Mend it."}, "It is broken. Remedy: Mend it."),
        (
            {"file": "ct.nii.gz", "value": (3, 4), "remedy": "Mend it."},
            "It is broken. [file: ct.nii.gz] [found: (3, 4)] Remedy: Mend it.",
        ),
    ],
)
def test_an_error_says_problem_file_value_and_remedy(details, text):
    assert str(MISGroundError("It is broken.", **details)) == text


def test_the_parts_can_be_asked_for():
    error = SourceError("It is broken.", file=Path("a/b"), value=7, remedy="Mend it.")
    assert (error.problem, error.file, error.value, error.remedy) == ("It is broken.", "a/b", 7, "Mend it.")
    bare = SourceError("It is broken.")
    assert (bare.file, bare.value, bare.remedy) == (None, None, "")


def test_details_are_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        SourceError("It is broken.", "ct.nii.gz")


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_between_processes(kind):
    error = kind("It is broken.", file="ct.nii.gz", value=[1, 2], remedy="Mend it.")
    reported = pickle.loads(pickle.dumps(error))
    assert type(reported) is kind
    assert str(reported) == str(error)
    assert (reported.problem, reported.file, reported.value, reported.remedy) == (
        "It is broken.",
        "ct.nii.gz",
        [1, 2],
        "Mend it.",
    )


def test_labels_that_the_vocabulary_lacks_keep_their_names_between_processes():
    error = errors.LabelsNotInVocabularyError("It lacks some.", labels=["plica, left", "livr"], file="dataset.json")
    reported = pickle.loads(pickle.dumps(error))
    assert reported.labels == ("plica, left", "livr")
    assert str(reported) == str(error) == "It lacks some. [file: dataset.json] [found: plica, left, livr]"


def test_every_reason_to_quarantine_a_case_has_a_name_of_its_own():
    reasons = [kind.reason for kind in CASES]
    assert len(reasons) == len(set(reasons)) >= 12
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", reason) for reason in reasons)
    assert CaseError.reason not in reasons


def test_what_is_written_to_the_quarantine_file_stays_named_so():
    assert UnreadableError.reason == "unreadable"
    assert SwappedSidesError.reason == "swapped_sides"
    assert {kind.reason for kind in CASES} >= {
        *("dimensions", "affine", "oblique", "sform_qform_conflict", "shape_mismatch", "affine_mismatch"),
        *("voxel_values", "missing_labels", "unknown_label", "empty_labels"),
    }


def test_only_cases_are_quarantined():
    others = {kind.__name__ for kind in KINDS} - {kind.__name__ for kind in (*CASES, CaseError)}
    assert others >= {"MISGroundError", "SourceError", "FetchError", "BuildError", "DatasetNotFoundError"}
    assert not issubclass(SourceError, CaseError)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_when_it_is_raised(kind):
    assert kind.__doc__
    assert kind.__doc__ != Exception.__doc__
