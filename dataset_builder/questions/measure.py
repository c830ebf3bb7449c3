"""Questions for a number: lengths in mm, ratios of lengths and angles, measured in the image as it is shown.

The question says exactly what is measured, and how large a pixel is: in words, by a scale bar, or not at all, where it
asks for a ratio. All truths follow from the row's own masks, boxes and points and from the size of its pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
import numpy.typing as npt

from dataset_builder.core.factors import MeasureUnit, Plane, Prompt, Scale
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.body import body_levels, body_mask, reach
from dataset_builder.imaging.diameters import Line, angle_between, diameters, turn_by
from dataset_builder.imaging.geometry import AXIS_DIRECTIONS, IN_PLANE_AXES, DisplayTransform
from dataset_builder.imaging.masks import encode_mask
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.measured import has_room
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import choose_window
from dataset_builder.pictures.scale_bar import bar_length_mm
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.facts.measures import axis_line
from dataset_builder.questions.question import Names, Question, make_question
from dataset_builder.questions.sampling import Unit, units_by_kind
from dataset_builder.questions.wording import context, marker_sentence, references, wording
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure

TOLERANCE, TOLERANCE_PIXELS = 0.1, 2.0
"""An answer may miss a measurement by this share of it, and by so many pixels at least."""
AT_LINES = ("body thickness", "angle")
"""What is measured at drawn lines instead of marked structures."""


def prompts_of(fact: Fact) -> tuple[Prompt, ...]:
    """Prompts with which a fact can be asked: distances between what a marker shows, diameters of an outlined area."""
    if fact.kind == "distance":
        return "point", "box", "mask"
    return ("none",) if fact.kind in AT_LINES else ("mask",)


def scales_of(fact: Fact) -> tuple[Scale | None, ...]:
    """How the size of a pixel can be given: where two lengths are compared, not at all."""
    if fact.kind == "angle":
        return (None,)
    if fact.kind == "perpendicular diameter":
        return "text", "bar", "none"
    two = len(fact.structures) == (3 if fact.kind == "distance" else 2) or len(fact.options) == 2
    return ("none",) if two else ("text", "bar")


def choose_measures(
    planes: Sequence[Plane], facts: Sequence[Sequence[Fact]], settings: Settings, identity: str
) -> list[Unit]:
    """The units for a number to ask of a volume's slices: all, or a sample in which planes and measures take turns.

    Args:
        planes: plane of each slice.
        facts: of each slice.
        identity: what names the volume ("source/subject").
    """
    found: dict[tuple[Plane, str, str], list[tuple[int, Fact]]] = {}
    for position, (plane, of_slice) in enumerate(zip(planes, facts, strict=True)):
        for fact in of_slice:
            asked = [prompt for prompt in prompts_of(fact) if prompt in settings.prompts]
            if fact.terminology in settings.terminologies and asked:
                found.setdefault((plane, fact.kind, "none" * ("none" in scales_of(fact))), []).append((position, fact))

    def axes(fact: Fact) -> tuple[Sequence, ...]:
        prompts = [prompt for prompt in prompts_of(fact) if prompt in settings.prompts]
        return prompts, settings.registers, settings.conventions, scales_of(fact)

    rows = settings.measure_questions_per_volume
    return units_by_kind(found, axes, _unit, settings, rows, ("measures", "measure cells"), identity)


def _unit(position: int, fact: Fact, variant: tuple) -> Unit:
    prompt, register, convention, scale = variant
    return Unit(position, fact, prompt, register, convention, "patient", answer_type="number", scale=scale)


@dataclass(frozen=True)
class Measured:
    """A measurement: the truth, its unit, and by how much an answer may miss it."""

    value: float
    unit: MeasureUnit
    tolerance: float


def measured_length(pixels: float, pixel_mm: float) -> Measured:
    """A length in mm."""
    value = pixels * pixel_mm
    return Measured(value, "mm", max(TOLERANCE * value, TOLERANCE_PIXELS * pixel_mm))


def measured_ratio(pixels: float, by: float) -> Measured:
    """A length divided by another one; both may be missed by so many pixels."""
    value = pixels / by
    return Measured(value, "ratio", max(TOLERANCE, TOLERANCE_PIXELS * (1 / pixels + 1 / by)) * value)


def measured_angle(one: Line, other: Line) -> Measured:
    """The angle between two lines; each may be turned by as much as moving one of its ends by so many pixels does."""
    value = angle_between(one, other)
    turned = turn_by(one, TOLERANCE_PIXELS) + turn_by(other, TOLERANCE_PIXELS)
    return Measured(value, "degree", max(TOLERANCE * value, turned))


def ask_for_number(
    unit: Unit, record: SliceRecord, settings: Settings, structures: Mapping[str, Structure]
) -> Question | None:
    """The question of a unit about a slice; ``None`` if its scale bar has no room.

    Args:
        record: the slice that the unit's fact was found in.
        structures: the vocabulary.
    """
    fact, register, size = unit.fact, unit.register, settings.image_size
    transform = DisplayTransform(record.shape, record.spacing, unit.convention, size)
    shown = transform.show_labels(record.labels)
    value_of = {name: value for value, name in record.names.items()}
    areas = {name: np.asarray(shown == value_of[name]) for name in fact.structures}
    marked = () if fact.kind in AT_LINES else fact.structures
    where = placements(record, unit.convention, size)
    boxes, points = tuple(where[name].box for name in marked), tuple(where[name].point for name in marked)
    lines = _lines(fact, record, transform, areas)
    found = _measure(unit, areas, boxes, points, lines, record, transform)
    bar_mm = bar_length_mm(transform.pixel_mm, size) if unit.scale == "bar" else None
    if bar_mm and not has_room(bar_mm, transform.pixel_mm, list(areas.values()), lines, size):
        return None
    letters = LETTERS[: len(marked or lines)]
    sentences = [
        context(record.modality, record.plane, unit.convention, register),
        marker_sentence(unit.prompt, letters, boxes, points, size) if marked else _line_sentence(len(lines)),
        _scale_sentence(unit.scale, size, transform.pixel_mm, bar_mm),
        _asked(unit, found.unit, [structures[name] for name in marked], record.side is not None),
    ]
    return make_question(
        unit,
        record,
        Names.of(unit, record, settings),
        0,
        sentences=sentences,
        options=(),
        answer=value_text(found.value, found.unit),
        prior_answer="",
        template=f"{fact.kind}.0",
        relation=fact.kind,
        structures=marked,
        boxes=boxes,
        points=points if marked else tuple(end for line in lines for end in line),
        box_images=(0,) * len(boxes),
        window=choose_window(record, sorted(fact.structures), structures),
        input="slice",
        view="plain",
        masks=tuple(encode_mask(areas[name]) for name in marked),
        value=found.value,
        unit=found.unit,
        tolerance=found.tolerance,
        bar_mm=bar_mm,
    )


def value_text(value: float, unit: MeasureUnit) -> str:
    """A measurement as one would say it.

    >>> value_text(83.4, "mm"), value_text(7.25, "mm"), value_text(1.618, "ratio")
    ('83 mm', '7.2 mm', '1.62')
    """
    digits = 2 if unit == "ratio" else 0 if value >= 10 else 1
    return wording()["measured"][unit].format(value=f"{value:.{digits}f}")


def _lines(
    fact: Fact, record: SliceRecord, transform: DisplayTransform, areas: Mapping[str, npt.NDArray[np.bool_]]
) -> list[Line]:
    """The lines that are drawn; none where structures are marked."""
    if fact.kind == "angle":
        return [axis_line(diameters(areas[name]), transform.image_size) for name in fact.structures]
    if fact.kind != "body thickness":
        return []
    along = _along(fact, record)
    lines = []
    for index in map(int, fact.options):
        ends = []
        for end in (0, record.shape[along] - 1):
            uv = (end, index) if along == 0 else (index, end)
            x, y = np.clip(np.floor(transform.to_pixels(uv)), 0, transform.image_size - 1).astype(int).tolist()
            ends.append((x, y))
        first, last = sorted(ends)
        lines.append((first, last))
    return lines


def _along(fact: Fact, record: SliceRecord) -> int:
    """The in-plane axis that lines through the body run along."""
    names = [f"{high}_{low}" for low, high in (AXIS_DIRECTIONS[axis] for axis in IN_PLANE_AXES[record.plane])]
    return names.index(fact.axis or "")


def _measure(
    unit: Unit,
    areas: Mapping[str, npt.NDArray[np.bool_]],
    boxes: Sequence[Sequence[int]],
    points: Sequence[Sequence[int]],
    lines: Sequence[Line],
    record: SliceRecord,
    transform: DisplayTransform,
) -> Measured:
    kind = unit.fact.kind
    if kind == "angle":
        return measured_angle(*lines)
    if kind == "distance":
        centres = [centre(unit.prompt, *of) for of in zip(areas.values(), boxes, points, strict=True)]
        lengths = [hypot(x - centres[0][0], y - centres[0][1]) for x, y in centres[1:]]
    elif kind == "body thickness":
        level = body_levels(record.modality, record.intensity_range)[1]
        body = transform.show_labels(body_mask(record.image, level).astype(np.uint8)) > 0
        lengths = [body_length(body, line) for line in lines]
    else:
        shapes = [diameters(area) for area in areas.values()]
        lengths = [shape.longest for shape in shapes]
        if kind == "perpendicular diameter":
            lengths = [shapes[0].longest, shapes[0].width] if unit.scale == "none" else [shapes[0].width]
    if unit.scale == "none":
        return measured_ratio(*lengths)
    return measured_length(lengths[0], transform.pixel_mm)


def centre(
    prompt: Prompt, area: npt.NDArray[np.bool_], box: Sequence[int], point: Sequence[int]
) -> tuple[float, float]:
    """What counts as the centre of a marked structure, in pixels: centroid of its area, centre of its box, its dot."""
    if prompt == "mask":
        rows, columns = np.nonzero(area)
        return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5
    if prompt == "box":
        return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return point[0] + 0.5, point[1] + 0.5


def body_length(body: npt.NDArray[np.bool_], line: Line) -> int:
    """How many pixels of a horizontal or vertical line lie between the first and the last of the body, with both."""
    (x0, y0), (_, y1) = line
    ends = reach(body[y0] if y0 == y1 else body[:, x0])
    return ends[1] - ends[0] if ends else 0


def _line_sentence(count: int) -> str:
    return wording()["line_marker"]["one" if count == 1 else "many"]


def _scale_sentence(scale: Scale | None, size: int, pixel_mm: float, bar_mm: int | None) -> str:
    """How large a pixel is; empty where that does not matter."""
    return "" if scale is None else wording()["scale"][scale].format(size=size, pixel=f"{pixel_mm:.4g}", bar=bar_mm)


def _asked(unit: Unit, measured_in: MeasureUnit, marked: Sequence[Structure], is_limb: bool) -> str:
    """What is to be measured."""
    key = unit.fact.kind + (" ratio" if measured_in == "ratio" else "")
    called = dict(zip("abc", (name for name, _ in references(unit.prompt, marked, unit.register)), strict=False))
    centres = wording()["centres"].get(unit.prompt, {}).get("one", "")
    part = "limb" if is_limb else "body"
    return wording()["measurements"][key][unit.register].format(**called, centre=centres, part=part)
