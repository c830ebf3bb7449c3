"""The images of questions: decoded when they are used; several of a stack on one contact sheet, if wanted."""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from io import BytesIO
from math import ceil, sqrt
from typing import Any, ClassVar

from PIL import Image, ImageDraw, ImageFont


class Picture(Image.Image):
    """An image of the data set in RGB, decoded when it is used and forgotten some images later.

    The harness holds the images of all requests at once: decoded, those of the whole benchmark would fill 26 GB.

    Args:
        read: gives the encoded image.
    """

    _decoded: ClassVar[deque["Picture"]] = deque()
    KEPT = 128

    def __init__(self, read: Callable[[], bytes]) -> None:
        super().__init__()
        self._read = read
        self._size = self._measure()
        self._mode = "RGB"
        self._is_decoded = False
        self._fingerprint: str | None = None

    def _measure(self) -> tuple[int, int]:
        with Image.open(BytesIO(self._read())) as header:
            return header.size

    def load(self) -> Any:
        """Decode, if that has not been done or has been forgotten."""
        if not self._is_decoded:
            with Image.open(BytesIO(self._read())) as stored:
                self.im = stored.convert("RGB").im
            self._is_decoded = True
            self._decoded.append(self)
            if len(self._decoded) > self.KEPT:
                self._decoded.popleft()._forget()
        return super().load()

    def _forget(self) -> None:
        self.im = None  # type: ignore[assignment]
        self._is_decoded = False

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As any image; but to an open file, as PNG with no settings (so the harness hashes images), as stored."""
        if format == "PNG" and not params and hasattr(fp, "write"):
            fp.write(self._read())
        else:
            super().save(fp, format, **params)

    @property
    def fingerprint(self) -> str:
        """Equal for equal images: SHA-256 of what is stored, computed once."""
        if self._fingerprint is None:
            self._fingerprint = hashlib.sha256(self._read()).hexdigest()
        return self._fingerprint

    def __repr__(self) -> str:
        return f"<Picture sha256={hashlib.sha256(self._read()).hexdigest()}>"

    def __reduce__(self) -> Any:
        return Image.open, (BytesIO(self._read()),)


class Sheet(Picture):
    """Several images on one, in reading order, each under its number: for models that take one image.

    Args:
        panels: the images, all of one size.
    """

    STRIP = 28
    """Height in pixels of the strip above a panel that holds its number; nothing is drawn on the panel."""

    def __init__(self, panels: Sequence[Picture]) -> None:
        self._panels = panels
        super().__init__(self._encode)

    @property
    def _columns(self) -> int:
        return ceil(sqrt(len(self._panels)))

    def _measure(self) -> tuple[int, int]:
        width, height = self._panels[0].size
        rows = ceil(len(self._panels) / self._columns)
        return self._columns * width, rows * (height + self.STRIP)

    @property
    def origins(self) -> list[tuple[int, int]]:
        """Where the upper left corner of each image is on the sheet, x and y."""
        width, height = self._panels[0].size
        places = [divmod(number, self._columns) for number in range(len(self._panels))]
        return [(column * width, row * (height + self.STRIP) + self.STRIP) for row, column in places]

    @property
    def fingerprint(self) -> str:
        """Equal for sheets of equal images; nothing is drawn for it."""
        return hashlib.sha256(" ".join(panel.fingerprint for panel in self._panels).encode()).hexdigest()

    def _encode(self) -> bytes:
        sheet = Image.new("RGB", self.size)
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(self.STRIP - 6)
        for number, (panel, (left, top)) in enumerate(zip(self._panels, self.origins, strict=True), start=1):
            draw.text((left + 4, top - self.STRIP + 2), str(number), fill="white", font=font)
            sheet.paste(panel.copy(), (left, top))
        stream = BytesIO()
        sheet.save(stream, "PNG", compress_level=1)
        return stream.getvalue()
