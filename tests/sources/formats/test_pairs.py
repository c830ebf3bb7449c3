"""Pairs of an image and a label map, in any formats and storage orders."""

import json

import numpy as np
import pytest

from dataset_builder.core.errors import AffineMismatchError, DimensionError, SourceError, UnreadableError
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import write_nifti
from tests.helpers.scan_files import KEPT, flipped, itk, same, save, swapped

PAIRS = "images: '{case}/ct.IMAGE'\nlabels: '{case}/seg.LABELS'\nmodality: CT\nnames: names.json\n"


@pytest.mark.parametrize(
    ("image_ending", "label_ending", "turn"),
    [
        ("nrrd", "nii.gz", lambda a, f: flipped(a, f, 0)),
        ("mha", "nrrd", lambda a, f: flipped(*flipped(a, f, 1), 2)),
        ("mhd", "mha", swapped),
        ("NII.GZ", "nrrd", lambda a, f: (a, f)),
    ],
)
def test_pairs_of_any_formats_and_storage_orders(tmp_path, body, expected, image_ending, label_ending, turn):
    image, labels, affine = body
    for name, ending, (array, placed) in (
        ("ct", image_ending, (image, affine)),
        ("seg", label_ending, turn(labels, affine)),
    ):
        path = tmp_path / "anna" / f"{name}.{ending}"
        if "nii" in ending.lower():
            write_nifti(tmp_path / "anna" / "t.nii.gz", np.ascontiguousarray(array), placed)
            (tmp_path / "anna" / "t.nii.gz").rename(path)
        else:
            save(itk(array, placed), path)
    (tmp_path / "names.json").write_text(json.dumps({name: value for value, name in enumerate(KEPT, 1)}))
    text = PAIRS.replace("IMAGE", image_ending).replace("LABELS", label_ending)
    (tmp_path / "pairs.yaml").write_text(text)
    case = same(open_source(f"pairs:{tmp_path / 'pairs.yaml'}"), expected)
    assert case.licence == "unknown"


def test_pairs_says_what_is_wrong(tmp_path, body):
    image, _, affine = body
    write_nifti(tmp_path / "a" / "ct.nii.gz", image, affine)
    file = tmp_path / "pairs.yaml"
    for text, said in (
        ("images: 'ct.nii.gz'\nlabels: '{case}.nii.gz'\nmodality: ct\nnames: {1: liver}", "does not contain {case}"),
        ("images: '{case}/ct.nii.gz'\nlabels: '{case}/s.nii.gz'\nmodality: ct\nnames: {1: liver}", "both an image and"),
        ("images: '{case}/ct.nii.gz'\nmodality: ct\nnames: {1: liver}", "lacks 'labels'"),
        ("images: '{case}/c.nii'\nlabels: '{case}/ct.nii.gz'\nmodality: pet\nnames: {1: liver}", "ct, mri"),
        (
            "images: '{case}/c.nii'\nlabels: '{case}/ct.nii.gz'\nmodality: ct\nnames: {1: livr}",
            "Did you mean livr: liver",
        ),
        ("imges: x", "unknown key"),
    ):
        file.write_text(text)
        with pytest.raises(SourceError, match=said):
            list(open_source(f"pairs:{file}").cases())


def test_labels_of_another_grid_are_refused_with_the_command_that_resamples(tmp_path, body):
    image, labels, affine = body
    coarse = affine.copy()
    coarse[:3, :3] *= 2
    save(itk(image, affine), tmp_path / "a.nrrd")
    save(itk(labels[::2, ::2, ::2], coarse), tmp_path / "a_seg.nrrd")
    names = "{" + ", ".join(f"{value}: {name}" for value, name in enumerate(KEPT, 1)) + "}"
    (tmp_path / "p.yaml").write_text(
        f"images: '{{case}}.nrrd'\nlabels: '{{case}}_seg.nrrd'\nmodality: ct\nnames: {names}"
    )
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(AffineMismatchError, match=r"Resample\(") as caught:
        source.read(case)
    assert "affine" not in caught.value.remedy.lower()


def test_a_channel_of_a_damaged_file_is_refused(tmp_path, body):
    image, labels, affine = body
    write_nifti(tmp_path / "a" / "ct.nii.gz", np.stack([image, image * 0], axis=-1), affine)
    write_nifti(tmp_path / "a" / "seg.nii.gz", labels, affine)
    names = "{" + ", ".join(f"{value}: {name}" for value, name in enumerate(KEPT, 1)) + "}"
    text = f"images: '{{case}}/ct.nii.gz'\nlabels: '{{case}}/seg.nii.gz'\nmodality: ct\nnames: {names}\nchannel: 0\n"
    (tmp_path / "p.yaml").write_text(text)
    content = bytearray((tmp_path / "a" / "ct.nii.gz").read_bytes())
    content[-6] ^= 1  # of the checksum, which stands behind the channel that is read
    (tmp_path / "a" / "ct.nii.gz").write_bytes(content)
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(UnreadableError):
        source.read(case)


def test_a_channel_is_chosen(tmp_path, body, expected):
    image, labels, affine = body
    write_nifti(tmp_path / "a" / "ct.nii.gz", np.stack([image * 0, image], axis=-1), affine)
    write_nifti(tmp_path / "a" / "seg.nii.gz", labels, affine)
    names = "{" + ", ".join(f"{value}: {name}" for value, name in enumerate(KEPT, 1)) + "}"
    text = f"images: '{{case}}/ct.nii.gz'\nlabels: '{{case}}/seg.nii.gz'\nmodality: ct\nnames: {names}\n"
    (tmp_path / "p.yaml").write_text(text + "channel: 1")
    same(open_source(f"pairs:{tmp_path / 'p.yaml'}"), expected)
    (tmp_path / "p.yaml").write_text(text + "channel: 2")
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(DimensionError, match="2 channels"):
        source.read(case)
