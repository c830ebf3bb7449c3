"""FreeSurfer's own output: ``mri/orig.mgz`` with ``aparc+aseg.mgz`` or ``aseg.mgz`` of one subject, or of many.

::

    bert/mri/orig.mgz            the image; T1.mgz, nu.mgz or brain.mgz where it is missing
    bert/mri/aparc+aseg.mgz      labels; else aparc.DKTatlas+aseg.mgz, aseg.mgz, aseg.presurf.mgz

Labels mean what FreeSurfer's colour table says. Cortical regions are joined to the lobes of the vocabulary; what the
vocabulary has no structure for (vessels, choroid plexus, hypointensities ...) counts as nothing.
"""

from collections.abc import Collection
from pathlib import Path

from dataset_builder.core.errors import SourceError
from dataset_builder.sources.labelled_files import Files, LabelledFiles, by_subject
from dataset_builder.sources.named_labels import NO_STRUCTURE, Naming
from dataset_builder.sources.recognise import hint
from dataset_builder.vocabulary import label_map, normalise

IMAGES = ("orig.mgz", "T1.mgz", "nu.mgz", "norm.mgz", "brain.mgz")
LABELS = ("aparc+aseg.mgz", "aparc.DKTatlas+aseg.mgz", "aseg.mgz", "aseg.presurf.mgz", "aseg.auto.mgz")
MOST = 15_000
"""FreeSurfer numbers its labels up to here."""


def open_freesurfer(folder: Path, ignore: Collection[str] = ()) -> LabelledFiles:
    """The source of a subject's folder, or of a folder of subjects.

    Args:
        folder: of one subject or of many.
        ignore: structures to leave out, normalised.

    Raises:
        SourceError: if there is no subject in it.
    """
    naming = freesurfer_naming(ignore)
    single = (folder / "mri").is_dir()
    subjects = [folder] if single else sorted(path.parent for path in folder.glob("*/mri") if path.is_dir())
    files: list[Files] = []
    without: list[tuple[str, str]] = []
    for subject in subjects:
        image = next((subject / "mri" / name for name in IMAGES if (subject / "mri" / name).is_file()), None)
        labels = next((subject / "mri" / name for name in LABELS if (subject / "mri" / name).is_file()), None)
        name = subject.resolve().name
        if image is None or labels is None:
            lacking = f"mri/{IMAGES[0]}" if image is None else f"mri/{LABELS[0]}"
            without.append((f"{name}/mri", f"The subject has no {lacking}."))
            continue
        files.append(Files(name, image, labels, "mri", naming))
    if not files:
        raise SourceError(
            "This folder contains no FreeSurfer subject with image and labels.",
            file=folder,
            value="; ".join(f"{place}: {reason}" for place, reason in without[:3]) or None,
            remedy=f"{hint(folder, 'freesurfer')}Give a subject's folder, which holds mri/orig.mgz and mri/aseg.mgz, "
            "or the folder of all subjects.",
        )
    return LabelledFiles("freesurfer", folder, by_subject(files, folder), unmatched=tuple(without))


def freesurfer_naming(ignore: Collection[str] = ()) -> Naming:
    """What FreeSurfer's values mean; all others are left out, and structures that the user does not want."""
    table = label_map("freesurfer_aparc_aseg")
    names = {value: name for value, name in table.items() if normalise(name) not in ignore}
    left_out = {value: table.get(value, NO_STRUCTURE) for value in range(1, MOST) if value not in names}
    return Naming(names, left_out, {}, names)
