"""Images of slices: grey values through a window, markers drawn on top at the final size.

Each marker has its own colour by letter, from the palette of Okabe and Ito, which colour-blind readers can distinguish.
The pixels that say where a structure is (box line, core of a dot, contour of a mask) have exactly the colour of
``MARKER_COLOURS``; letters and leaders have a lighter tint of it, so that a program can find a marker by its colour:

* ``box``: the line runs just outside the half-open box, so that the box is what it encloses; where the box reaches the
  edge of the image the line is cut off.
* ``point``, ``label``: the centre pixel of the dot is the structure's point.
* ``mask``: the contour is the border of the structure's own pixels; the fill inside it is light.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from dataset_builder.core.factors import DRAWN_PROMPTS, Convention, Prompt, View
from dataset_builder.imaging.geometry import DisplayTransform
from dataset_builder.pictures.letters import LETTERS, Mark, Rectangle, Strokes, glyph, leader, place_letters
from dataset_builder.pictures.occlusion import hide
from dataset_builder.pictures.placement import placements
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure, structures

Colour = tuple[int, int, int]

MARKER_COLOURS: dict[str, Colour] = {"A": (213, 94, 0), "B": (86, 180, 233), "C": (240, 228, 66)}
"""RGB of each letter's marker: vermillion, sky blue and yellow, the three that stay farthest apart under simulated
protanopia, deuteranopia and tritanopia, and away from grey."""

LETTER_COLOURS: dict[str, Colour] = {
    letter: (r + (255 - r) * 2 // 5, g + (255 - g) * 2 // 5, b + (255 - b) * 2 // 5)
    for letter, (r, g, b) in MARKER_COLOURS.items()
}
"""RGB of letters and leaders: the marker's colour, lighter."""

DARK: Colour = (16, 16, 16)
"""RGB of the rim around markers and letters, for contrast on bright tissue."""

FILL = 0.25
"""Opacity of the fill of a mask."""


@dataclass(frozen=True)
class Window:
    """Which values are shown from black (``low``) to white (``high``).

    >>> str(Window("soft tissue", -160, 240))
    'soft tissue W400 L40'
    """

    name: str
    low: float
    high: float

    def __str__(self) -> str:
        if self.name.startswith("percentiles"):
            return f"{self.name} ({self.low:g}-{self.high:g})"
        return f"{self.name} W{self.high - self.low:g} L{(self.low + self.high) / 2:g}"


@cache
def ct_windows() -> Mapping[str, Window]:
    """The windows of ``vocabulary/windows.yaml``, by the tissue that needs them."""
    text = resources.files("dataset_builder.vocabulary").joinpath("windows.yaml").read_text(encoding="utf-8")
    return {
        tissue: Window(row["name"], row["level"] - row["width"] / 2, row["level"] + row["width"] / 2)
        for tissue, row in yaml.safe_load(text).items()
    }


def choose_window(
    record: SliceRecord, names: Sequence[str], vocabulary: Mapping[str, Structure] | None = None
) -> Window:
    """The window for a question about these structures.

    CT: the bone or lung window if all structures need it, but for lesions in a lung, else the soft tissue window. MRI
    has no fixed scale: the range of the volume without its extremes.

    Args:
        names: canonical names.
        vocabulary: structures by name; the package's own if not given. A name that it lacks counts as soft tissue.
    """
    if record.modality == "mri":
        low, high = record.intensity_range
        return Window("percentiles 0.5-99.5", float(low), float(high))
    known = structures() if vocabulary is None else vocabulary
    tissues = {name: known[name].tissue if name in known else "soft" for name in names}
    needed = set(tissues.values())
    if of_anatomy := {tissue for name, tissue in tissues.items() if name not in known or not known[name].is_lesion}:
        needed = of_anatomy if of_anatomy == {"lung"} else needed  # a nodule in a lobe: the fissures must be seen
    return ct_windows()[needed.pop() if len(needed) == 1 else "soft"]


