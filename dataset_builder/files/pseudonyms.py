"""Pseudonyms of private scans: what stands in published rows in place of a patient's or a file's name.

A pseudonym is a keyed hash (HMAC-SHA256): the same scan has the same one in every build on this machine, so that
training and test sets can be kept apart and a build can be resumed; without the key nobody can tell whose it is, not
even by trying all names. Key and list of pseudonyms are in one local file that only its owner may read (mode 0600):
``pseudonyms.json`` in the user's data folder, or the file that the environment variable ``MIS_GROUND_PSEUDONYMS``
names. It is never part of a data set. Whoever deletes it cannot find the scans behind the rows again.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from dataset_builder.core.errors import SourceError
from dataset_builder.files.atomic import write_atomically

VARIABLE = "MIS_GROUND_PSEUDONYMS"
LENGTH = 12
"""Hexadecimal digits of a pseudonym: among a hundred thousand scans two are alike once in fifty thousand times."""


def pseudonym_file() -> Path:
    """Where the key and the list of pseudonyms are, or will be."""
    named = os.environ.get(VARIABLE, "").strip()
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("mis-ground", appauthor=False) / "pseudonyms.json"


def _bytes(text: str) -> bytes:
    """Of a text that may be the name of a file, in whatever encoding."""
    return text.encode("utf-8", "surrogateescape")


@dataclass
class Pseudonyms:
    """The pseudonyms of a machine; made by :func:`open_pseudonyms`.

    Args:
        file: where key and list are kept.
        key: of the hash.
    """

    file: Path
    key: bytes
    _new: dict[str, dict[str, str]] = field(default_factory=dict)

    def of(self, *identity: str, length: int = LENGTH) -> str:
        """The pseudonym of what is identified by these texts; lower-case hexadecimal digits.

        >>> Pseudonyms(Path("p"), bytes(32)).of("nnunet", "case_1")
        'ea3e83a8380a'
        """
        # Lengths go in as well: ("ab", "c") is not ("a", "bc").
        message = b"".join(len(text).to_bytes(8, "big") + text for text in (_bytes(one) for one in identity))
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:length]

    def note(self, pseudonym: str, original: Mapping[str, str]) -> None:
        """Remember what a pseudonym stands for, to be written by :meth:`save`."""
        self._new[pseudonym] = {key: _bytes(text).decode("utf-8", "backslashreplace") for key, text in original.items()}

    def save(self) -> None:
        """Add what was noted to the file.

        Raises:
            SourceError: if it cannot be written.
        """
        if not self._new:
            return
        with _locked(self.file):
            kept = _read(self.file)
            known = {**kept["pseudonyms"], **self._new}
            if known != kept["pseudonyms"]:
                _write(self.file, self.key, known)
        self._new.clear()


def open_pseudonyms(file: Path | None = None) -> Pseudonyms:
    """The pseudonyms of this machine; the first time, a key is drawn.

    Args:
        file: where they are kept, if not in :func:`pseudonym_file`.

    Raises:
        SourceError: if the file is damaged or cannot be written: a second key would give every scan a second name.
    """
    file = file or pseudonym_file()
    with _locked(file):
        if not file.exists():
            _write(file, secrets.token_bytes(32), {})
        found = _read(file)
        if os.name == "posix" and file.stat().st_mode & 0o077:
            file.chmod(0o600)
    return Pseudonyms(file, bytes.fromhex(found["key"]))


def _locked(file: Path) -> FileLock:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unwritable(file, error) from error
    return FileLock(file.with_name(f".{file.name}.lock"))


def _read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if len(bytes.fromhex(found["key"])) < 16 or not isinstance(found["pseudonyms"], dict):
            raise ValueError("it holds no key or no list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            "The file of pseudonyms cannot be read.",
            file=file,
            value=f"{type(error).__name__}: {error}",
            remedy=f"Restore it; or remove it for a new key, or name another file with {VARIABLE}: then every private "
            "scan has a new name.",
        ) from error
    return found


def _write(file: Path, key: bytes, pseudonyms: Mapping[str, Mapping[str, str]]) -> None:
    content = {"key": key.hex(), "pseudonyms": dict(sorted(pseudonyms.items()))}
    try:
        write_atomically(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n", mode=0o600)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> SourceError:
    return SourceError(
        "The file of pseudonyms cannot be written.",
        file=file,
        value=error.strerror,
        remedy=f"Name another file with {VARIABLE}.",
    )
