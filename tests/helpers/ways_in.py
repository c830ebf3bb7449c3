"""The same scan in every format and layout that is read: what a matrix of ways and orientations is made of.

Other programs' libraries write the files: pydicom and highdicom, SimpleITK, nibabel.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - its usual name
from nibabel.nifti1 import Nifti1Extension

from dataset_builder.imaging.scan_files import ending_of
from dataset_builder.sources.phantoms import write_nifti
from dataset_builder.vocabulary import label_map
from tests.helpers import dicom_files as dicom


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan as arrays, stored in any order.

    Args:
        image, labels: [I, J, K]; each name has a voxel.
        names: by label value.
        affine: [4, 4], index -> world in RAS+ mm.
        modality: ``CT`` or ``MR``.
        name: of the case, in the names of its files and folders.
    """

    image: npt.NDArray
    labels: npt.NDArray
    names: dict[int, str]
    affine: npt.NDArray[np.float64]
    modality: str
    name: str = "one"

    def flipped(self, *axes: int) -> "Scan":
        """The same scan with these axes stored the other way round."""
        affine = self.affine.copy()
        for axis in axes:
            affine[:3, 3] += affine[:3, axis] * (self.image.shape[axis] - 1)
            affine[:3, axis] *= -1
        return replace(self, image=np.flip(self.image, axes), labels=np.flip(self.labels, axes), affine=affine)

    def permuted(self, *axes: int) -> "Scan":
        """The same scan with its axes stored in another order."""
        return replace(
            self,
            image=self.image.transpose(axes),
            labels=self.labels.transpose(axes),
            affine=self.affine[:, [*axes, 3]],
        )

    def turned(self, about_superior: float, about_right: float) -> "Scan":
        """Another scan: the same arrays, lying at these angles in degrees."""
        a, b = np.radians((about_superior, about_right))
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
        tilt = np.eye(4)
        tilt[1:3, 1:3] = [[np.cos(b), -np.sin(b)], [np.sin(b), np.cos(b)]]
        return replace(self, affine=turn @ tilt @ self.affine)


STORED: dict[str, Callable[[Scan], Scan]] = {
    "straight": lambda scan: scan,
    "LPS": lambda scan: scan.flipped(0, 1),
    "slices reversed": lambda scan: scan.flipped(2),
    "sagittal slices": lambda scan: scan.permuted(1, 2, 0).flipped(1),
    "oblique": lambda scan: scan.turned(12, 7),
    "oblique, LPS, slices reversed": lambda scan: scan.turned(12, 7).flipped(0, 1, 2),
}
"""Orders of storage, by name; those called oblique lie elsewhere and are compared with each other."""


# ------------------------------------------------------------------------------------------------------- pieces of ways


def itk(array: npt.NDArray, affine: npt.NDArray, vector: bool = False) -> sitk.Image:
    """An array with its affine in RAS+ as an image of SimpleITK."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    order = (2, 1, 0, 3)[: array.ndim]
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(order)), isVector=vector)
    image.SetSpacing(steps.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    return image


def save(path: Path, array: npt.NDArray, affine: npt.NDArray, **keys: object) -> None:
    """Write an array in the format of the file's ending; ``keys`` go into a header of NRRD."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = ending_of(path.name).lower().removeprefix(".")
    if ending in ("nii", "nii.gz"):
        write_nifti(path, np.ascontiguousarray(array), affine)
    elif ending in ("mgz", "mgh"):
        kind = np.int16 if array.dtype == np.int16 else np.int32
        nibabel.save(nibabel.MGHImage(array.astype(kind), affine), path)
    else:
        image = itk(array, affine)
        for key, value in keys.items():
            image.SetMetaData(key, str(value))
        sitk.WriteImage(image, str(path), useCompression=True)


