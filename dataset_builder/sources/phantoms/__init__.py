"""Analytic bodies made in memory: torsos and knees whose anatomy is known because it was put there.

They stand in for scans offline and in tests. A body is painted in RAS+ millimetres from simple solids (``shapes``) on
a grid (``canvas``) by the rules in ``anatomy``; individuals differ in size, fat, organ positions, filling and a smooth
displacement of everything, never in what is left and what is right. They look like anatomy; they are not anatomy, and
nothing about patients can be learnt from them.
"""

from dataset_builder.sources.phantoms.body import COVERAGES, ORIENTATIONS, Coverage, Phantom, knee, store_as, torso
from dataset_builder.sources.phantoms.files import write_nifti, write_nnunet, write_oaizib_cm, write_totalsegmentator

__all__ = [
    "COVERAGES",
    "ORIENTATIONS",
    "Coverage",
    "Phantom",
    "knee",
    "store_as",
    "torso",
    "write_nifti",
    "write_nnunet",
    "write_oaizib_cm",
    "write_totalsegmentator",
]
