import numpy as np
import pytest

from dataset_builder.core.errors import EmptyLabelsError, SourceError
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import store_as, torso, write_totalsegmentator
from dataset_builder.vocabulary import label_map


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An MR in the public layout, stored as sagittal slices, and the same body in RAS+; a subject with empty masks."""
    folder = tmp_path_factory.mktemp("public")
    body = torso(3, "mri", spacing=9.0, coverage="abdomen")
    empty = torso(4, "mri", spacing=30.0, coverage="abdomen")
    empty.labels[:] = 0
    write_totalsegmentator(folder, {"s0001": store_as(body, "PIR"), "s0002": empty})
    return folder, body


def test_masks_are_found_under_their_names(written):
    folder, body = written
    source = open_source(f"totalsegmentator_mri:{folder}", keep_names=True)
    case = next(iter(source.cases()))
    assert (case.source, case.subject, case.modality) == ("totalsegmentator_mri", "s0001", "mri")
    assert case.paths[0] == folder / "s0001" / "mri.nii.gz"
    volume = source.read(case)
    assert volume.modality == "mri"
    assert volume.stored_axes == "PIR"
    assert set(volume.names.values()) <= set(label_map("totalsegmentator_mri").values())
    assert {"vertebrae", "lung_left", "liver"} <= set(volume.names.values())
    for value, name in volume.names.items():
        assert np.array_equal(volume.labels == value, body.labels == body.value(name)), name


def test_a_subject_with_empty_masks_only_is_refused(written):
    source = open_source(f"totalsegmentator_mri:{written[0]}", keep_names=True)
    _, empty = source.cases()
    with pytest.raises(EmptyLabelsError):
        source.read(empty)


def test_the_ct_source_does_not_take_mr(written):
    source = open_source(f"totalsegmentator:{written[0]}", keep_names=True)
    assert all(not case.paths[0].exists() for case in source.cases())


def test_it_names_its_own_data(written):
    ct, mr = (
        open_source(f"{name}:{written[0]}", keep_names=True) for name in ("totalsegmentator", "totalsegmentator_mri")
    )
    assert (mr.archive.licence, mr.modality) == ("CC-BY-NC-SA-2.0", "mri")
    assert "MRI" in mr.archive.citation
    assert ct.archive.url != mr.archive.url
    with pytest.raises(SourceError):
        open_source("totalsegmentator_mri")
