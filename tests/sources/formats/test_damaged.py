"""Damaged NRRD, MetaImage and NIfTI files and headers are refused by name."""

import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.core.errors import AffineError, CaseError, UnreadableError
from dataset_builder.sources import open_source
from tests.helpers.scan_files import KEPT, itk, save


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
