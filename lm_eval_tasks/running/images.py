"""The images of a request, and what tells whether two are the same."""

import hashlib
from io import BytesIO
from typing import Any

Request = Any


def images_of(request: Request) -> list[Any]:
    """The images of a request; none for a text-only one."""
    return list(request.args[2].get("visual") or []) if len(request.args) > 2 else []


def image_hash(image: Any) -> str:
    """SHA-256 of an image; an image of the data set gives its bytes as they are stored."""
    stream = BytesIO()
    image.save(stream, format="PNG")
    return hashlib.sha256(stream.getvalue()).hexdigest()


def fingerprint(image: Any) -> str:
    """Equal for equal images; unlike `image_hash` no contact sheet is drawn for it, and no key is made of it."""
    return str(getattr(image, "fingerprint", None) or image_hash(image))
