"""An oracle for positions and measurements that sees only the images and the text of a request, behind a chat server.

It finds the one white area of a blank image, the markers by their colours and the scale bar by its own, and writes its
answer as the text asks, in numbers that it makes itself. Told to speak one form whatever is asked, it shows what a
wrongly declared form scores.
"""

import base64
import math
import re
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.ndimage import binary_fill_holes
from scipy.spatial.distance import cdist

from dataset_builder.pictures.render import MARKER_COLOURS
from dataset_builder.pictures.scale_bar import BAR_COLOUR
from tests.helpers.chat_server import ChatServer

Pixels = np.ndarray

FORMS = {
    "pixel": ("[x0, y0, x1, y1]", None, 0),
    "norm1000": ("[x0, y0, x1, y1]", 1000, 0),
    "norm1": ("[x0, y0, x1, y1]", 1, 3),
    "percent": ("[x0, y0, x1, y1]", 100, 1),
    "yx1000": ("[y0, x0, y1, x1]", 1000, 0),
    "loc1024": ("<locY0><locX0><locY1><locX1>", 1023, 0),
}
"""How a form writes a box, what the whole width is in it (None: pixels), and its decimals."""


class PlaceServer(ChatServer):
    """A server whose model answers right; with ``speaks`` in that form, whatever the question asks for."""

    def __init__(self, speaks: str = "") -> None:
        super().__init__()
        self.speaks = speaks

    def _answered(self, kind: str, mode: str, sent: dict[str, Any], *_: Any) -> tuple[int, Any, dict[str, str]]:
        text, images = shown(sent)
        message = {"role": "assistant", "content": answer(text, images, self.speaks)}
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}, {}


def shown(sent: dict[str, Any]) -> tuple[str, list[Pixels]]:
    """The text and the images of a request."""
    parts = [part for message in sent["messages"] for part in message["content"]]
    encoded = [part["image_url"]["url"].split(",", 1)[1] for part in parts if part["type"] == "image_url"]
    images = [np.asarray(Image.open(BytesIO(base64.b64decode(each))).convert("RGB")) for each in encoded]
    return "".join(part["text"] for part in parts if part["type"] == "text"), images


def answer(text: str, images: Sequence[Pixels], speaks: str = "") -> str:
    """The answer to a question for a position or a number."""
    if "Answer with the number" in text:
        return measured(text, images[0])
    white = [(image == 255).all(axis=-1) for image in images]
    number = max(range(len(white)), key=lambda n: white[n].sum())
    height, width = white[number].shape
    on_sheet = re.search(r"The (\d+) images are panels of one sheet", text)
    if on_sheet:  # which numbers its panels, in white too
        white[number] = largest_piece(white[number])
    rows, columns = np.nonzero(white[number])
    if on_sheet:
        number = panel_of(columns.mean() / width, rows.mean() / height, int(on_sheet[1]))
    if "Answer with the bounding box" in text:
        position = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    else:
        middle = np.hypot(columns - columns.mean(), rows - rows.mean()).argmin()
        position = [columns[middle] + 0.5, rows[middle] + 0.5]
    written = in_form(text, position, (width, height), speaks)
    return f"image {number + 1}: {written}" if "image N:" in text else written


def largest_piece(mask: Pixels) -> Pixels:
    """The largest connected area."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


def panel_of(x: float, y: float, count: int) -> int:
    """The number from 0 of the panel at shares of a sheet's width and height: in rows, about as many as columns."""
    columns = math.ceil(math.sqrt(count))
    return int(y * math.ceil(count / columns)) * columns + int(x * columns)


def in_form(text: str, position: Sequence[float], size: tuple[int, int], speaks: str) -> str:
    """Edges or a point's centre, in the form that the text asks for or in the one that is spoken."""
    if speaks:
        pattern, whole, digits = FORMS[speaks]
    else:
        pattern = re.search(r"written as (?:image N: )?(\[[^]]*\]|(?:<\w+>)+)", text)[1]
        whole, digits = None, 0
        stated = re.search(r"(\d+) pixels wide and (\d+) pixels high", text)
        if stated:
            seen = int(stated[1]), int(stated[2])
            position = [number * seen[n % 2] / size[n % 2] for n, number in enumerate(position)]
        elif "in per cent" in text:
            whole, digits = 100, 1
        elif "location tokens" in text:
            whole = 1023
        else:
            whole = int(re.search(r"numbers from 0 to (\d+)", text)[1])
            digits = 3 if whole == 1 else 0
    numbers = [number if whole is None else number * whole / size[n % 2] for n, number in enumerate(position)]
    if re.match(r"[\[<](?:loc)?y", pattern, re.I):
        numbers = [number for n in range(0, len(numbers), 2) for number in numbers[n : n + 2][::-1]]
    if pattern.startswith("<"):
        return "".join(f"<loc{round(number):04d}>" for number in numbers)
    if whole is None and len(numbers) == 2:
        numbers = [math.floor(number) for number in numbers]
    return f"[{', '.join(f'{number:.{digits}f}' for number in numbers)}]"


