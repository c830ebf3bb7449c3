"""Gzip files decompressed piece by piece, in exactly the sizes requested, checksums verified on the way.

Several times faster than Python's own ``gzip``, and never more in memory than the requested piece and a megabyte of
the file. Files may have several members and any size; only zeros may follow the last one.
"""

from typing import BinaryIO

from isal import igzip_lib

_INPUT_BYTES = 1 << 20
_WRONG_CHECKSUM = -6


class Inflater:
    """Reads the content of a gzip file.

    Args:
        file: the gzip file, at its start.

    Raises:
        OSError: while reading, if the file is damaged.
        EOFError: while reading, if it ends within a member.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting = b""
        self._member: igzip_lib.IgzipDecompressor | None = None
        self._first = True

    def read(self, size: int) -> bytes:
        """The next bytes: as many as asked for, fewer only where the file ends."""
        piece = self._some(size)
        if len(piece) == size or not piece:
            return piece
        pieces, missing = [piece], size - len(piece)
        while missing and (piece := self._some(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Skip bytes, in pieces."""
        while size and (piece := self._some(min(size, _INPUT_BYTES))):
            size -= len(piece)

    def _some(self, size: int) -> bytes:
        """At least one of the next bytes, unless the file ends here or none is asked for."""
        while size > 0 and (self._member is not None or self._begin()):
            assert self._member is not None
            try:
                piece = self._member.decompress(self._input(), size)
            except igzip_lib.IsalError as error:  # type: ignore[misc] # its stub is wrong
                wrong = str(error).startswith(f"Error {_WRONG_CHECKSUM} ")
                raise OSError("CRC check failed" if wrong else f"not a valid gzip file: {error}") from None
            if self._member.eof:
                self._waiting = self._member.unused_data
                self._member = None
            if piece:
                return piece
        return b""

    def _input(self) -> bytes:
        assert self._member is not None
        given, self._waiting = self._waiting, b""
        if given or not self._member.needs_input:
            return given
        given = self._file.read(_INPUT_BYTES)
        if not given:
            raise EOFError("the gzip file is truncated")
        return given

    def _begin(self) -> bool:
        """Start the next member; returns whether there is one."""
        while True:
            if not self._first:  # a member may be padded with zeros, not the file's start
                self._waiting = self._waiting.lstrip(b"\0")
            if self._waiting:
                break
            self._waiting = self._file.read(_INPUT_BYTES)
            if not self._waiting:
                return False
        self._first = False
        self._member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        return True


def body(packed: bytes) -> bytes | None:
    """A gzip file without its first header, which may hold a name and a time: equal bodies inflate to equal bytes.

    ``None`` if its header is not one.
    """
    if len(packed) < 10 or packed[:3] != b"\x1f\x8b\x08":
        return None
    flags, at = packed[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(packed[at : at + 2], "little")
    for flag in (8, 16):  # name and comment, each ended by a zero
        if flags & flag:
            at = packed.find(b"\0", at) + 1
            if not at:
                return None
    return packed[at + (2 if flags & 2 else 0) :]
