"""What a folder holds, so that two can be compared byte by byte."""

import hashlib
from pathlib import Path


def contents(folder: Path) -> dict[str, str]:
    """Path and sha256 of every file."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