def to_grey(values: npt.NDArray, window: Window) -> npt.NDArray[np.uint8]:
    """Values as grey: ``low`` and below 0, ``high`` and above 255, linear between; one value only is black."""
    width = window.high - window.low if window.high > window.low else 1.0
    shown = (values.astype(np.float32) - np.float32(window.low)) * np.float32(255 / width)
    return np.round(np.clip(shown, 0, 255)).astype(np.uint8)


def show(
    record: SliceRecord,
    convention: Convention,
    window: Window,
    image_size: int,
    view: View = "plain",
    hidden: Sequence[str] = (),
) -> npt.NDArray[np.uint8]:
    """The image of a slice without markers: uint8 [S, S], grey. See :func:`draw`.

    Args:
        hidden: structures of which nothing is to be seen.
    """
    transform = DisplayTransform(record.shape, record.spacing, convention, image_size, view)
    grey = to_grey(record.image, window)
    return transform.show_image(hide(grey, record, hidden) if hidden else grey)


def draw(
    record: SliceRecord,
    convention: Convention,
    prompt: Prompt,
    names: Sequence[str],
    window: Window,
    image_size: int,
    *,
    view: View = "plain",
    blank: bool = False,
    letters: Sequence[str] = LETTERS,
    grey: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.uint8]:
    """The image of a slice, with the markers of a prompt.

    Args:
        names: the structures to mark, A first; at most three. Not looked at if the prompt draws nothing.
        image_size: side S of the image.
        view: how the image is turned; markers are drawn after that, so that letters stay upright.
        blank: leave the scan out and draw the markers on black.
        letters: of the structures, where not A, B, C.
        grey: what :func:`show` makes of the slice, if that is at hand; it stays as it is.

    Returns:
        uint8 [S, S] (grey) if the prompt draws nothing, else uint8 [S, S, 3] (RGB).

    Raises:
        ValueError: if a structure to mark is not visible in the slice.
    """
    transform = DisplayTransform(record.shape, record.spacing, convention, image_size, view)
    if blank:
        grey = np.zeros((image_size, image_size), np.uint8)
    elif grey is None:
        grey = show(record, convention, window, image_size, view)
    if prompt not in DRAWN_PROMPTS:
        return grey
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if not names:
        return picture
    where = placements(record, convention, image_size, view)
    values = {name: value for value, name in record.names.items()}
    labels = transform.show_labels(record.labels)
    for name in names:
        if name not in where:
            raise ValueError(f"{name} is not visible in this slice; visible are: {', '.join(sorted(where))}")
        # A structure that falls between the pixels of a small image is shown as the one pixel that it lies in.
        if not (labels == values[name]).any():
            x, y = where[name].point
            labels[y, x] = values[name]
    marks = [Mark(where[name].box, where[name].point, labels == values[name]) for name in names]
    return draw_markers(picture, prompt, marks, letters)


def draw_markers(
    picture: npt.NDArray[np.uint8], prompt: Prompt, marks: Sequence[Mark], letters: Sequence[str] = LETTERS
) -> npt.NDArray[np.uint8]:
    """An image with markers and their letters on it.

    Args:
        image: RGB uint8 [S, S, 3]; left as it is.
        prompt: one that draws: ``label``, ``point``, ``box`` or ``mask``.
        marks: what to mark; at most three.
        letters: the letter of each, of A, B and C.
    """
    if prompt not in DRAWN_PROMPTS:
        raise ValueError(f"The prompt {prompt!r} draws nothing; prompts that do: {', '.join(DRAWN_PROMPTS)}")
    if len(marks) > len(letters):
        raise ValueError(f"{len(marks)} structures to mark; there are letters for {len(letters)}")
    shown = picture.copy()
    image_size = shown.shape[0]
    strokes = Strokes.of(image_size)
    lines = np.zeros((image_size, image_size), np.uint8)
    lettered = list(zip(letters, marks, strict=False))
    if prompt == "mask":
        _draw_masks(shown, lettered, strokes, lines)
    elif prompt == "box":
        _draw_boxes(shown, lettered, strokes, lines)
    rectangles = place_letters(prompt, marks, image_size, lines)
    if prompt == "label":
        _draw_leaders(shown, lettered, rectangles, strokes)
    for (letter, _), rectangle in zip(lettered, rectangles, strict=True):
        draw_letter(shown, letter, rectangle, image_size)
    # Dots last: nothing may cover what says where a structure is.
    if prompt in ("label", "point"):
        _draw_dots(shown, lettered, strokes.tip if prompt == "label" else strokes.dot, strokes.rim)
    return shown


