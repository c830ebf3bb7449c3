"""An element that promises more bytes than its file has is refused, wherever it stands."""

import io
import struct

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dataset_builder.sources.dicom.files import open_dicom

SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}


def written(syntax, undefined):
    """A data set with a sequence in a sequence, and pixels last."""
    inner = Dataset()
    inner.ContourData = ["1", "2", "3"]
    outer = Dataset()
    outer.ContourSequence = Sequence([inner])
    outer["ContourSequence"].is_undefined_length = undefined
    whole = Dataset()
    whole.file_meta = FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = syntax
    whole.SOPClassUID, whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.3.4"
    whole.Rows, whole.Columns, whole.BitsAllocated, whole.PixelRepresentation = 2, 3, 16, 0
    whole.ROIContourSequence = Sequence([outer])
    whole["ROIContourSequence"].is_undefined_length = undefined
    whole.PixelData = b"abcdefghijkl"
    whole["PixelData"].VR = "OW"
    made = io.BytesIO()
    whole.save_as(made, enforce_file_format=True)
    return made.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_sound_files_are_opened(tmp_path, syntax, undefined):
    content = written(SYNTAXES[syntax], undefined)
    (tmp_path / "a").write_bytes(content)
    assert open_dicom(tmp_path / "a").PixelData == b"abcdefghijkl"
    assert open_dicom(tmp_path / "a", ("Rows",), pixels=False).Rows == 2
    (tmp_path / "a").write_bytes(content[:-1])  # the byte that makes a length even may be missing
    assert open_dicom(tmp_path / "a").PixelData == b"abcdefghijk"


@pytest.mark.parametrize("length", [16, 1000, 0x10000, 0x7FFFFFFE, 0xFFFFFFFE])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_that_promise_more_than_the_file_has_are_refused(tmp_path, syntax, length):
    content = written(SYNTAXES[syntax], False)
    at = content.index(b"abcdefghijkl") - 4
    (tmp_path / "a").write_bytes(content[:at] + struct.pack("<I", length) + content[at + 4 :])
    with pytest.raises(EOFError):
        open_dicom(tmp_path / "a")


@pytest.mark.parametrize("missing", [2, 5, 12])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_truncated_file_is_refused(tmp_path, syntax, missing):
    (tmp_path / "a").write_bytes(written(SYNTAXES[syntax], False)[:-missing])
    with pytest.raises(EOFError):
        open_dicom(tmp_path / "a", ("Rows", "PixelData"))


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("length", [200, 0xFFF0])
def test_an_element_in_a_sequence_that_promises_too_much_is_refused(tmp_path, syntax, undefined, length):
    content = written(SYNTAXES[syntax], undefined)
    at = content.index(b"1\\2\\3")
    if syntax == "explicit":
        content = content[: at - 2] + struct.pack("<H", length) + content[at:]
    else:
        content = content[: at - 4] + struct.pack("<I", length) + content[at:]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises((EOFError, OSError), match=r"promises|No tag to read"):
        open_dicom(tmp_path / "a")


def test_private_elements_are_not_opened(tmp_path):
    whole = pydicom.dcmread(io.BytesIO(written(ExplicitVRLittleEndian, False)))
    whole.add_new(0x00090010, "LO", "Maker")
    whole.add_new(0x00091001, "UN", b"\xfe\xff\x00\xe0\xff\xff\x00\x00not a sequence")
    whole.save_as(tmp_path / "a", enforce_file_format=True)
    assert open_dicom(tmp_path / "a").Rows == 2
