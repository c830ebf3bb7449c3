"""Questions for a number: what they say, and whether the measurement is right, by formulas of the audit's own.

A diameter is the greatest extent over all directions; a centre is a moment of the mask; the body's thickness is sampled
along the line in the slice store. Boxes, points and masks are held to the label map elsewhere, so that what follows
from them must agree to the last digit.
"""

import re
from collections.abc import Iterator, Sequence
from math import atan2, degrees, hypot
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from dataset_builder.check.items import Item
from dataset_builder.check.maps import Map, Shown, window_limits
from dataset_builder.check.phrases import pattern, phrases
from dataset_builder.imaging.masks import decode_mask

if TYPE_CHECKING:
    from dataset_builder.check.question_text import Said

Problem = tuple[str, object]

SHARE, PIXELS = 0.1, 2.0
"""By how much an answer may miss a measurement: this share of it, and so many pixels at least."""
EXACT = 1e-6
EXACT_PIXELS = 1e-3
"""Lengths that differ by less are equal: directions are tried in steps."""
SLACK_DIAMETER = 0.006
"""Share by which a diameter and a width may differ: directions are tried in steps."""
SLACK_BODY_PIXELS = 1.01
AIR_ENDS_HU, AIR_ENDS_SHARE = -500.0, 0.12


# Text -----------------------------------------------------------------------------------------------------------------


def number_problems(item: Item, said: "Said") -> Iterator[Problem]:
    """What a question for a number says otherwise than the columns of its row: (problem, found)."""
    kinds = [kind for kind in phrases()["measure"] if pattern("measure", kind).search(said.asked)]
    if kinds != [item.relation]:
        yield "The question asks for something other than the column relation.", ", ".join(kinds) or "nothing"
    is_ratio = bool(pattern("ratio").search(said.asked))
    units = ["ratio"] if is_ratio else [unit for unit in phrases()["unit"] if pattern("unit", unit).search(said.asked)]
    if units != [item.unit]:
        yield "The question asks for another unit than the row.", ", ".join(units) or "none"
    stated = [scale for scale in phrases()["scale"] if pattern("scale", scale).search(said.context)]
    if stated != ([] if item.scale is None else [item.scale]):
        yield "The question gives another scale than the row.", ", ".join(stated) or "none"
    found = pattern("scale", "text").search(said.context)
    if found and abs(float(found[1]) - item.pixel_mm) > 6e-4 * item.pixel_mm:
        yield "The question states another size of a pixel.", f"{found[1]} mm, not {item.pixel_mm:.4g}"
    if item.relation == "distance":
        centres = [prompt for prompt in phrases()["centre"] if pattern("centre", prompt).search(said.asked)]
        if centres != [item.prompt]:
            yield "The question takes other centres than its markers show.", ", ".join(centres) or "none"
    yield from _roles(item, said)


def _roles(item: Item, said: "Said") -> Iterator[Problem]:
    """Which structures or lines are measured, and in which order."""
    if item.structures:
        expected = {1: [0], 2: [0, 1], 3: [0, 1, 0, 2]}[min(3, len(item.structures))]
        order = said.order
    else:
        letters = re.findall(r"\bline ([AB])\b", said.asked)
        order, expected = ["AB".index(letter) for letter in letters], list(range(len(item.lines)))
        marked = re.findall(r"\bmarked ([AB])(?: and ([AB]))?\b", said.context)
        if [letter for pair in marked for letter in pair if letter] != list("AB"[: len(item.lines)]):
            yield "The question states other lines than the row.", marked
    if order != expected:
        yield "The question measures other structures than the row, or in another order.", order


def answer_text_problems(item: Item) -> Iterator[Problem]:
    """Whether the text of an answer that is no option is the truth of its columns."""
    if item.is_choice:
        return
    if item.answer_type == "number":
        wanted = {"mm": " mm", "degree": " degrees", "ratio": ""}.get(item.unit or "")
        found = re.fullmatch(rf"(\d+(?:\.\d+)?){wanted}", item.answer)
        digits = len(found[1].partition(".")[2]) if found else 0
        if item.value is None or not found or abs(float(found[1]) - item.value) > 0.5001 * 10**-digits:
            yield "The answer is not the measurement, rounded.", f"{item.answer}, {item.value}"
        elif abs(float(found[1]) - item.value) > (item.tolerance or 0):
            yield "The answer is rounded by more than may be missed.", f"{item.answer}, {item.value}"
        return
    place = item.boxes[0] if item.answer_type == "box" else item.points[0]
    image = "" if item.answer_image is None else f"image {item.answer_image + 1}: "
    if item.answer != f"{image}{list(place)}":
        yield "The answer is not the box or point of the row.", f"{item.answer}, {place}"


# Truth ----------------------------------------------------------------------------------------------------------------


def measurement_problems(item: Item, here: Map, shown: Shown) -> Iterator[Problem]:
    """What is wrong with the measurement of a row: (problem, found)."""
    if item.value is None or item.tolerance is None:
        return  # reported with the columns
    lengths, slack = _lengths(item, here, shown)
    if lengths is None:
        yield "What is to be measured is not there.", item.relation
        return
    if item.unit == "degree":
        value = lengths[0]
        turned = [degrees(atan2(PIXELS, hypot(x1 - x0, y1 - y0))) for (x0, y0), (x1, y1) in item.lines]
        tolerance = max(SHARE * value, sum(turned))
    elif item.unit == "ratio":
        value = lengths[0] / lengths[1]
        tolerance = value * max(SHARE, PIXELS / lengths[0] + PIXELS / lengths[1])
        slack *= 2
    else:
        value = lengths[0] * shown.pixel_mm
        tolerance = max(SHARE * value, PIXELS * shown.pixel_mm)
    if abs(item.value - value) > slack * value:
        yield "The measurement is wrong.", f"{item.value:.4g}, not {value:.4g}"
    elif abs(item.tolerance - tolerance) > (slack + EXACT) * 2 * tolerance:
        yield (
            "The tolerance is not a tenth of the measurement, or two pixels.",
            f"{item.tolerance:.4g}, not {tolerance:.4g}",
        )
    shortest = min(lengths) * shown.pixel_mm if item.unit != "degree" else _shortest_line(item) * shown.pixel_mm
    if item.margin_mm > shortest * (1 + 0.05) + 3 * shown.pixel_mm:
        yield "The margin differs from that of the structures.", f"{item.margin_mm:g} mm, at most {shortest:g}"


