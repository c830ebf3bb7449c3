"""Errors a user can act on: each names what is wrong, the file, the value and the remedy."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class MISGroundError(Exception):
    """Base of all errors that a user can fix; the command line prints them without a stack trace.

    Args:
        problem: one sentence that says what is wrong.
        file: the file or folder concerned, as a path or as text.
        value: the offending value, as found.
        remedy: what to do about it.
    """

    def __init__(self, problem: str, *, file: object = None, value: object = None, remedy: str = "") -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.value = value
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.problem
        if self.file is not None:
            text += f" [file: {self.file}]"
        if self.value is not None:
            text += f" [found: {self.value}]"
        if self.remedy:
            text += f" Remedy: {self.remedy}"
        return text

    def __reduce__(self):  # type: ignore[no-untyped-def]
        # Exceptions with keyword-only arguments do not survive pickling between processes by themselves.
        return _rebuild, (type(self), self.problem, self.file, self.value, self.remedy), self.__dict__


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """The system's errors name no file where writing to an open one fails, as on a full disk: they get this name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def _rebuild(kind: type[MISGroundError], problem: str, file: str | None, value: object, remedy: str) -> MISGroundError:
    return kind(problem, file=file, value=value, remedy=remedy)


class CaseError(MISGroundError):
    """One case cannot be used. The build quarantines it and continues; ``--strict`` stops.

    ``reason`` is the short, stable name written to ``quarantine.jsonl``.
    """

    reason = "unusable"


class UnreadableError(CaseError):
    """The file is missing, truncated or not a NIfTI image."""

    reason = "unreadable"


class DimensionError(CaseError):
    """The image is not a three-dimensional volume with at least one voxel along each axis."""

    reason = "dimensions"


class HeldOutError(CaseError):
    """The subject is of the other split, or of a data set that is to be held out."""

    reason = "held_out"


class AffineError(CaseError):
    """The affine is not finite, singular or sheared: voxel positions are unknown."""

    reason = "affine"


class ObliqueError(CaseError):
    """The slices are tilted by more than 30 degrees: planes have no name."""

    reason = "oblique"


class TransformConflictError(CaseError):
    """sform and qform are both set and disagree by more than 1 mm at a corner."""

    reason = "sform_qform_conflict"


class ShapeMismatchError(CaseError):
    """Image and labels have different shapes."""

    reason = "shape_mismatch"


class AffineMismatchError(CaseError):
    """Image and labels have different affines."""

    reason = "affine_mismatch"


class VoxelValueError(CaseError):
    """Voxel values are not finite, or a mask or label map holds values that it must not."""

    reason = "voxel_values"


class MissingLabelsError(CaseError):
    """There is no label file or mask folder for the image."""

    reason = "missing_labels"


class UnknownLabelError(CaseError):
    """The label map holds a value that its list of labels does not name."""

    reason = "unknown_label"


class EmptyLabelsError(CaseError):
    """No structure is labelled in the volume."""

    reason = "empty_labels"


class NameEncodingError(CaseError):
    """The name of the case, as its files have it, is not valid UTF-8: it cannot be stored in a row."""

    reason = "name_encoding"


class SlicePositionError(CaseError):
    """Slices of a series are missing, lie at the same place, or are unevenly spaced."""

    reason = "slice_positions"


class GantryTiltError(CaseError):
    """The slices of a series are not stacked at right angles."""

    reason = "gantry_tilt"


class MissingDecoderError(CaseError):
    """The pixels are compressed in a way that no installed package can read."""

    reason = "missing_decoder"


class LabelConflictError(CaseError):
    """Labels contradict themselves or each other, or do not say which image they belong to."""

    reason = "label_conflict"


class BurnedInTextError(CaseError):
    """The header says that text, such as the patient's name, is part of the image."""

    reason = "burned_in_text"


class SwappedSidesError(CaseError):
    """A structure named left lies right of the midline, or the other way round."""

    reason = "swapped_sides"


class SizeError(CaseError):
    """Voxels or body are of a size that cannot be: the header's unit of length is wrong."""

    reason = "size"


class MadeUpAffineError(CaseError):
    """The affine is the one that software writes when it knows none."""

    reason = "made_up_affine"


class IntensityError(CaseError):
    """The values cannot be what they are said to be: CT that is not in Hounsfield units, CT called MR, a void."""

    reason = "intensities"


class LabelFitError(CaseError):
    """The labels fit the image better when they are flipped or shifted."""

    reason = "labels_off_image"


class OrientationError(CaseError):
    """Structures lie the wrong way round along an axis of the body."""

    reason = "orientation"


class TooLargeError(CaseError):
    """Reading the volume takes more memory than there is."""

    reason = "memory"


class SourceError(MISGroundError):
    """A source folder does not have the layout it should have, or a source name is unknown."""


class LabelsNotInVocabularyError(SourceError):
    """The vocabulary has no entry for labels of a source.

    Args:
        problem, file, value, remedy: as for every error; ``value`` is ``labels`` if it is not given.
        labels: the names of the labels, as the source has them.
    """

    def __init__(
        self,
        problem: str,
        *,
        labels: Iterable[str] = (),
        file: object = None,
        value: object = None,
        remedy: str = "",
    ) -> None:
        self.labels = tuple(labels)
        super().__init__(problem, file=file, value=value or ", ".join(self.labels) or None, remedy=remedy)


class FetchError(MISGroundError):
    """Something could not be fetched, or what came is not what was asked for."""


class BuildError(MISGroundError):
    """The build cannot start or finish: settings, target folder, nothing to ask."""


class DatasetNotFoundError(MISGroundError):
    """No MIS-Ground data set was found where it was looked for."""


class HubError(MISGroundError):
    """The Hub refused something, or could not be reached; or what is there does not go with what is to be sent."""