Lettered = Sequence[tuple[str, Mark]]


def _draw_masks(shown: npt.NDArray[np.uint8], marks: Lettered, strokes: Strokes, lines: npt.NDArray[np.uint8]) -> None:
    for letter, mark in marks:
        x0, y0, x1, y1 = mark.box
        area, mask = shown[y0:y1, x0:x1], mark.mask[y0:y1, x0:x1]
        colour = np.array(MARKER_COLOURS[letter], np.float32)
        area[mask] = np.round(area[mask] * np.float32(1 - FILL) + colour * np.float32(FILL)).astype(np.uint8)
        across = 2 * strokes.line + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
        # Outside of the box nothing belongs to the structure, hence the border of zeros.
        padded = np.pad(mask.view(np.uint8), strokes.line)
        inner = cv2.erode(padded, kernel)[strokes.line : -strokes.line, strokes.line : -strokes.line]
        contour = mask & (inner == 0)
        area[contour] = MARKER_COLOURS[letter]
        lines[y0:y1, x0:x1][contour] = 1


def _draw_boxes(shown: npt.NDArray[np.uint8], marks: Lettered, strokes: Strokes, lines: npt.NDArray[np.uint8]) -> None:
    for _, mark in marks:
        _frame(shown, mark.box, strokes.line, strokes.line + strokes.rim, DARK)
    own = np.zeros((len(marks), *lines.shape), np.uint8)
    for each, (_, mark) in enumerate(marks):
        _frame(own[each], mark.box, 0, strokes.line, 1)
    np.max(own, axis=0, out=lines)
    count = own.sum(axis=0)
    # Where lines run on top of each other they take turns, so that none is hidden.
    rows, columns = np.nonzero(count > 1)
    turn = (rows + columns) // (4 * strokes.line) % np.maximum(count[rows, columns], 1)
    rank = own[:, rows, columns].cumsum(axis=0) - 1
    own[:, rows, columns] &= rank == turn
    for (letter, _), line in zip(marks, own, strict=True):
        shown[line == 1] = MARKER_COLOURS[letter]


def _frame(
    target: npt.NDArray[np.uint8], box: Rectangle, inner: int, outer: int, value: int | tuple[int, int, int]
) -> None:
    """Fill what lies at least ``inner`` and less than ``outer`` pixels outside a box; cut off at the image."""
    size = target.shape[0]

    def clip(x0: int, y0: int, x1: int, y1: int) -> tuple[slice, slice]:
        return slice(max(0, y0), max(0, min(size, y1))), slice(max(0, x0), max(0, min(size, x1)))

    x0, y0, x1, y1 = box
    for part in (
        (x0 - outer, y0 - outer, x1 + outer, y0 - inner),
        (x0 - outer, y1 + inner, x1 + outer, y1 + outer),
        (x0 - outer, y0 - outer, x0 - inner, y1 + outer),
        (x1 + inner, y0 - outer, x1 + outer, y1 + outer),
    ):
        target[clip(*part)] = value


_SHIFT = 4  # OpenCV takes coordinates in 1/16 pixels