def _shortest_line(item: Item) -> float:
    return min(hypot(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in item.lines)


def _lengths(item: Item, here: Map, shown: Shown) -> tuple[list[float] | None, float]:
    """What is measured, in pixels or degrees, and the share by which it may differ."""
    if item.relation == "angle":
        return ([_angle(*item.lines)], EXACT) if len(item.lines) == 2 else (None, 0)
    if item.relation == "body thickness":
        found = [body_pixels(line, item, here, shown) for line in item.lines]
        least = min(found, default=0)
        return (found, SLACK_BODY_PIXELS / least) if least > 0 else (None, 0)
    masks = [decode_mask(mask) for mask in item.masks]
    if not masks or not all(mask.any() for mask in masks):
        return None, 0
    if item.relation == "distance":
        centres = [_centre(item, number, mask) for number, mask in enumerate(masks)]
        return [hypot(x - centres[0][0], y - centres[0][1]) for x, y in centres[1:]] or None, EXACT
    extents = [extent_and_widths(mask) for mask in masks]
    if item.relation == "longest diameter":
        return [longest for longest, _ in extents], SLACK_DIAMETER
    if item.relation == "perpendicular diameter":
        longest, widths = extents[0]
        is_ratio = item.unit == "ratio"
        said = longest / (item.value or 1) if is_ratio else (item.value or 0) / shown.pixel_mm
        width = min(widths, key=lambda width: abs(width - said))
        return ([longest, width] if is_ratio else [width]), SLACK_DIAMETER
    return None, 0


def _angle(one: Sequence[Sequence[int]], other: Sequence[Sequence[int]]) -> float:
    """Between two lines, 0 to 90 degrees."""
    ways = [degrees(atan2(end[1] - start[1], end[0] - start[0])) for start, end in (one, other)]
    between = abs(ways[0] - ways[1]) % 180
    return min(between, 180 - between)


def _centre(item: Item, number: int, mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    if item.prompt == "box":
        x0, y0, x1, y1 = item.boxes[number]
        return x0 + (x1 - x0) / 2, y0 + (y1 - y0) / 2
    if item.prompt == "point":
        x, y = item.points[number]
        return x + 0.5, y + 0.5
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    return moments["m10"] / moments["m00"] + 0.5, moments["m01"] / moments["m00"] + 0.5


def extent_and_widths(mask: npt.NDArray[np.bool_]) -> tuple[float, list[float]]:
    """Greatest extent of an area over all directions, and its extent at right angles to that, in pixels.

    Where it reaches equally far in several directions there are as many widths.
    """
    rows, columns = np.nonzero(mask)
    corners = np.concatenate([np.stack([columns + dx, rows + dy], axis=1) for dx in (0, 1) for dy in (0, 1)])
    hull = cv2.convexHull(corners.astype(np.int32))[:, 0].astype(float)

    def extents(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        along = hull @ np.stack([np.cos(angles), np.sin(angles)])
        return np.asarray(along.max(axis=0) - along.min(axis=0))

    angles = np.deg2rad(np.arange(0, 180, 0.25))
    found = extents(angles)
    peaks = angles[(found >= np.roll(found, 1)) & (found >= np.roll(found, -1)) & (found >= found.max() - 1)]
    for step in (np.deg2rad(0.25), np.deg2rad(0.005)):
        around = peaks[:, None] + np.linspace(-step, step, 101)
        peaks = around[np.arange(len(peaks)), extents(around.ravel()).reshape(around.shape).argmax(axis=1)]
    longest = extents(peaks)
    equal = peaks[longest >= longest.max() - EXACT_PIXELS]
    return float(longest.max()), extents(equal + np.pi / 2).tolist()


def body_pixels(line: Sequence[Sequence[int]], item: Item, here: Map, shown: Shown) -> float:
    """How long a horizontal or vertical line lies in the body, in pixels, by the middles of its pixels in the slice."""
    (x0, y0), (x1, y1) = line
    if (x0 == x1) == (y0 == y1):
        return 0.0
    level = AIR_ENDS_HU
    if here.modality == "mri":
        low, high = window_limits(item.window)
        level = low + AIR_ENDS_SHARE * (high - low)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((here.grey > level).astype(np.uint8), connectivity=4)
    if count < 2:
        return 0.0
    body = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    pixels = [(x, y0) for x in range(shown.size)] if y0 == y1 else [(x0, y) for y in range(shown.size)]
    inside = []
    rows, columns = body.shape
    for at, (x, y) in enumerate(pixels):
        left, top, _, _ = shown.to_slice((x + 0.5, y + 0.5, x + 0.5, y + 0.5))
        column, row = int(np.floor(left / here.spacing[0] + 1e-9)), int(np.floor(top / here.spacing[1] + 1e-9))
        if 0 <= column < columns and 0 <= row < rows and body[row, column]:
            inside.append(at)
    return float(inside[-1] - inside[0] + 1) if inside else 0.0