def _box(labels: npt.NDArray, affine: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """The part of labels that is not empty, and its affine."""
    places = np.argwhere(labels)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    placed = affine.copy()
    placed[:3, 3] = (affine @ [*low, 1])[:3]
    return labels[tuple(map(slice, low, high))], placed


def _dicom(folder: Path, scan: Scan, kind: str) -> str:
    images = dicom.series(scan.image, scan.affine, scan.modality)
    if kind == "RTSTRUCT":
        labels = dicom.structure_set(images, scan.labels, scan.affine, scan.names)
    else:
        segments = [dicom.segment(number, name) for number, name in enumerate(scan.names.values(), 1)]
        labels = dicom.segmentation(
            images, scan.labels, segments, "FRACTIONAL" if kind == "FRACTIONAL" else "BINARY", [*scan.names]
        )
    shown = [dicom.multiframe(images)] if kind == "multi-frame" else images
    dicom.save(shown, folder / "images")
    dicom.save([labels], folder / "labels")
    return f"dicom:{folder}"


def _nnunet(folder: Path, scan: Scan, ending: str) -> str:
    save(folder / "imagesTr" / f"{scan.name}_0000.{ending}", scan.image, scan.affine)
    save(folder / "labelsTr" / f"{scan.name}.{ending}", scan.labels, scan.affine)
    labels = {"background": 0, **{name: value for value, name in scan.names.items()}}
    channel = "CT" if scan.modality == "CT" else "T1"
    table = {"channel_names": {"0": channel}, "labels": labels, "file_ending": f".{ending}"}
    (folder / "dataset.json").write_text(json.dumps(table))
    return f"nnunet:{folder}"


def _slicer(folder: Path, scan: Scan, layers: int = 1) -> str:
    save(folder / scan.name / f"{scan.modality}.nrrd", scan.image, scan.affine)
    part, placed = _box(scan.labels, scan.affine)
    keys: dict[str, object] = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    stacked = np.zeros((*part.shape, layers), np.uint8)
    for number, (value, name) in enumerate(scan.names.items()):
        keys |= {f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name.replace("_", " ")}
        keys |= {f"Segment{number}_LabelValue": 1 + number // layers, f"Segment{number}_Layer": number % layers}
        stacked[..., number % layers][part == value] = 1 + number // layers
    image = itk(stacked, placed, vector=True) if layers > 1 else itk(stacked[..., 0], placed)
    for key, text in keys.items():
        image.SetMetaData(key, str(text))
    sitk.WriteImage(image, str(folder / scan.name / "Segmentation.seg.nrrd"), useCompression=True)
    return f"slicer:{folder}"


def _masks(folder: Path, scan: Scan) -> str:
    save(folder / scan.name / f"{scan.modality}.nii.gz", scan.image, scan.affine)
    for value, name in scan.names.items():
        mask = (scan.labels == value).astype(np.uint8)
        save(folder / scan.name / "segmentations" / f"{name}.nii.gz", mask, scan.affine)
    return _program(folder, scan)


def _multi_label(folder: Path, scan: Scan) -> str:
    save(folder / scan.name / f"{scan.modality}.nii.gz", scan.image, scan.affine)
    image = nibabel.Nifti1Image(np.ascontiguousarray(scan.labels), scan.affine)
    image.set_sform(scan.affine, 1)
    image.set_qform(scan.affine, 1)
    rows = "".join(f'<Label Key="{value}"><![CDATA[{name}]]></Label>' for value, name in scan.names.items())
    table = f"<?xml version='1.0'?><CaretExtension><VolumeInformation><LabelTable>{rows}</LabelTable>"
    image.header.extensions.append(Nifti1Extension(0, f"{table}</VolumeInformation></CaretExtension>".encode()))
    nibabel.save(image, folder / scan.name / "seg.nii.gz")
    return _program(folder, scan)


def _program(folder: Path, scan: Scan) -> str:
    return f"totalsegmentator{'' if scan.modality == 'CT' else '_mri'}:{folder}"


def _freesurfer(folder: Path, scan: Scan) -> str:
    values = {name: value for value, name in reversed(label_map("freesurfer_aparc_aseg").items())}
    lookup = np.zeros(256, np.int32)
    for value, name in scan.names.items():
        lookup[value] = values[name]
    save(folder / scan.name / "mri" / "orig.mgz", scan.image, scan.affine)
    save(folder / scan.name / "mri" / "aparc+aseg.mgz", lookup[scan.labels], scan.affine)
    return f"freesurfer:{folder}"


def _bids(folder: Path, scan: Scan) -> str:
    suffix = "ct" if scan.modality == "CT" else "T1w"
    save(folder / f"sub-{scan.name}" / "anat" / f"sub-{scan.name}_{suffix}.nii.gz", scan.image, scan.affine)
    derived = folder / "derivatives" / "model" / f"sub-{scan.name}" / "anat"
    save(derived / f"sub-{scan.name}_desc-organs_dseg.nii.gz", scan.labels, scan.affine)
    rows = "".join(f"{value}\t{name}\n" for value, name in scan.names.items())
    (derived / f"sub-{scan.name}_desc-organs_dseg.tsv").write_text(f"index\tname\n{rows}")
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return f"bids:{folder}"


def _pairs(folder: Path, scan: Scan) -> str:
    save(folder / scan.name / "image.nrrd", scan.image, scan.affine)
    save(folder / scan.name / "labels.nii.gz", scan.labels, scan.affine)
    (folder / "names.json").write_text(json.dumps(scan.names))
    kind = "ct" if scan.modality == "CT" else "mri"
    text = f"images: '{{case}}/image.nrrd'\nlabels: '{{case}}/labels.nii.gz'\nmodality: {kind}\nnames: names.json\n"
    (folder / "pairs.yaml").write_text(text)
    return f"pairs:{folder / 'pairs.yaml'}"


WAYS: dict[str, Callable[[Path, Scan], str]] = {
    "nnunet .nii.gz": lambda folder, scan: _nnunet(folder, scan, "nii.gz"),
    "nnunet .nrrd": lambda folder, scan: _nnunet(folder, scan, "nrrd"),
    "nnunet .mha": lambda folder, scan: _nnunet(folder, scan, "mha"),
    "nnunet .mgz": lambda folder, scan: _nnunet(folder, scan, "mgz"),
    "dicom SEG binary": lambda folder, scan: _dicom(folder, scan, "BINARY"),
    "dicom SEG fractional": lambda folder, scan: _dicom(folder, scan, "FRACTIONAL"),
    "dicom RTSTRUCT": lambda folder, scan: _dicom(folder, scan, "RTSTRUCT"),
    "dicom multi-frame": lambda folder, scan: _dicom(folder, scan, "multi-frame"),
    "slicer .seg.nrrd": _slicer,
    "slicer .seg.nrrd, layers": lambda folder, scan: _slicer(folder, scan, layers=3),
    "totalsegmentator masks": _masks,
    "totalsegmentator --ml": _multi_label,
    "freesurfer": _freesurfer,
    "bids": _bids,
    "pairs": _pairs,
}
"""What writes a scan into a folder and returns what ``--source`` takes, by name; FreeSurfer's holds brains only."""
