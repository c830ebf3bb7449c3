"""The same scan through each format and layout: the same voxels under the same names."""

import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.core.errors import (
    AffineError,
    AffineMismatchError,
    CaseError,
    DimensionError,
    LabelConflictError,
    SourceError,
    UnknownLabelError,
    UnreadableError,
)
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources import open_source
from dataset_builder.sources.base import remarks_of
from dataset_builder.sources.phantoms import torso, write_nifti
from dataset_builder.vocabulary import structures

KEPT = ("liver", "spleen", "kidney_right", "kidney_left", "aorta", "stomach")


@pytest.fixture(scope="module")
def body():
    """A torso with six structures, numbered from 1."""
    phantom = torso(1, spacing=10.0, coverage="abdomen")
    labels = np.zeros(phantom.labels.shape, np.uint8)
    of_name = {name: value for value, name in phantom.names.items()}
    for number, name in enumerate(KEPT, 1):
        labels[phantom.labels == of_name[name]] = number
    return phantom.image, labels, np.asarray(phantom.affine, float)


@pytest.fixture(scope="module")
def expected(body):
    return by_name(volume(*body))


def volume(image, labels, affine):
    names = dict(enumerate(KEPT, 1))
    return volume_from_arrays(image, labels, names, affine, source="x", subject="x", modality="ct", licence="x")


def by_name(volume):
    return volume.image, {name: volume.labels == value for value, name in volume.names.items()}


def same(source, expected, modality="ct"):
    (case,) = source.cases()
    assert case.modality == modality
    image, masks = by_name(source.read(case))
    np.testing.assert_array_equal(image, expected[0])
    assert masks.keys() == expected[1].keys()
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, expected[1][name], err_msg=name)
    return case


def itk(array, affine):
    """An array in RAS+ as an image of SimpleITK."""
    lps = np.diag([-1.0, -1, 1, 1]) @ affine
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    image.SetSpacing(steps.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / steps).ravel().tolist())
    return image


def save(image, path, **keys):
    path.parent.mkdir(parents=True, exist_ok=True)
    for key, value in keys.items():
        image.SetMetaData(key, str(value))
    sitk.WriteImage(image, str(path), useCompression=True)


