"""A source that travels to each worker process once, in a file, and not with every case: it can hold long tables."""

import hashlib
import os
import pickle
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import BuildError
from dataset_builder.imaging.volume import Volume
from dataset_builder.sources.base import Case, Source, SourceOf


class SentOnce(SourceOf):
    """A source that stands before another one, which is written to a file when this one is first pickled.

    What arrives reads the file when it is first asked for something, and travels on without that: a cluster's scheduler
    neither needs the file nor the source's class.

    Args:
        source: the other one.
        path: of the file; on a cluster, in a folder that all workers share.
    """

    def __init__(self, source: Source, path: Path) -> None:
        self._path = path
        self.__dict__["source"] = source

    @cached_property
    def source(self) -> Source:
        """The other one."""
        return _read(self._path, self._sha256)

    @cached_property
    def _sha256(self) -> str:
        """Of the source's file, which is there from now on."""
        content = _pickled(self.source)
        unfinished = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(self._path)
        return hashlib.sha256(content).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_sha256": self._sha256}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def cases(self) -> Iterable[Case]:
        """As the source's."""
        return self.source.cases()

    def read(self, case: Case) -> Volume:
        """As the source's."""
        return self.source.read(case)


def _pickled(source: Source) -> bytes:
    """As distributed does it: classes of a script are not to be found by their name elsewhere."""
    content = pickle.dumps(source, pickle.HIGHEST_PROTOCOL)
    if b"__main__" in content:
        try:
            import cloudpickle
        except ImportError:  # comes with Dask, and only there it is needed
            return content
        content = cloudpickle.dumps(source, pickle.HIGHEST_PROTOCOL)
    return content


@lru_cache(maxsize=4)  # of the next build it is another one
def _read(path: Path, sha256: str) -> Source:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BuildError(
            "The file that tells a worker of its source is of another build.",
            file=path,
            remedy="Wait until no other build into this folder runs, and give the same command again.",
        )
    source: Source = pickle.loads(content)
    return source