# --------------------------------------------------------------------------------------------------------- measuring


def marked(image: Pixels, letter: str) -> Pixels:
    """bool[H, W]: the pixels of a letter's marker."""
    return cv2.inRange(image, MARKER_COLOURS[letter], MARKER_COLOURS[letter]) > 0


def enclosed(image: Pixels, letter: str) -> Pixels:
    return binary_fill_holes(marked(image, letter))


def centre(image: Pixels, letter: str) -> Pixels:
    """x and y of what a marker encloses: of a box, of a dot, of an area."""
    return np.argwhere(enclosed(image, letter)).mean(axis=0)[::-1]


def corners(area: Pixels) -> Pixels:
    """float[N, 2]: x and y of the corners of an area's pixels that its hull goes through."""
    found, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate(found).reshape(-1, 2)
    every = np.concatenate([points + step for step in ((0, 0), (1, 0), (0, 1), (1, 1))])
    return cv2.convexHull(every.astype(np.int32)).reshape(-1, 2).astype(float)


def diameters(area: Pixels) -> tuple[float, float]:
    """The longest line in an area, and its width at right angles to it."""
    hull = corners(area)
    apart = cdist(hull, hull)
    one, other = np.unravel_index(apart.argmax(), apart.shape)
    along = (hull[other] - hull[one]) / apart.max()
    across = hull @ np.array([-along[1], along[0]])
    return float(apart.max()), float(np.ptp(across))


def ends(image: Pixels, letter: str) -> tuple[Pixels, Pixels]:
    """x and y of the two ends of a marked line."""
    rows, columns = np.nonzero(marked(image, letter))
    points = np.stack([columns, rows], axis=1).astype(float)
    apart = cdist(points, points)
    one, other = np.unravel_index(apart.argmax(), apart.shape)
    return points[one], points[other]


def thickness(image: Pixels, letter: str) -> float:
    """How long the body is beside a marked line, which is drawn beyond the skin."""
    one, other = ends(image, letter)
    along = (other - one) / np.linalg.norm(other - one)
    found = []
    for aside in (-4, 4):
        start = one + aside * np.array([-along[1], along[0]])
        steps = np.arange(0, np.linalg.norm(other - one) + 1)
        x, y = np.rint(start[:, None] + along[:, None] * steps).astype(int).clip(0, len(image) - 1)
        found.append(np.ptp(np.nonzero(image[y, x].max(axis=-1) > 25)[0]) + 1)
    return float(np.mean(found))


def measured(text: str, image: Pixels) -> str:
    """The length, angle or ratio that is asked for."""
    stated, bar = re.search(r"each pixel is ([\d.]+) mm", text), re.search(r"scale bar in the image is (\d+) mm", text)
    scale = 1.0
    if stated:
        scale = float(stated[1])
    elif bar:
        green = np.nonzero(cv2.inRange(image, BAR_COLOUR, BAR_COLOUR).any(axis=0))[0]
        scale = int(bar[1]) / (np.ptp(green) + 1)
    letters = [letter for letter in "ABC" if marked(image, letter).any()]
    if "line A and line B" in text:
        one, other = (np.subtract(*ends(image, letter)) for letter in "AB")
        cosine = abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other)
        return f"about {math.degrees(math.acos(min(1.0, cosine))):.1f} degrees"
    if "skin to skin" in text:
        lengths = [thickness(image, letter) for letter in letters]
        value = lengths[0] / lengths[1] if len(lengths) == 2 else lengths[0] * scale
    elif "centre" in text:
        at = {letter: centre(image, letter) for letter in letters}
        far = math.dist(at["A"], at["B"])
        value = far / math.dist(at["A"], at["C"]) if "C" in at else far * scale
    else:
        of = [diameters(enclosed(image, letter)) for letter in letters]
        if len(of) == 2:
            value = of[0][0] / of[1][0]
        elif "millimetres wide" in text or ("at right angles" in text and (stated or bar)):
            value = of[0][1] * scale
        else:
            value = of[0][0] * scale if stated or bar else of[0][0] / of[0][1]
    return f"{value:.2f} times" if not (stated or bar) else f"The result is {value / 10:.2f} cm."
