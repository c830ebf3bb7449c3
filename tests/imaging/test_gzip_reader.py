"""The gzip reader gives what Python's own gives, piece by piece, and refuses what that refuses."""

import gzip
import io
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataset_builder.imaging import gzip_reader as inflate
from dataset_builder.imaging.gzip_reader import Inflater, body

CONTENT = st.one_of(st.binary(max_size=400), st.integers(0, 70_000).map(bytes))


def all_of(packed: bytes, piece: int = 1000) -> bytes:
    inflater, pieces = Inflater(io.BytesIO(packed)), []
    while found := inflater.read(piece):
        pieces.append(found)
    return b"".join(pieces)


@given(
    st.lists(CONTENT, max_size=4), st.integers(1, 9), st.integers(1, 100_000), st.integers(0, 20), st.integers(1, 99)
)
@example([], 1, 1, 0, 1)
def test_members_one_after_the_other_are_one_content(members, level, piece, padding, input_bytes):
    packed = b"".join(gzip.compress(member, level) + bytes(padding) for member in members)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "_INPUT_BYTES", input_bytes)
        assert all_of(packed, piece) == b"".join(members) == gzip.decompress(packed)


def test_pieces_have_the_size_asked_for_until_the_end():
    packed = b"".join(gzip.compress(bytes([number]) * 1000) for number in range(10))
    inflater = Inflater(io.BytesIO(packed))
    assert [len(inflater.read(3001)) for _ in range(5)] == [3001, 3001, 3001, 997, 0]
    inflater = Inflater(io.BytesIO(packed))
    inflater.skip(2500)
    assert inflater.read(0) == b""
    assert inflater.read(1000) == bytes([2]) * 500 + bytes([3]) * 500


@given(CONTENT, st.data())
def test_a_changed_byte_is_an_error_or_changes_nothing(content, data):
    """As Python's own: the header's free fields (time, system) mean nothing, all else is covered by the checksum."""
    packed = bytearray(gzip.compress(content, mtime=0))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    try:
        expected = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        expected = None
    try:
        found = all_of(bytes(packed))
    except (OSError, EOFError):
        return
    assert found == expected == content


@given(CONTENT, st.data())
def test_a_file_that_ends_too_early_is_an_error(content, data):
    packed = gzip.compress(content)
    short = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises((EOFError, OSError)):
        all_of(short)


@pytest.mark.parametrize("rest", [b"junk", b"\0\0junk", b"\x1f\x8b"])
def test_what_follows_may_only_be_zeros(rest):
    with pytest.raises((EOFError, OSError)):
        all_of(gzip.compress(b"content") + rest)


def test_a_wrong_checksum_is_called_that():
    packed = bytearray(gzip.compress(b"content"))
    packed[-6] ^= 1
    with pytest.raises(OSError, match="CRC"):
        all_of(bytes(packed))
    packed = bytearray(gzip.compress(b"content"))
    packed[-1] ^= 1  # the length that the trailer states
    with pytest.raises(OSError, match="CRC"):
        all_of(bytes(packed))


@given(CONTENT, st.text("abc", max_size=5), st.integers(0, 2**31))
def test_the_body_is_what_follows_name_and_time(content, name, time):
    packed = io.BytesIO()
    with gzip.GzipFile(name, "wb", 6, packed, time) as file:
        file.write(content)
    with_all = bytearray(gzip.compress(content, 6, mtime=0))
    plain = body(bytes(with_all))
    assert body(packed.getvalue()) == plain
    assert zlib.decompress(plain, -15) == content
    with_all[3] = 4 | 8 | 16 | 2
    fields = b"\x03\0xyz" + b"name\0" + b"comment\0" + b"hc"
    assert body(bytes(with_all[:10] + fields + plain)) == plain


@pytest.mark.parametrize(
    "junk", [b"", b"\x1f\x8b\x08", b"no gzip file, but long enough", b"\x1f\x8b\x08\x08" + b"x" * 20]
)
def test_what_is_no_header_has_no_body(junk):
    assert body(junk) is None
