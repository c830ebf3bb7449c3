"""Phantoms: bodies made in memory, without a download; the offline default.

Torsos in CT and MR contrast and left and right knees take turns. Each is its own individual, stored as another scanner
might have stored it: any of the 48 orientations, tilted by some degrees. Number i is the same body wherever it is made.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dataset_builder.core.factors import Modality, Side, Split
from dataset_builder.core.hashing import digest
from dataset_builder.imaging.volume import Volume, volume_from_arrays
from dataset_builder.sources.base import Case
from dataset_builder.sources.phantoms import ORIENTATIONS, Phantom, knee, store_as, torso

DEFAULT_COUNT = 4
"""One of each kind."""
TRAIN_FIRST = 1_000_000
"""Bodies of the training split are numbered from here, those of the test split stay below: no name is in both."""
MAX_TILT_DEG = 8.0

Kind = Literal["torso_ct", "torso_mri", "knee_left", "knee_right"]
_KINDS: tuple[Kind, ...] = ("torso_ct", "knee_left", "torso_mri", "knee_right")
"""In the order in which they take turns, so that two already are of both modalities."""
_MODALITY: dict[Kind, Modality] = {"torso_ct": "ct", "torso_mri": "mri", "knee_left": "mri", "knee_right": "mri"}
_SIDE: dict[Kind, Side] = {"knee_left": "left", "knee_right": "right"}


@dataclass(frozen=True)
class Phantoms:
    """The source ``phantom``.

    Args:
        count: how many bodies.
        first: number of the first.
    """

    count: int = DEFAULT_COUNT
    first: int = 0
    name: str = "phantom"
    licence: str = "CC0-1.0"
    citation: str = "Synthetic phantoms of MIS-Ground, no real anatomy"
    url: str = ""

    def cases(self) -> Iterator[Case]:
        """Bodies by number, such as ``torso_ct_0000``."""
        for number in range(self.first, self.first + self.count):
            kind = _KINDS[number % len(_KINDS)]
            subject = f"{kind}_{number:04d}"
            yield Case(self.name, subject, _MODALITY[kind], self.licence, side=_SIDE.get(kind))

    def read(self, case: Case) -> Volume:
        """Make a body; takes about a second."""
        body = make_body(int(case.subject.rpartition("_")[2]))
        return volume_from_arrays(
            body.image,
            body.labels,
            body.names,
            body.affine,
            source=case.source,
            subject=case.subject,
            modality=case.modality,
            licence=case.licence,
            side=case.side,
        )


def split_of_phantom(subject: str) -> Split:
    """The split that a body belongs to."""
    return "train" if int(subject.rpartition("_")[2]) >= TRAIN_FIRST else "test"


def make_body(number: int) -> Phantom:
    """The body of that number, as its scanner stored it: about 3 mm a voxel, a knee 1 to 1.5 mm."""
    kind = _KINDS[number % len(_KINDS)]
    draw = random.Random(digest("phantom", number))
    if kind in _SIDE:
        in_plane, between = draw.uniform(1.0, 1.2), draw.uniform(1.2, 1.5)
        body = knee(number, _SIDE[kind], spacing=(between, in_plane, in_plane))  # knees are scanned sagittally
    else:
        in_plane, between = draw.uniform(3.0, 3.4), draw.uniform(3.0, 3.8)
        body = torso(number, _MODALITY[kind], spacing=(in_plane, in_plane, between))
    orientation = draw.choice(ORIENTATIONS)
    tilt = [draw.uniform(-MAX_TILT_DEG, MAX_TILT_DEG) / 3**0.5 for _ in range(3)]
    return store_as(body, orientation, tilt)