def _fixed(point: tuple[float, float]) -> tuple[int, int]:
    """A position in pixel coordinates for OpenCV, which counts pixel centres at whole numbers."""
    x, y = point
    return round((x - 0.5) * (1 << _SHIFT)), round((y - 0.5) * (1 << _SHIFT))


def _draw_leaders(
    shown: npt.NDArray[np.uint8], marks: Lettered, rectangles: Sequence[Rectangle], strokes: Strokes
) -> None:
    for extra, colours in ((2 * strokes.rim, None), (0, LETTER_COLOURS)):
        for (letter, mark), rectangle in zip(marks, rectangles, strict=True):
            start, end = leader(rectangle, mark.point)
            colour = colours[letter] if colours else DARK
            cv2.line(shown, _fixed(start), _fixed(end), colour, strokes.line + extra, cv2.LINE_AA, _SHIFT)


def _draw_dots(shown: npt.NDArray[np.uint8], marks: Lettered, radius: int, rim: int) -> None:
    # Dots of structures close to each other get smaller, so that each stays whole: down to a pixel each.
    distances = [
        float(np.hypot(a.point[0] - b.point[0], a.point[1] - b.point[1]))
        for i, (_, a) in enumerate(marks)
        for _, b in marks[i + 1 :]
    ]
    if distances:
        least = 1 if min(distances) >= 2 else 0
        radius = max(least, min(radius, *(int(distance / 2) - rim for distance in distances)))
    for extra, colours in ((rim, None), (0, MARKER_COLOURS)):
        for letter, mark in marks:
            _disc(shown, mark.point, radius + extra, colours[letter] if colours else DARK)


def _disc(shown: npt.NDArray[np.uint8], centre: tuple[int, int], radius: int, colour: Colour) -> None:
    """A filled circle with a smooth edge; OpenCV's own is not symmetric, so that its middle is not its centre."""
    x, y = centre
    reach = radius + 1
    x0, y0 = max(0, x - reach), max(0, y - reach)
    area = shown[y0 : y + reach + 1, x0 : x + reach + 1]
    rows, columns = np.ogrid[: area.shape[0], : area.shape[1]]
    covered = np.clip(max(radius + 0.5, 1) - np.hypot(columns + x0 - x, rows + y0 - y), 0, 1)[..., None]
    area[:] = np.round(area * (1 - covered) + np.array(colour) * covered).astype(np.uint8)


def draw_letter(shown: npt.NDArray[np.uint8], letter: str, rectangle: Rectangle, image_size: int) -> None:
    """Draw a letter into an image, in place."""
    fill, outline = (part[..., None] for part in glyph(letter, image_size))
    x0, y0, x1, y1 = rectangle
    area = shown[y0:y1, x0:x1].astype(np.float32)
    area = area * (1 - outline) + np.array(DARK, np.float32) * outline
    area = area * (1 - fill) + np.array(LETTER_COLOURS[letter], np.float32) * fill
    shown[y0:y1, x0:x1] = np.round(area).astype(np.uint8)


def encode_png(picture: npt.NDArray[np.uint8]) -> bytes:
    """An image as PNG without loss: [S, S] as 8-bit grey, [S, S, 3] as RGB; equal bytes for equal pixels."""
    shown = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    # Measured (tests/benchmarks/images.py): the smallest in less than 6 ms. Equal channels upset run-length matching.
    if picture.ndim == 2:
        options = [cv2.IMWRITE_PNG_COMPRESSION, 6, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    else:
        options = [cv2.IMWRITE_PNG_COMPRESSION, 2, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    done, data = cv2.imencode(".png", shown, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {picture.shape}, type {picture.dtype}")
    return data.tobytes()


def encode_png_rgba(image: npt.NDArray[np.uint8]) -> bytes:
    """An image with opacity, uint8 [S, S, 4], as PNG without loss."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape}, type {image.dtype}")
    return data.tobytes()
