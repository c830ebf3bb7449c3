"""Compressed pixels that are damaged are refused by name, even where a decoder ends or hangs its process."""

from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dataset_builder.core.errors import UnreadableError
from dataset_builder.sources import open_source
from dataset_builder.sources.dicom import decoding
from tests.helpers import dicom_files as dicom

AFFINE = np.diag([-2.0, -2, 3, 1])
LOSSLESS_JPEG = gdcm.TransferSyntax.JPEGLosslessProcess14_1


def as_jpeg(path: Path) -> None:
    """Write a file's pixels anew as lossless JPEG, which pydicom does not write."""
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(LOSSLESS_JPEG))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.fixture(params=["lossless JPEG", "JPEG 2000", "JPEG-LS", "RLE"])
def study(request, tmp_path):
    """The files of a compressed series, the source that reads it, and its voxels."""
    values = np.random.default_rng(0).integers(0, 900, (40, 32, 4)).astype(np.int16)
    labels = np.zeros(values.shape, np.uint8)
    labels[5:20, 5:20, 1:3] = 1
    images = dicom.series(values, AFFINE, signed=False)
    seg = dicom.segmentation(images, labels, [dicom.segment(1, "liver")])
    syntax = {"JPEG 2000": JPEG2000Lossless, "JPEG-LS": JPEGLSLossless, "RLE": RLELossless}.get(request.param)
    for one in images if syntax else ():
        one.compress(syntax, generate_instance_uid=False)
    paths = dicom.save(images, tmp_path / "images")
    dicom.save([seg], tmp_path / "labels")
    for path in paths if syntax is None else ():
        as_jpeg(path)
    return paths, open_source(f"dicom:{tmp_path}"), np.flip(values, (0, 1))


def test_sound_pixels_are_read_and_truncated_or_overwritten_ones_refused(study):
    paths, source, values = study
    (case,) = source.cases()
    np.testing.assert_array_equal(source.read(case).image, values)
    sound = paths[1].read_bytes()
    pixels = sound.rfind(b"\xe0\x7f\x10\x00")
    third = (len(sound) - pixels) // 3
    for damaged in (
        sound[: pixels + third],
        sound[: pixels + third] + bytes(len(sound) - pixels - third),
        sound[: pixels + 2 * third] + bytes(third),
        sound[: pixels + 28] + b"\xff" * (len(sound) - pixels - 28),
    ):
        paths[1].write_bytes(damaged)
        with pytest.raises(UnreadableError):
            source.read(case)
    paths[1].write_bytes(sound)
    np.testing.assert_array_equal(source.read(case).image, values)


@pytest.mark.parametrize("study", ["lossless JPEG"], indirect=True)
@pytest.mark.parametrize("ending", ["os.abort()", "os._exit(0)", "time.sleep(60)", "os.kill(os.getpid(), 11)"])
def test_a_decoder_that_ends_or_hangs_its_process_costs_one_case(study, tmp_path, monkeypatch, ending):
    _, source, values = study
    (case,) = source.cases()
    script = tmp_path / "decoder.py"
    script.write_text(f"import os, pickle, sys, time\npickle.load(sys.stdin.buffer)\n{ending}\n")
    decoding._helper.end()
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "SCRIPT", script)
        patch.setattr(decoding, "LONGEST", 2.0)
        with pytest.raises(UnreadableError, match="compressed pixels of a file are damaged") as caught:
            source.read(case)
    assert "the decoder was ended" in str(caught.value.value)
    np.testing.assert_array_equal(source.read(case).image, values)
