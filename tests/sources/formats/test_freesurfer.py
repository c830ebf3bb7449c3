"""FreeSurfer's subjects."""

import nibabel
import numpy as np

from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of


def test_freesurfer(tmp_path):
    shape, rng = (20, 24, 22), np.random.default_rng(0)
    affine = np.array([[-1.0, 0, 0, 10], [0, 0, 1, -12], [0, -1, 0, 11], [0, 0, 0, 1]])
    labels = np.zeros(shape, np.int32)
    labels[3:6, 8:12, 8:12], labels[14:17, 8:12, 8:12] = 53, 17  # right and left hippocampus: the first axis runs left
    labels[9:11, 9:11, 9:11], labels[0, 0, 0] = 14, 77  # the third ventricle, and an intensity that is left out
    labels[3:5, 3:5, 3:5] = 2024
    mri = tmp_path / "bert" / "mri"
    mri.mkdir(parents=True)
    nibabel.save(nibabel.MGHImage(rng.integers(1, 200, shape).astype(np.uint8), affine), mri / "orig.mgz")
    nibabel.save(nibabel.MGHImage(labels, affine), mri / "aparc+aseg.mgz")
    for place in (tmp_path, tmp_path / "bert"):
        source = open_source(f"freesurfer:{place}", keep_names=True)
        (case,) = source.cases()
        assert (case.subject, case.modality) == ("bert", "mri")
        volume = source.read(case)
        found = {name for value, name in volume.names.items() if (volume.labels == value).any()}
        assert found == {"hippocampus_right", "hippocampus_left", "third_ventricle", "frontal_cortex_right"}
        number = {name: value for value, name in volume.names.items()}
        right, left = (np.argwhere(volume.labels == number[f"hippocampus_{side}"])[:, 0] for side in ("right", "left"))
        assert right.min() > left.max()  # the first index grows toward the patient's right
        assert volume.labels[tuple(np.argwhere(volume.labels)[0])] in volume.names
        assert volume.ignored == ()
        assert remarks_of(source) == ()
    assert [case.subject for case in open_source(f"auto:{tmp_path}", keep_names=True).cases()] == ["bert"]
    source = open_source(
        f"freesurfer:{tmp_path}", ignore_labels=["Third ventricle", "hippocampus_left", "amygdala_left"]
    )
    (case,) = source.cases()
    volume = source.read(case)
    found = {name for value, name in volume.names.items() if (volume.labels == value).any()}
    assert found == {"hippocampus_right", "frontal_cortex_right"}
    assert volume.ignored == ("hippocampus_left", "third_ventricle")
    assert "third_ventricle" in remarks_of(source)[0]
