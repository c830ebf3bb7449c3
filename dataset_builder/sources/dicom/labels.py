"""Which structure a segment or a contoured region is: by its codes first, then by its name; sides must agree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builder.core.errors import LabelConflictError, UnknownLabelError, UnreadableError
from dataset_builder.core.factors import Side
from dataset_builder.sources.named_labels import NOTHING, near_misses
from dataset_builder.sources.unknown import how_to_add
from dataset_builder.vocabulary import Structure, find, normalise, structures
from dataset_builder.vocabulary.snomed import ANATOMY, BOTH, LESIONS, SIDES, Coded, snomed_codes

LONGEST = 256
"""Characters of a label's name; the standard allows 64."""
NOT_ANATOMY = frozenset(
    [
        "EXTERNAL",
        "PTV",
        "CTV",
        "GTV",
        "TREATED_VOLUME",
        "IRRAD_VOLUME",
        "BOLUS",
        "MARKER",
        "REGISTRATION",
        "ISOCENTER",
        "CONTRAST_AGENT",
        "CAVITY",
        "BRACHY_CHANNEL",
        "BRACHY_ACCESSORY",
        "BRACHY_SRC_APP",
        "BRACHY_CHNL_SHLD",
        "SUPPORT",
        "FIXATION",
        "DOSE_REGION",
        "DOSE_MEASUREMENT",
        "CONTROL",
    ]
)
"""Regions that declare not to be an organ (RT ROI Interpreted Type): they are left out."""


@dataclass(frozen=True)
class Region:
    """One segment of a segmentation, or one region of a structure set.

    Args:
        number: by which frames or contours refer to it.
        label: its name, as its author wrote it.
        structure: canonical name; ``None`` if it is to be left out.
        ignored: what is counted as left out: its name if the user wants it, what it declares to be if that is no organ.
        unknown: what is said of a region that the vocabulary lacks.
    """

    number: int
    label: str
    structure: str | None
    ignored: str = ""
    unknown: str = ""


def regions_of_seg(seg: Any, words: Mapping[str, Structure], ignored: frozenset[str]) -> list[Region]:
    """The segments of a segmentation.

    Args:
        words: structures by canonical name.
        ignored: normalised names of labels to leave out.

    Raises:
        LabelConflictError: if code and name of a segment state different sides.
    """
    described = [
        (
            int(segment.SegmentNumber),
            str(segment.get("SegmentLabel") or segment.get("SegmentDescription") or f"segment {segment.SegmentNumber}"),
            _code_of_segment(segment),
        )
        for segment in seg.get("SegmentSequence") or ()
    ]
    return _named(described, words, ignored)


def regions_of_rtstruct(structure_set: Any, words: Mapping[str, Structure], ignored: frozenset[str]) -> list[Region]:
    """The regions of a structure set; those that declare not to be an organ are left out.

    Raises:
        LabelConflictError: as :func:`regions_of_seg`.
    """
    observed = {
        int(one.ReferencedROINumber): one for one in structure_set.get("RTROIObservationsSequence") or () if one
    }
    described = []
    left_out = []
    for roi in structure_set.get("StructureSetROISequence") or ():
        number, label = int(roi.ROINumber), str(roi.get("ROIName") or f"region {roi.ROINumber}")
        observation = observed.get(number)
        kind = str(observation.get("RTROIInterpretedType") or "").upper() if observation is not None else ""
        code = None
        if observation is not None:
            code = next(_codes(observation.get("RTROIIdentificationCodeSequence")), None)
        if kind in NOT_ANATOMY and find(label, words) is None:
            left_out.append(Region(number, label, None, f"{kind} region"))
        else:
            described.append((number, label, (code, _sides(observation, "RTROIIdentificationCodeSequence"))))
    return left_out + _named(described, words, ignored)


Code = tuple[str | None, frozenset[str]]
"""A structure's code, if it has one, and the codes of sides that are stated beside it."""


def _code_of_segment(segment: Any) -> Code:
    category = next(_codes(segment.get("SegmentedPropertyCategoryCodeSequence")), None)
    if category in LESIONS:
        # A cyst in a kidney is not a kidney, and the side beside it is the kidney's.
        code = next(_codes(segment.get("SegmentedPropertyTypeCodeSequence")), None)
        return code if _is_lesion(code) else None, frozenset()
    if category is not None and category not in ANATOMY:
        return None, frozenset()
    sides = _sides(segment, "SegmentedPropertyTypeCodeSequence") | _sides(segment, "AnatomicRegionSequence")
    return next(_codes(segment.get("SegmentedPropertyTypeCodeSequence")), None), sides


