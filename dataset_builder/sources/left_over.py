"""Files of a source's folder that look like scans and are part of no case, so that nothing vanishes in silence."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from dataset_builder.files.object_storage import is_remote
from dataset_builder.imaging.scan_files import ending_of
from dataset_builder.sources.base import LeftOut


def left_over(folder: Path, used: Collection[Path], reason: str) -> Iterator[LeftOut]:
    """Every file below a folder whose name is a scan's, unless it is used; hidden ones do not count.

    Args:
        folder: of the source.
        used: files that are read or were named already, and folders of which everything is read.
        reason: why the others are not.
    """
    if is_remote(folder):  # a request for each folder
        return
    known = {os.path.abspath(path) for path in used}
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and os.path.abspath(f"{place}/{name}") not in known
        )
        for name in sorted(files):
            path = Path(place) / name
            if ending_of(name) and not name.startswith(".") and os.path.abspath(path) not in known:
                yield LeftOut(path.relative_to(folder).as_posix(), reason)