def flipped(array, affine, axis):
    """The same voxels stored the other way round."""
    turned = affine.copy()
    turned[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
    turned[:3, axis] *= -1
    return np.flip(array, axis), turned


def swapped(array, affine):
    """The same voxels with two axes exchanged."""
    return np.swapaxes(array, 0, 2), affine[:, [2, 1, 0, 3]]


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


def segmentation(body, path, *, margin=0, layers=False):
    """A segmentation as 3D Slicer saves it: in a box around the segments, overlapping ones in layers."""
    _, labels, affine = body
    low = np.maximum(np.argwhere(labels).min(0) - margin, 0)
    high = np.argwhere(labels).max(0) + 1 + margin
    part = labels[tuple(map(slice, low, high))]
    placed = affine.copy()
    placed[:3, 3] = (affine @ [*low, 1])[:3]
    keys = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    for number, name in enumerate(KEPT):
        keys |= {f"Segment{number}_Name": name.replace("_", " "), f"Segment{number}_ID": f"Segment_{number}"}
        keys |= {f"Segment{number}_LabelValue": 1 + number // 2 if layers else number + 1}
        keys |= {f"Segment{number}_Layer": number % 2 if layers else 0}
    if layers:
        stacked = np.zeros((*part.shape, 2), np.uint8)
        for number in range(len(KEPT)):
            stacked[..., number % 2][part == number + 1] = 1 + number // 2
        image = sitk.GetImageFromArray(np.ascontiguousarray(stacked.transpose(2, 1, 0, 3)), isVector=True)
        image.CopyInformation(itk(part, placed))
    else:
        image = itk(part, placed)
    save(image, path, **keys)


@pytest.mark.parametrize("layers", [False, True])
def test_slicer(tmp_path, body, expected, layers):
    save(itk(body[0], body[2]), tmp_path / "case7" / "Vol.nrrd")
    segmentation(body, tmp_path / "case7" / "Segmentation.seg.nrrd", layers=layers)
    source = open_source(f"slicer:{tmp_path}", keep_names=True)
    assert same(source, expected).subject == "case7"
    assert [case.subject for case in open_source(f"auto:{tmp_path}", keep_names=True).cases()] == ["case7"]


def test_slicer_labels_that_can_be_left_out(tmp_path, body):
    save(itk(body[0], body[2]), tmp_path / "scan.nrrd")
    segmentation(body, tmp_path / "scan.seg.nrrd")
    source = open_source(f"slicer:{tmp_path}", ignore_labels=["Aorta", "stomach"])
    (case,) = source.cases()
    assert sorted(source.read(case).names.values()) == sorted(set(KEPT) - {"aorta", "stomach"})
    assert source.read(case).ignored == ("aorta", "stomach")


SEGMENTS = {"kidney": (1, 0, "kidney right"), "whole": (1, 1, "liver"), "target": (1, 2, "PTV")}


def overlapping(tmp_path, body, **changes):
    """A kidney, a liver that covers it in the next layer, and a target that covers everything in the last one."""
    image, labels, affine = body
    save(itk(image, affine), tmp_path / "one" / "scan.nrrd")
    keys, stacked = {}, np.zeros((*labels.shape, 3), np.uint8)
    for number, (value, layer, name) in enumerate(SEGMENTS.values()):
        keys |= {f"Segment{number}_ID": f"Segment_{number}", f"Segment{number}_Name": name}
        keys |= {f"Segment{number}_LabelValue": value, f"Segment{number}_Layer": layer}
    stacked[10:14, 10:14, 4:8, 0], stacked[12:20, 10:20, 4:8, 1], stacked[..., 2] = 1, 1, 1
    segmentation = sitk.GetImageFromArray(np.ascontiguousarray(stacked.transpose(2, 1, 0, 3)), isVector=True)
    segmentation.CopyInformation(itk(labels, affine))
    save(segmentation, tmp_path / "one" / "scan.seg.nrrd", **(keys | changes))
    return open_source(f"slicer:{tmp_path}", keep_names=True, ignore_labels=["PTV"])


def test_slicer_segments_that_overlap_follow_the_rule_of_masks_and_one_left_out_covers_nothing(tmp_path, body):
    source = overlapping(tmp_path, body)
    (case,) = source.cases()
    volume = source.read(case)
    counts = {name: int((volume.labels == value).sum()) for value, name in volume.names.items()}
    # kidney_right comes before liver by name, so that the liver lies on it, as it would as two masks
    assert counts == {"kidney_right": 2 * 4 * 4, "liver": 8 * 10 * 4}
    assert volume.overlap_voxels == 2 * 4 * 4
    assert volume.ignored == ("ptv",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Segment1_Layer": "99999999999"}, "no layer or no label value"),
        ({"Segment1_Layer": "-1"}, "no layer or no label value"),
        ({"Segment0_LabelValue": "one"}, "no layer or no label value"),
        ({"Segment0_LabelValue": "0"}, "no layer or no label value"),
        ({"Segment1_Layer": "0"}, "same label value in the same layer"),
    ],
)
def test_slicer_headers_that_contradict_themselves_are_refused(tmp_path, body, changes, said):
    with pytest.raises(SourceError, match=said):  # the only case; of several the others would be read
        overlapping(tmp_path, body, **changes)


def test_slicer_voxels_of_no_segment_are_refused(tmp_path, body):
    source = overlapping(tmp_path, body, Segment1_LabelValue=7)
    (case,) = source.cases()
    with pytest.raises(UnknownLabelError):
        source.read(case)


def test_a_damaged_segmentation_among_sound_ones_costs_one_case(tmp_path, body, expected):
    for name in ("a", "b", "c"):
        save(itk(body[0], body[2]), tmp_path / name / "Vol.nrrd")
        segmentation(body, tmp_path / name / "Segmentation.seg.nrrd")
    (tmp_path / "a" / "Segmentation.seg.nrrd").write_bytes(b"NRRD0004\n# nothing\n")
    save(itk(body[0], body[2]), tmp_path / "c" / "Other.nrrd")  # two images: which one?
    source = open_source(f"slicer:{tmp_path}", keep_names=True)
    first, second, third = source.cases()
    with pytest.raises(UnreadableError):
        source.read(first)
    assert by_name(source.read(second))[1].keys() == expected[1].keys()
    with pytest.raises(LabelConflictError, match="unclear which image"):
        source.read(third)


@pytest.mark.parametrize("axes", ["2553", "3\nNDims = 3", "34294967296BinaryData", "-1", "0"])
def test_a_metaimage_header_that_ends_itk_s_process_is_refused(tmp_path, body, axes):
    image, labels, affine = body
    save(itk(labels, affine), tmp_path / "a_seg.mha")
    save(itk(image, affine), tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes().replace(b"NDims = 3", f"NDims = {axes}".encode(), 1)
    (tmp_path / "a.mha").write_bytes(content)
    (tmp_path / "p.yaml").write_text("images: '{case}.mha'\nlabels: '{case}_seg.mha'\nmodality: ct\nnames: {1: liver}")
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(UnreadableError, match=r"header of the MetaImage.*IMAGE of"):
        source.read(case)


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


@pytest.mark.parametrize("of", ["image", "labels"])
@pytest.mark.parametrize(
    ("ending", "voxels"), [(".nrrd", ".nrrd"), (".nhdr", ".raw.gz"), (".mha", ".mha"), (".mhd", ".zraw")]
)
def test_compressed_voxels_with_a_wrong_checksum_are_refused(tmp_path, body, of, ending, voxels):
    """ITK reads whatever it could decompress of them."""
    image, labels, affine = body
    for name, values in (("image", image), ("labels", labels)):
        sitk.WriteImage(itk(values, affine), str(tmp_path / f"a_{name}{ending}"), useCompression=True)
    names = ", ".join(f"{value}: {name}" for value, name in enumerate(KEPT, 1))
    (tmp_path / "p.yaml").write_text(
        f"images: '{{case}}_image{ending}'\nlabels: '{{case}}_labels{ending}'\nmodality: ct\nnames: {{{names}}}"
    )
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    source.read(case)
    file = tmp_path / f"a_{of}{voxels}"
    sound = file.read_bytes()
    for at in (-1, -len(sound) // 3):  # of the checksum, of the voxels
        content = bytearray(sound)
        content[at] ^= 4
        file.write_bytes(content)
        with pytest.raises(UnreadableError, match="compressed voxels of the file are damaged"):
            source.read(case)
    file.write_bytes(sound[:-20])
    with pytest.raises(UnreadableError):
        source.read(case)
    file.write_bytes(sound)
    source.read(case)


@pytest.mark.parametrize(
    ("ending", "line", "error"),
    [
        (".mha", "CompressedDataSize = ", "how long the compressed voxels are"),
        (".mha", "ElementSpacing = ", "size of its voxels"),
        (".mha", "Offset = ", "no Offset"),
        (".nrrd", "space origin: ", "no space origin"),
        (".nrrd", "space directions: ", "no space directions"),
    ],
)
def test_a_header_that_lacks_a_line_is_refused(tmp_path, body, ending, line, error):
    image, labels, affine = body
    sitk.WriteImage(itk(image, affine), str(tmp_path / f"a{ending}"), useCompression=True)
    sitk.WriteImage(itk(labels, affine), str(tmp_path / f"a_seg{ending}"), useCompression=True)
    for name in ("a", "a_seg"):
        start, found, rest = (tmp_path / f"{name}{ending}").read_bytes().partition(line.encode())
        assert found
        (tmp_path / f"{name}{ending}").write_bytes(start + rest.partition(b"\n")[2])
    (tmp_path / "p.yaml").write_text(
        f"images: '{{case}}{ending}'\nlabels: '{{case}}_seg{ending}'\nmodality: ct\nnames: {{1: liver}}"
    )
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(CaseError, match=error):
        source.read(case)


@pytest.mark.parametrize(
    ("ending", "found", "made"),
    [
        (".mha", b"TransformMatrix = ", b"TransformMatrix = 1e308 "),  # ITK never returned
        (".mha", b"TransformMatrix = ", b"TransformMatrix = nan "),
        (".mha", b"Offset = ", b"Offset = inf "),
        (".mha", b"ElementSpacing = ", b"ElementSpacing = x "),
        (".mha", b"ElementDataFile = LOCAL", b"ElementDataFile \n LOCAL"),  # ITK ended the process
        (".mha", b"ElementDataFile = LOCAL", b"ElementDataFile = \n LOCAL"),
        (".mha", b"BinaryData = True\n", b"BinaryData = True\nBinaryData = True\n"),
        (".mha", b"DimSize", b"Dim\0Size"),
        (".nrrd", b"space directions: (", b"space directions: (1e308"),
        (".nrrd", b"space directions: (", b"space directions: (nan,"),
        (".nrrd", b"space origin: (", b"space origin: (-inf,"),
    ],
)
def test_headers_that_itk_does_not_survive_are_refused(tmp_path, body, ending, found, made):
    image, labels, affine = body
    sitk.WriteImage(itk(image, affine), str(tmp_path / f"a{ending}"), useCompression=True)
    sitk.WriteImage(itk(labels, affine), str(tmp_path / f"a_seg{ending}"), useCompression=True)
    content = (tmp_path / f"a{ending}").read_bytes()
    assert found in content
    (tmp_path / f"a{ending}").write_bytes(content.replace(found, made, 1))
    (tmp_path / "p.yaml").write_text(
        f"images: '{{case}}{ending}'\nlabels: '{{case}}_seg{ending}'\nmodality: ct\nnames: {{1: liver}}"
    )
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(UnreadableError, match=r"header of the (NRRD|MetaImage) file is damaged"):
        source.read(case)


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


def test_a_header_without_position_is_refused(tmp_path, body):
    image, labels, affine = body
    save(itk(labels, affine), tmp_path / "a_seg.nrrd")
    save(itk(image, affine), tmp_path / "a.nrrd")
    content = (tmp_path / "a.nrrd").read_bytes().replace(b"space: left-posterior-superior\n", b"space dimension: 3\n")
    (tmp_path / "a.nrrd").write_bytes(content)
    (tmp_path / "p.yaml").write_text(
        "images: '{case}.nrrd'\nlabels: '{case}_seg.nrrd'\nmodality: ct\nnames: {1: liver}\nignore: []"
    )
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}")
    (case,) = source.cases()
    with pytest.raises(AffineError, match="patient's left"):
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


def test_a_damaged_file_is_refused_by_name(tmp_path, body):
    image, labels, affine = body
    save(itk(image, affine), tmp_path / "a.nrrd")
    save(itk(labels, affine), tmp_path / "a_seg.nrrd")
    (tmp_path / "p.yaml").write_text(
        "images: '{case}.nrrd'\nlabels: '{case}_seg.nrrd'\nmodality: ct\nnames: {1: liver}"
    )
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(content[: len(content) // 2])
    source = open_source(f"pairs:{tmp_path / 'p.yaml'}", keep_names=True)
    (case,) = source.cases()
    with pytest.raises(CaseError, match=r"a\.nrrd"):
        source.read(case)


def test_a_folder_that_is_not_known_is_described(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(b"")
    (tmp_path / "y.txt").write_text("")
    with pytest.raises(SourceError, match="1 images or label maps, 1 other files"):
        open_source(f"auto:{tmp_path}")
    assert structures()["liver"].name == "liver"


# --- nnU-Net ---------------------------------------------------------------------------------------------------------


def nnunet(folder, body, files, **table):
    """A data set of nnU-Net: ``files`` are pairs of path and 'image', 'labels' or 'channels'."""
    image, labels, affine = body
    arrays = {"image": image, "labels": labels, "channels": np.stack([image * 0, image], axis=-1)}
    for path, kind in files:
        ending = "." + path.split(".", 1)[1]
        if ending.lower() in (".nii", ".nii.gz"):
            plain = folder / "t.nii.gz" if ending.lower().endswith("gz") else folder / "t.nii"
            write_nifti(plain, arrays[kind], affine)
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            plain.rename(folder / path)
        elif ending == ".mgz":
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.MGHImage(arrays[kind].astype(np.int32), affine), folder / path)
        else:
            save(itk(arrays[kind], affine), folder / path)
    labels_table = {"background": 0, **{name: value for value, name in enumerate(KEPT, 1)}}
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": labels_table, "file_ending": ".nii.gz", **table})
    )
    return open_source(f"nnunet:{folder}", keep_names=True)


@pytest.mark.parametrize(
    ("image", "labels", "ending"),
    [
        ("imagesTr/a_0000.NII.GZ", "labelsTr/a.nii", ".nii.gz"),
        ("imagesTr/a_0000.Nii.Gz", "labelsTr/a.NII.GZ", ".nii.gz"),
        ("imagesTr/a_0000.nrrd", "labelsTr/a.nrrd", ".nrrd"),
        ("imagesTr/a_0000.mha", "labelsTr/a.nii.gz", ".mha"),
        ("imagesTr/a.mgz", "labelsTr/a.mgz", ".mgz"),
        ("imagesVa/a_0000.nii.gz", "labelsVa/a.nii.gz", ".nii.gz"),
    ],
)
def test_nnunet_in_every_format_and_spelling(tmp_path, body, expected, image, labels, ending):
    source = nnunet(tmp_path, body, [(image, "image"), (labels, "labels")], file_ending=ending)
    assert same(source, expected).subject == "a"


def test_nnunet_with_a_table_of_files(tmp_path, body, expected):
    listed = {"x": {"images": ["scans/one.nii.gz"], "label": "truth/uno.nii.gz"}}
    source = nnunet(tmp_path, body, [("scans/one.nii.gz", "image"), ("truth/uno.nii.gz", "labels")], dataset=listed)
    assert same(source, expected).subject == "x"


def test_nnunet_decathlon_s_channels_in_one_file(tmp_path, body, expected):
    files = [("imagesTr/BRATS_001.nii.gz", "channels"), ("labelsTr/BRATS_001.nii.gz", "labels")]
    nnunet(tmp_path, body, files, channel_names={"0": "FLAIR", "1": "CT"})
    same(open_source(f"nnunet:{tmp_path}", channel="1"), expected)
    same(open_source(f"nnunet:{tmp_path}", channel="ct"), expected)
    (case,) = open_source(f"nnunet:{tmp_path}").cases()
    assert case.modality == "mri"
    with pytest.raises(SourceError, match=r"0 \(FLAIR\), 1 \(CT\)"):
        open_source(f"nnunet:{tmp_path}", channel="T2")


def test_nnunet_raw_folder_and_several_data_sets_in_it(tmp_path, body, expected):
    files = [("imagesTr/a_0000.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    (tmp_path / "Dataset001_Torso").mkdir()
    nnunet(tmp_path / "Dataset001_Torso", body, files)
    same(open_source(f"nnunet:{tmp_path}"), expected)
    same(open_source(f"auto:{tmp_path}"), expected)
    (tmp_path / "Dataset002_More").mkdir()
    nnunet(tmp_path / "Dataset002_More", body, files)
    with pytest.raises(SourceError, match="Dataset001_Torso, Dataset002_More"):
        open_source(f"nnunet:{tmp_path}")


def test_nnunet_regions_a_voxel_s_own_value_decides(tmp_path, body, expected):
    table = {"background": 0, "abdomen": [1, 2, 3, 4, 5, 6], **{name: value for value, name in enumerate(KEPT, 1)}}
    files = [("imagesTr/a_0000.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    same(nnunet(tmp_path, body, files, labels=table), expected)
    nested = {"background": 0, "liver": [1, 2, 3], "spleen": [2, 3], "aorta": [3], "stomach": 4, "kidney_left": 5}
    source = nnunet(tmp_path, body, files, labels={**nested, "kidney_right": 6})
    (case,) = source.cases()
    assert [source.read(case).names[value] for value in (1, 2, 3)] == ["liver", "spleen", "aorta"]


def test_nnunet_numbers_of_cases_are_no_channels_and_nothing_vanishes(tmp_path, body):
    files = [
        ("imagesTr/amos_0005.nii.gz", "image"),
        ("imagesTr/amos_0007.nii.gz", "image"),
        ("labelsTr/amos_0001.nii.gz", "labels"),
        ("imagesTr/amos_0001.nii.gz", "image"),
        ("imagesTs/test_0000.nii.gz", "image"),
        ("imagesTr/amos_0001.nii", "image"),
    ]
    source = nnunet(tmp_path, body, files)
    (tmp_path / "imagesTr" / "notes.pdf").write_bytes(b"x")
    assert [case.subject for case in source.cases()] == ["amos_0001", "amos_0005", "amos_0007"]
    left = {one.file: one.reason for one in source.left_out()}
    assert set(left) == {"imagesTr/amos_0001.nii.gz", "imagesTr/notes.pdf", "imagesTs/test_0000.nii.gz"}


def test_a_source_that_was_not_named_right_is_named(tmp_path, body):
    save(itk(body[0], body[2]), tmp_path / "Vol.nrrd")
    segmentation(body, tmp_path / "Segmentation.seg.nrrd")
    with pytest.raises(SourceError, match=f"3D Slicer's files.*use slicer:{tmp_path}"):
        open_source(f"nnunet:{tmp_path}")


def test_which_channel_is_read_and_which_labels_are_left_out_is_said(tmp_path, body):
    files = [("imagesTr/a_0000.nii.gz", "image"), ("imagesTr/a_0001.nii.gz", "image"), ("labelsTr/a.nii.gz", "labels")]
    nnunet(tmp_path / "n", body, files, channel_names={"0": "CT", "1": "T2w"})
    source = open_source(f"nnunet:{tmp_path / 'n'}", ignore_labels=["Aorta"])
    assert remarks_of(source) == (
        "Channel 0 (CT) of 2 is read; --channel chooses another: 0 (CT), 1 (T2w).",
        "1 label(s) are left out: aorta.",
    )
    save(itk(body[0], body[2]), tmp_path / "s" / "scan.nrrd")
    segmentation(body, tmp_path / "s" / "scan.seg.nrrd")
    assert remarks_of(open_source(f"slicer:{tmp_path / 's'}", ignore_labels=["spleen"])) == (
        "1 label(s) are left out: spleen.",
    )
    with pytest.raises(SourceError, match="does not know channels by name"):
        open_source(f"slicer:{tmp_path / 's'}", channel="T2")


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
