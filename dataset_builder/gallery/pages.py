"""Self-contained web pages: one file each, with no server and no network.

Text of data reaches a page only as JSON, which the page's script puts into text nodes, or escaped in Python; a content
security policy allows the page's own script and style and nothing from outside. ``base.css`` and ``base.js`` are
what all pages share.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from dataset_builder.core.errors import BuildError
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.own_files import check_may_replace

_MEDIA_TYPES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


GENERATOR = '<meta name="generator" content="MIS-Ground">'
"""In the head of every page: a page without it is not MIS-Ground's, and is never replaced."""

_CHARSET = '<meta charset="utf-8">'


def read_part(name: str) -> str:
    """One of the shared parts: ``base.css`` or ``base.js``."""
    return resources.files("dataset_builder.gallery").joinpath(name).read_text(encoding="utf-8")


def make_page(template: str, code: Mapping[str, str], parts: Mapping[str, str], images: str = "data:") -> str:
    """Fill a template's places ``{{name}}``.

    Args:
        template: HTML with a ``{{policy}}`` in its head.
        code: what goes into script and style elements, from this package's files; the policy allows exactly these.
        parts: all else, as it shall stand in the page: escaped or embedded.
        images: where images may come from, as in a content security policy.
    """
    assert template.count(_CHARSET) == 1, "every page says its encoding, once"
    template = template.replace(_CHARSET, f"{_CHARSET}\n{GENERATOR}")
    base = {"base_style": read_part("base.css"), "base_script": read_part("base.js")}
    with_code = _fill(template, base | dict(code), missing_is="left")
    return _fill(with_code, {**parts, "policy": _policy(with_code, images)}, missing_is="wrong")


def check_page(out: Path) -> None:
    """Whether a page may be written: nothing is there, or another page of MIS-Ground.

    Raises:
        BuildError: if not.
    """
    if out.is_dir():
        raise BuildError("The output page is a folder.", file=out, remedy=f"Give a file: --out {out / 'page.html'}.")
    check_may_replace(out, GENERATOR.encode())


def write_page(out: Path, page: str) -> None:
    """Write a page; one of MIS-Ground's that is there is replaced.

    Raises:
        BuildError: if something else is there, or it cannot be written.
    """
    check_page(out)
    try:
        write_atomically(out, page)
    except OSError as error:
        raise BuildError("The page cannot be written.", file=out, value=error.strerror) from error


def embed(value: object) -> str:
    """JSON that can stand in a script element: no character that could end it or begin a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_url(image: bytes) -> str:
    """An encoded image as an address that holds it."""
    media_type = next((name for start, name in _MEDIA_TYPES if image.startswith(start)), "image/png")
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def _fill(template: str, parts: Mapping[str, str], missing_is: str) -> str:
    """Fill in one pass: what is filled in is never looked at for further places to fill."""

    def part(place: re.Match[str]) -> str:
        return parts.get(place[1], place[0]) if missing_is == "left" else parts[place[1]]

    return re.sub(r"\{\{(\w+)\}\}", part, template)


def _policy(template: str, images: str) -> str:
    """A content security policy that allows the template's own scripts and styles, and images."""

    def source(tag: str) -> str:
        contents = re.findall(rf"<{tag}>(.*?)</{tag}>", template, flags=re.DOTALL)
        hashes = (base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in contents)
        return " ".join(f"'sha256-{each}'" for each in hashes)

    return (
        f"default-src 'none'; img-src {images}; script-src {source('script')}; style-src {source('style')}; "
        "base-uri 'none'; form-action 'none'"
    )
