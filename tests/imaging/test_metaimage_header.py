import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from dataset_builder.core.errors import CaseError, UnreadableError
from dataset_builder.imaging.scan_files import read_scan
from tests.helpers.ways_in import itk

VALUES = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
AFFINE = np.diag([-2.0, -2, 3, 1])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scan.mha"
    sitk.WriteImage(itk(VALUES, AFFINE), str(path))
    return path


def with_line(file, line, instead_of="CenterOfRotation"):
    """Write the file with a line in the place of that which begins so."""
    start, found, rest = file.read_bytes().partition(instead_of.encode())
    assert found
    file.write_bytes(start + line.encode() + b"\n" + rest.partition(b"\n")[2])


@pytest.mark.parametrize(
    "line",
    [
        *("ElementDataFile = scan%d.raw", "ElementDataFile = LO%Hl<%n", "ElementDataFile = a%s.raw 1 1"),
        *(
            "ElementDataFile = LIST",
            "ElementDataFile = LIST 2",
            "ElementDataFile = LISTED",
            "ElementDataFile = %03d.raw 1 9 0",
        ),
    ],
)
def test_voxels_in_several_files_are_refused(file, line):
    with_line(file, line, "ElementDataFile")
    with pytest.raises(UnreadableError, match="in several files"):
        read_scan(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Comment", "a" * 251),  # copied to a place of 255 bytes
        ("Comment", "a" * 600),
        ("ObjectType", "Immage"),
        ("ObjectType", "Scene"),
        ("TransformMatrix", "1 0 0 0 1 0 0 0"),  # the last number came from the next line
        ("TransformMatrix", "1 0 0 0 1 0 0 0 1 7"),
        ("Offset", "0 0"),
        ("Offset", "0 0 0x1"),
        ("Offset", "0 0 1_0"),
        ("DimSize", "5 4 3 1"),
        ("DimSize", "5 4"),
        ("DimSize", "5 4 -3"),
        ("DimSize", "5 4 3e0"),
        ("ElementSpacing", "-2 2 3"),  # mirrored
        ("ElementSpacing", "2 0 3"),
        ("ElementType", "MET_OTHER"),
        ("ElementType", "MET_SHORT_ARRAY"),
        ("BinaryData", "yes"),
        ("Offset", ": 0 0 0"),
        ("Comment", ""),  # has the next line in its place
        ("ElementDataFile", "nowhere.raw"),
        ("ElementDataFile", "x\0y.raw"),
    ],
)
def test_values_without_the_form_of_their_field_are_refused(file, name, value):
    with_line(file, f"{name} = {value}", name if name != "Comment" else "CenterOfRotation")
    with pytest.raises(UnreadableError, match="damaged"):
        read_scan(file)


@pytest.mark.parametrize(
    "line",
    [
        *("Position = 5 0 0", "Origin = 0 0 7", "ImagePosition = 5 5 5", "ElementOrigin = 1 0 0"),
        *("Rotation = -1 0 0 0 1 0 0 0 1", "ElementDirection = 0 1 0 1 0 0 0 0 1", "FileFormatVersion = 1"),
        *("ElementByteOrderMSB = True", "HeaderSize = 20", "ElementNumberOfChannels = 2"),
        "ElementNumberOfChannels = 0",
        *("ElementToIntensityFunctionSlope = 2", "ElementToIntensityFunctionOffset = -1024", "NDims = 3", "Nothing"),
        *("CompressedDataSize = 5\nComment = ", "a: b = c"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(file, line):
    with_line(file, line)
    with pytest.raises(UnreadableError):
        read_scan(file)


@pytest.mark.parametrize(
    "line",
    [
        *("Offset = 0 0 0", "Position = 0 0 0", "ElementByteOrderMSB = False", "HeaderSize = 0"),
        "Modality = MET_MOD_CT",
        *("0008|0060 = CT", "0010|0010 = ", "Patient's name = x", "0008|103e = = thorax: venous"),
        f"Notes = {'a' * 20000}",
        *("0010|0010 =\n0010|0020 =\n0010|0030 = 1", "ITK_InputFilterName = MetaImageIO", "Öl = ä", "HeaderSize = -1"),
    ],
)
def test_a_sound_header_is_read_whatever_else_it_says(file, line):
    content = file.read_bytes()
    at = content.index(b"Offset" if line.startswith("Offset") else b"DimSize")
    if line.startswith("Offset"):
        with_line(file, line, "Offset")
    else:
        file.write_bytes(content[:at] + line.encode() + b"\nCenterOfRotation2 = 0\n" + content[at:])
    scan = read_scan(file)
    assert np.array_equal(scan.values, VALUES)
    assert np.allclose(scan.affine, AFFINE)


def test_a_series_that_simpleitk_saved_with_its_tags_is_read(tmp_path):
    image = itk(VALUES, AFFINE)
    for key in ("0008|0005", "0008|0060", "0010|0010", "0020|000d", "0028|1052"):
        image.SetMetaData(key, "" if key == "0010|0010" else "1.2.3")
    for name, compressed in (("a.mha", False), ("b.mha", True), ("c.mhd", False), ("d.mhd", True)):
        sitk.WriteImage(image, str(tmp_path / name), useCompression=compressed)
        assert np.array_equal(read_scan(tmp_path / name).values, VALUES), name


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("ending", [".mha", ".mhd"])
@pytest.mark.parametrize("sizes", ["5 4 2", "5 4 4", "60 60 60", "1 1 1"])
def test_other_lengths_of_voxels_than_stated_are_refused(tmp_path, ending, compressed, sizes):
    path = tmp_path / f"scan{ending}"
    sitk.WriteImage(itk(VALUES, AFFINE), str(path), useCompression=compressed)
    with_line(path, f"DimSize = {sizes}", "DimSize")
    with pytest.raises(UnreadableError, match="more or fewer voxels"):
        read_scan(path)


@pytest.mark.parametrize("sizes", ["5 4 2", "5 4 4", "1 1 1"])
def test_nrrd_voxels_of_another_length_are_refused(tmp_path, sizes):
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(itk(VALUES, AFFINE), str(path), useCompression=True)
    with_line(path, f"sizes: {sizes}", "sizes")
    with pytest.raises(CaseError):
        read_scan(path)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("name", ["a.mha", "b.mhd", "c.nrrd"])
def test_all_types_of_voxels_are_read(tmp_path, kind, name):
    for compressed in (False, True):
        sitk.WriteImage(itk(VALUES.astype(kind), AFFINE), str(tmp_path / name), useCompression=compressed)
        assert np.array_equal(read_scan(tmp_path / name).values, VALUES)
