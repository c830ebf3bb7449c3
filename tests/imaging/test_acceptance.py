"""The one door that every volume passes: what is refused, what is told, and what can be vouched for."""

from dataclasses import replace

import numpy as np
import pytest

from dataset_builder.core import errors
from dataset_builder.core.settings import TRUST, Settings
from dataset_builder.imaging.acceptance import accept
from dataset_builder.slices.store import store_volume
from dataset_builder.sources.base import Case
from dataset_builder.vocabulary import structures
from tests.helpers.small_body import NAMES, affine_of, draw, volume_of

AFFINE = affine_of()
IMAGE, LABELS = draw(AFFINE)
RIGHT = volume_of(IMAGE, LABELS, AFFINE)


def test_a_right_volume_is_accepted_without_a_word():
    assert accept(RIGHT, structures()) == []


def mirrored():
    """A body without sided labels, its first axis reversed."""
    affine = AFFINE.copy()
    affine[0] *= -1
    kept = np.where(np.isin(LABELS, [v for v, n in NAMES.items() if not n.endswith(("left", "right"))]), LABELS, 0)
    return volume_of(IMAGE, kept, affine)


def made_up(axes=(1.0, 1, 1), origin=(0.0, 0, 0)):
    affine = np.diag([*axes, 1.0])
    affine[:3, 3] = origin
    return volume_of(IMAGE, LABELS, affine)


WRONG = {
    "values": (replace(RIGHT, image=(IMAGE + 1024).clip(0)), errors.IntensityError),
    "labels": (replace(RIGHT, labels=LABELS[:, :, ::-1]), errors.LabelFitError),
    "orientation": (mirrored(), errors.OrientationError),
    "affine": (made_up(), errors.MadeUpAffineError),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_can_be_vouched_for(name):
    volume, error = WRONG[name]
    with pytest.raises(error) as caught:
        accept(volume, structures())
    assert f"--trust-{name}" in caught.value.remedy
    with pytest.raises(errors.CaseError):
        accept(volume, structures(), [trust for trust in TRUST if trust != name])
    if name != "labels":  # upside down, they lie on other tissues and the wrong way round, too
        accept(volume, structures(), [name])


@pytest.mark.parametrize("axes", [(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, 1, -1)])
def test_made_up_affines_with_any_signs(axes):
    """SimpleITK's default is -1, -1, 1 in RAS+."""
    with pytest.raises(errors.MadeUpAffineError):
        accept(made_up(axes), structures())


@pytest.mark.parametrize("affine", [((1.0, 1, 1), (-90.0, -126, -72)), ((0.8, 0.8, 3), (0.0, 0, 0))])
def test_other_affines_are_not_made_up(affine):
    volume = made_up(*affine)
    try:
        accept(volume, structures())
    except errors.CaseError as error:
        assert not isinstance(error, errors.MadeUpAffineError)  # noqa: PT017


def test_organs_of_a_size_that_cannot_be():
    small = AFFINE.copy()
    small[:3] *= 0.1  # centimetres taken for millimetres
    with pytest.raises(errors.SizeError, match="ml"):
        accept(volume_of(IMAGE, LABELS, small), structures(), ["labels", "orientation"])


def test_what_is_vouched_for_is_part_of_the_settings_and_what_is_odd_of_the_note(tmp_path):
    lungs_without_air = IMAGE.copy()
    lungs_without_air[np.isin(LABELS, [1, 2])] = 20

    class Source:
        name, licence, citation, url = "test", "CC0-1.0", "", ""

        def read(self, case):
            return volume_of(lungs_without_air, LABELS, AFFINE)

    case = Case("test", "one", "ct", "CC0-1.0")
    volume = store_volume(Source(), case, Settings(), tmp_path)
    note = volume.path.with_suffix(".json").read_text()
    assert "lungs without air" in note
    assert Settings().slice_fingerprint() != Settings(trust=("values",)).slice_fingerprint()
    with pytest.raises(errors.BuildError, match="trust"):
        Settings(trust=("everything",))