def _is_lesion(code: str | None) -> bool:
    row = snomed_codes().get(code or "")
    return row is not None and row.name is not None and structures()[row.name].is_lesion


_MODIFIERS = (
    "SegmentedPropertyTypeModifierCodeSequence",
    "AnatomicRegionModifierSequence",
    "PrimaryAnatomicStructureModifierSequence",
    "RTROIIdentificationCodeModifierSequence",
)


def _sides(described: Any, sequence: str) -> frozenset[str]:
    """Codes of sides among the modifiers of a code, wherever the file keeps them."""
    if described is None:
        return frozenset()
    places = [described, *(described.get(sequence) or ())]
    found = {code for place in places for name in _MODIFIERS for code in _codes(place.get(name))}
    return frozenset(found & {*SIDES, BOTH})


def _codes(sequence: Any) -> Iterator[str]:
    """SNOMED CT codes of a sequence; the older SNOMED-RT ones are translated."""
    from pydicom.sr._snomed_dict import mapping

    for item in sequence or ():
        value = str(item.get("CodeValue") or item.get("LongCodeValue") or "")
        scheme = str(item.get("CodingSchemeDesignator") or "").upper()
        if scheme in ("SRT", "SNM3", "99SDM"):
            value = mapping["SRT"].get(value, "")
        elif scheme != "SCT":
            value = ""
        if value:
            yield value


def _named(
    described: Sequence[tuple[int, str, Code]], words: Mapping[str, Structure], ignored: frozenset[str]
) -> list[Region]:
    found = []
    for number, label, (code, sides) in described:
        if not label.isprintable() or len(label) > LONGEST:
            raise UnreadableError(
                "The name of a label is not text.",
                value=f"label {number}, {len(label)} characters",
                remedy="Export the segmentation again from the program that it was drawn in.",
            )
        if number == 0 or normalise(label) in ignored | NOTHING:
            found.append(Region(number, label, None, normalise(label) if normalise(label) in ignored else ""))
            continue
        by_name = find(label, words)
        structure = _by_code(label, code, sides, by_name, words) or (by_name.name if by_name else None)
        if by_name is not None and by_name.is_lesion:
            structure = by_name.name  # "left renal cyst" says more than a cyst's code, and than its organ's
        unknown = ""
        if structure is None:
            unknown = label if code is None or code not in snomed_codes() else _with_meaning(label, code, sides)
        found.append(Region(number, label, structure, unknown=unknown))
    return found


def check_known(regions: Iterable[Region], words: Mapping[str, Structure]) -> None:
    """Refuse regions that the vocabulary lacks.

    Raises:
        UnknownLabelError: names them, near misses, and the rows to add.
    """
    unknown = [region.unknown for region in regions if region.unknown]
    if unknown:
        raise UnknownLabelError(
            "The vocabulary has no entry for some labels of the segmentation.",
            value=", ".join(unknown),
            remedy=f"{near_misses(unknown, words)}Leave labels out with --ignore-labels, or rename those that are "
            f"known under another name. {how_to_add(unknown, words)}",
        )


def _with_meaning(label: str, code: str, sides: Iterable[str]) -> str:
    side = "both sides" if BOTH in sides else "no side"
    return f"{label} ({snomed_codes()[code].meaning}, {side} stated)"


def _by_code(
    label: str, code: str | None, sides: frozenset[str], by_name: Structure | None, words: Mapping[str, Structure]
) -> str | None:
    """The structure that the code means; ``None`` if it does not say which."""
    row: Coded | None = snomed_codes().get(code or "")
    stated: set[Side] = {SIDES[side] for side in sides if side in SIDES}
    if len(stated) > 1:
        stated = set()
    side = next(iter(stated), None)
    if side and by_name is not None and by_name.side not in (None, side):
        raise _conflict(label, f"its code says {side}")
    if row is None or BOTH in sides:
        return None
    structure = row.of(side)
    if structure is None and side is not None and row.name is not None:
        # "Left" beside the left ventricle says nothing new; beside the liver it means a part of it.
        structure = row.name if row.name in words and words[row.name].side == side else None
    if structure is None or structure not in words:
        return None
    if by_name is not None and by_name.side and words[structure].side and by_name.side != words[structure].side:
        raise _conflict(label, f"its code says {words[structure].side}")
    return structure


def _conflict(label: str, other: str) -> LabelConflictError:
    return LabelConflictError(
        "Name and code of a segment state different sides.",
        value=f"{label}: {other}",
        remedy="Find out which is right, and correct the other in the program that wrote the segmentation.",
    )
