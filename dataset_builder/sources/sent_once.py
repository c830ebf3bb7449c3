"""A source that travels to each worker process once, in a file, and not with every case: it can hold long tables."""

import hashlib
import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataset_builder.sources.base import Case, Source, SourceOf
from dataset_builder.volume import Volume


@dataclass(frozen=True)
class SentOnce(SourceOf):
    """A source that stands before another one, which is written to a file when this one is first pickled.

    Args:
        source: the other one.
        path: of the file; on a cluster, in a folder that all workers share.
    """

    path: Path

    def cases(self) -> Iterable[Case]:
        """As the source's."""
        return self.source.cases()

    def read(self, case: Case) -> Volume:
        """As the source's."""
        return self.source.read(case)

    def __reduce__(self) -> tuple[Callable[..., Source], tuple[Any, ...]]:
        return _received, (self.path, self._sha256)

    @cached_property
    def _sha256(self) -> str:
        """Of the source's file, which is there from now on."""
        content = pickle.dumps(self.source, pickle.HIGHEST_PROTOCOL)
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(self.path)
        return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=64)  # of the next build it is another one
def _received(path: Path, sha256: str) -> Source:
    source: Source = pickle.loads(path.read_bytes())
    return source
