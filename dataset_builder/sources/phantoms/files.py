"""Phantoms as files, in the layouts in which real data sets come: for tests, and to try a pipeline without scans."""

import csv
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np

from dataset_builder.sources.phantoms.body import Phantom
from dataset_builder.vocabulary import label_map


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write one NIfTI file, its affine in both sform and qform; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_totalsegmentator(folder: Path, subjects: Mapping[str, Phantom]) -> None:
    """Write phantoms as the public TotalSegmentator data: one folder per subject, one mask per structure, ``meta.csv``.

    Args:
        folder: made if absent.
        subjects: phantom by the name of its folder (``s0001``); the image is ``ct.nii.gz`` or ``mri.nii.gz``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, phantom in subjects.items():
        image = "ct.nii.gz" if phantom.modality == "ct" else "mri.nii.gz"
        write_nifti(folder / name / image, phantom.image, phantom.affine)
        for value, structure in phantom.names.items():
            mask = (phantom.labels == value).astype(np.uint8)
            write_nifti(folder / name / "segmentations" / f"{structure}.nii.gz", mask, phantom.affine)
    with (folder / "meta.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, delimiter=";")
        table.writerow(["image_id", "age", "gender", "institute", "study_type", "split"])
        table.writerows([name, "", "", "", "phantom", "train"] for name in subjects)


def write_nnunet(folder: Path, subjects: Mapping[str, Phantom]) -> None:
    """Write phantoms as an nnU-Net data set: ``imagesTr/``, ``labelsTr/``, ``dataset.json``.

    Args:
        folder: made if absent.
        subjects: phantom by case identifier; all of one modality and with the same label values.

    Raises:
        ValueError: if there is none, or the subjects differ in modality or in what their values mean.
    """
    if not subjects:
        raise ValueError("subjects must hold at least one phantom")
    first = next(iter(subjects.values()))
    for name, phantom in subjects.items():
        if (phantom.modality, phantom.names) != (first.modality, first.names):
            raise ValueError(f"subject {name!r} differs from the others in its modality or labels")
        write_nifti(folder / "imagesTr" / f"{name}_0000.nii.gz", phantom.image, phantom.affine)
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", phantom.labels, phantom.affine)
    description = {
        "channel_names": {"0": "CT" if first.modality == "ct" else "MRI"},
        "labels": {"background": 0, **{structure: value for value, structure in first.names.items()}},
        "numTraining": len(subjects),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def write_oaizib_cm(folder: Path, subjects: Mapping[str, Phantom], *, part: str = "Tr", zipped: bool = False) -> None:
    """Write knees as OAIZIB-CM is published: images, labels, and which knee each is. Other tissues are unlabelled.

    Args:
        folder: made if absent; knees that are in it already stay, and stay in ``kneeSideInfo.csv``.
        subjects: knee by its name, such as ``oaizib_001``.
        part: ``Tr`` for training, ``Ts`` for test.
        zipped: pack the folder of images and the folder of labels, as on the Hub.
    """
    values = {name: value for value, name in label_map("oaizib_cm").items()}
    images, labels = folder / f"images{part}", folder / f"labels{part}"
    for subject, phantom in subjects.items():
        lookup = np.zeros(256, np.uint8)
        for value, name in phantom.names.items():
            lookup[value] = values.get(name, 0)
        write_nifti(images / f"{subject}_0000.nii.gz", phantom.image, phantom.affine)
        write_nifti(labels / f"{subject}.nii.gz", lookup[phantom.labels], phantom.affine)
    for place in (images, labels) if zipped else ():
        with zipfile.ZipFile(folder / f"{place.name}.zip", "w") as archive:
            for path in sorted(place.iterdir()):
                archive.write(path, f"{place.name}/{path.name}")
        shutil.rmtree(place)
    with (folder / "kneeSideInfo.csv").open("a", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows((f"{subject}.nii.gz", phantom.side) for subject, phantom in subjects.items())
