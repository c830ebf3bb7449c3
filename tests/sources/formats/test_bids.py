"""BIDS with segmentations as derivatives."""

import numpy as np
import pytest

from dataset_builder.core.errors import DimensionError, SourceError
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import write_nifti
from tests.helpers.scan_files import KEPT, flipped, same


def test_bids_with_an_inherited_table(tmp_path, body, expected):
    image, labels, affine = body
    raw = tmp_path / "sub-01" / "ses-1" / "anat"
    write_nifti(raw / "sub-01_ses-1_T1w.nii.gz", image, affine)
    write_nifti(raw / "sub-01_ses-1_FLAIR.nii.gz", image // 2, affine)
    derived = tmp_path / "derivatives" / "seg" / "sub-01" / "ses-1" / "anat"
    write_nifti(derived / "sub-01_ses-1_space-T1w_desc-organs_dseg.nii.gz", *flipped(labels, affine, 2))
    rows = [f"{value}\t{name}\n" for value, name in enumerate(("Background", *KEPT))]
    (tmp_path / "derivatives" / "seg" / "desc-organs_dseg.tsv").write_text("index\tname\n" + "".join(rows))
    (tmp_path / "dataset_description.json").write_text("{}")
    source = open_source(f"bids:{tmp_path}", keep_names=True)
    assert same(source, expected, "mri").subject == "sub-01_ses-1"
    same(open_source(f"auto:{tmp_path}"), expected, "mri")
    (tmp_path / "derivatives" / "seg" / "desc-organs_dseg.tsv").unlink()
    with pytest.raises(SourceError, match="no table of names"):
        list(open_source(f"bids:{tmp_path}").cases())


def test_bids_in_another_space_needs_an_image_in_it(tmp_path, body):
    image, labels, affine = body
    write_nifti(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz", image, affine)
    derived = tmp_path / "derivatives" / "p" / "sub-1" / "anat"
    write_nifti(derived / "sub-1_space-MNI_dseg.nii.gz", labels, affine)
    (derived / "sub-1_space-MNI_dseg.tsv").write_text("index\tname\n1\tliver\n")
    with pytest.raises(SourceError, match="is in its space"):
        list(open_source(f"bids:{tmp_path}").cases())


def test_a_channel_of_a_file_with_several_is_chosen_by_number_in_bids_too(tmp_path, body, expected):
    image, labels, affine = body
    write_nifti(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz", np.stack([image * 0, image], axis=-1), affine)
    derived = tmp_path / "derivatives" / "p" / "sub-1" / "anat"
    write_nifti(derived / "sub-1_dseg.nii.gz", labels, affine)
    rows = "".join(f"{value}\t{name}\n" for value, name in enumerate(KEPT, 1))
    (derived / "sub-1_dseg.tsv").write_text(f"index\tname\n{rows}")
    same(open_source(f"bids:{tmp_path}", channel="1"), expected, "mri")
    source = open_source(f"bids:{tmp_path}")
    (case,) = source.cases()
    with pytest.raises(DimensionError):
        source.read(case)
