"""What the Hub on this machine keeps: repositories of commits, large objects by content; and faults on demand."""

import hashlib
import json
from dataclasses import dataclass, field

TOKEN = "hf_loopbackTokenThatMustNeverBePrinted"


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its content, or the name of a large object."""

    size: int
    content: bytes | None = None
    sha256: str | None = None

    @property
    def oid(self) -> str:
        """What git calls it; for a large object, its pointer file."""
        stored = self.content if self.content is not None else self.pointer
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()

    @property
    def pointer(self) -> bytes:
        """The small file that git keeps in place of a large object."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        return text.encode()

    @property
    def etag(self) -> str:
        """As the Hub gives it."""
        return self.sha256 or self.oid


@dataclass
class Repo:
    """A repository: commits (each a whole tree) and what points to them."""

    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # refs/heads/main, refs/tags/v1, refs/pr/1
    messages: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> str | None:
        """The commit that a revision names."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name in self.refs:
                return self.refs[name]
        return revision if revision in self.commits else None

    def commit(self, ref: str, tree: dict[str, Blob], message: str) -> str:
        """Make a commit and let a ref point to it."""
        listing = sorted((path, blob.oid) for path, blob in tree.items())
        oid = hashlib.sha1(json.dumps([listing, message, len(self.messages)]).encode()).hexdigest()
        self.messages.append(message)
        self.commits[oid] = tree
        self.refs[ref] = oid
        return oid


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Args:
        where: regular expression for ``METHOD /path``.
        status: answer so, and do nothing; 0 to cut the connection instead.
        after: with a cut, do what was asked first: the answer is lost on its way.
        skip, times: let so many requests pass first; then so many fail.
        headers, message: of the answer.
        body_bytes: with a cut, read so much of the request first.
    """

    where: str
    status: int = 0
    after: bool = False
    skip: int = 0
    times: int = 10**6
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    body_bytes: int | None = None
