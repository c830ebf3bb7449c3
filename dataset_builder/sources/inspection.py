"""What a source would bring, case by case, before anything is built: geometry, labels, and what is wrong."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.settings import Trust
from dataset_builder.files.progress import Progress, silent
from dataset_builder.imaging.acceptance import accept
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, LeftOut, Source, left_out_of
from dataset_builder.sources.named_labels import NO_STRUCTURE, NOTHING, Naming
from dataset_builder.vocabulary import Structure, name_from_another_language, normalise, read_side


@dataclass(frozen=True)
class CaseNote:
    """One case.

    Args:
        subject: as it will stand in the rows.
        modality: ``ct`` or ``mri``.
        shape, spacing_mm: of the volume in RAS+; empty if it cannot be read.
        stored_axes: where the stored axes lead, such as ``LPS``.
        oblique_degrees: of the axes against the patient's.
        structures: canonical name -> voxels.
        problem, found, remedy: why it cannot be used; empty if it can.
        remarks: what is odd but possible, and what was corrected in reading.
    """

    subject: str
    modality: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    stored_axes: str = ""
    oblique_degrees: float = 0.0
    structures: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    found: str = ""
    remedy: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelNote:
    """One label of a data set.

    Args:
        label: as the data set calls it.
        structure: canonical name; empty for a label that is unknown or left out.
        how: ``known``; ``guessed``, by the side that its name says; ``unknown``; ``ignored``.
        side: of the structure, of an unknown label as its name says; empty if it has none.
        kind: ``anatomy`` or ``lesion``; empty for a label that is unknown or left out.
    """

    label: str
    structure: str
    how: str
    side: str
    kind: str = ""


@dataclass(frozen=True)
class Inspection:
    """What a source would bring."""

    source: str
    licence: str
    cases: tuple[CaseNote, ...]
    labels: tuple[LabelNote, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def usable(self) -> int:
        """How many cases can be used."""
        return sum(not case.problem for case in self.cases)


def inspect_source(
    source: Source,
    words: dict[str, Structure],
    unknown: tuple[str, ...] = (),
    progress: Progress = silent,
    trust: Collection[Trust] = (),
) -> Inspection:
    """Read every case, check it as a build does, and say what came of it.

    Args:
        source: to look at.
        words: the vocabulary.
        unknown: names of labels that the vocabulary lacks, left out so that the rest can be looked at.
        progress: called after every case.
        trust: what the user vouches for, which is not checked.
    """
    cases = sorted(source.cases(), key=lambda case: case.subject)
    notes = []
    progress("cases", 0, len(cases))
    for done, case in enumerate(cases, 1):
        notes.append(_look(source, case, words, trust))
        progress("cases", done, len(cases))
    labels = tuple(_labels(source, notes, words, unknown))
    return Inspection(source.name, source.licence, tuple(notes), labels, tuple(left_out_of(source)))


def _look(source: Source, case: Case, words: Mapping[str, Structure], trust: Collection[Trust]) -> CaseNote:
    note = CaseNote(case.subject, case.modality)
    try:
        volume = source.read(case)
        note = _measured(note, volume)
        return replace(note, remarks=tuple(accept(volume, words, trust)))
    except MISGroundError as error:
        found = "" if error.value is None else str(error.value)
        return replace(note, problem=error.problem, found=found, remedy=error.remedy)


def _measured(note: CaseNote, volume: Volume) -> CaseNote:
    return replace(
        note,
        shape=tuple(map(int, volume.image.shape)),
        spacing_mm=tuple(round(step, 3) for step in volume.spacing),
        stored_axes=volume.stored_axes,
        oblique_degrees=round(volume.obliquity_deg, 2),
        structures=_voxels(volume),
    )


def _voxels(volume: Volume) -> dict[str, int]:
    counts = np.bincount(volume.labels.ravel(order="K"), minlength=max(volume.names, default=0) + 1)
    return {name: int(counts[value]) for value, name in sorted(volume.names.items()) if counts[value]}


def _labels(
    source: Source, notes: list[CaseNote], words: dict[str, Structure], unknown: tuple[str, ...]
) -> Iterator[LabelNote]:
    seen: set[str] = set()
    for naming, spellings in _namings(source):
        for value, name in naming.names.items():
            label = spellings.get(value, name)
            if label not in seen:
                seen.add(label)
                yield _note(label, words.get(name))
        for label in naming.ignored.values():
            if label not in seen and label not in unknown and label != NO_STRUCTURE:
                seen.add(label)
                yield LabelNote(label, "", "ignored", "")
    for label, (structure, ignored) in getattr(getattr(source, "source", source), "labels_read", {}).items():
        seen.add(label)
        if structure is not None:
            yield _note(label, words.get(structure))
        elif ignored or normalise(label) in NOTHING:
            yield LabelNote(label, "", "ignored", "")
        else:
            yield LabelNote(label, "", "unknown", read_side(label)[1] or "")
    if not seen:
        for name in sorted({name for note in notes for name in note.structures}):
            yield _note(name, words.get(name))
    for label in unknown:
        yield LabelNote(label, "", "unknown", read_side(label)[1] or "")


def _namings(source: object) -> Iterator[tuple[Naming, dict[int, str]]]:
    """What the labels of a source are called, and mean."""
    inner = getattr(source, "source", source)
    for one in getattr(inner, "files", {}).values():
        yield one.naming, dict(one.naming.spellings)
    description = getattr(inner, "description", None)
    if description is not None:
        yield Naming(description.names, description.ignored, {}), dict(description.spellings)


def _note(label: str, structure: Structure | None) -> LabelNote:
    if structure is None:
        return LabelNote(label, "", "unknown", "")
    spelled = {normalise(name) for name in (structure.name, *structure.aliases)}
    side = read_side(label)[1] or (name_from_another_language(label) or ("", None))[1]
    how = "guessed" if side and normalise(label) not in spelled else "known"
    return LabelNote(label, structure.name, how, structure.side or "", structure.kind)
