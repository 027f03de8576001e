"""Reads the integers in a TIFF directory, the structure of TIFF files and EXIF blocks.

Only the first directory is read. Single integers in it hold the size of a TIFF picture and the
orientation of every kind of picture; lists of them say where its strips or tiles are. Tag numbers:
TIFF 6.0, section 8.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KIND = 254
WIDTH = 256
HEIGHT = 257
ORIENTATION = 274
TILE_WIDTH = 322
TILE_HEIGHT = 323

_LENGTHS = (279, 325)
"""How many bytes each strip, and each tile, has in the file."""

REDUCED = 1
"""The bit of `KIND` that says: a smaller copy of another picture in the file."""

_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGER_TYPES = {3: "H", 4: "I"}  # SHORT and LONG
_LISTED_TYPES = {3: "u2", 4: "u4", 8: "u2", 9: "u4", 16: "u8", 17: "u8"}
"""What libtiff reads lengths from; single bytes, too, but these cannot be large. Negative numbers,
which it refuses, are large here."""
_MOST_SHARED = 8
"""Writers that store equal tiles only once, such as blank ones, share few bytes among them."""
_ENTRY_BYTES = 12


def read_directory(content: bytes) -> dict[int, int]:
    """Return the integers of the first directory of a TIFF structure, by tag number.

    Raises:
        struct.error: The bytes are not a TIFF structure or end within the directory.

    """
    tags: dict[int, int] = {}
    for tag, place, integer in _integers(content):
        # libtiff, too, takes the first of duplicate tags
        tags.setdefault(tag, struct.unpack_from(integer, content, place)[0])
    return tags


def with_orientation(content: bytes, orientation: int) -> bytes:
    """Return a TIFF structure whose first directory states another orientation, if it states one.

    Raises:
        struct.error: As for `read_directory`.

    """
    changed = bytearray(content)
    for tag, place, integer in _integers(content):
        if tag == ORIENTATION:
            struct.pack_into(integer, changed, place, orientation)
    return bytes(changed)


def shares_bytes(content: bytes) -> bool:
    """Return whether the strips or tiles of a TIFF are far larger together than the whole file.

    There may be a million tiles, and all the bytes of each may be decoded, even if its pixels are
    complete before.

    Raises:
        struct.error: As for `read_directory`.

    """
    import numpy as np  # here, so that commands start fast

    seen: set[int] = set()
    for order, tag, kind, count, entry in _entries(content):
        if tag not in _LENGTHS or tag in seen or kind not in _LISTED_TYPES:
            continue
        seen.add(tag)
        listed = np.dtype(order + _LISTED_TYPES[kind])
        place = entry + 8
        if count * listed.itemsize > 4:
            (place,) = struct.unpack_from(order + "I", content, place)
        # Of a list that goes beyond the end of the file, libtiff may use the beginning.
        there = min(count, (len(content) - place) // listed.itemsize)
        if there > 1:
            lengths = np.frombuffer(content, listed, there, place)
            if lengths.sum(dtype=np.float64) > _MOST_SHARED * len(content):
                return True
    return False


def _integers(content: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the tag of each single integer, its place and its format for `struct`."""
    for order, tag, kind, count, entry in _entries(content):
        if kind in _INTEGER_TYPES and count == 1:
            yield tag, entry + 8, order + _INTEGER_TYPES[kind]


def _entries(content: bytes) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield the byte order, and the tag, the type, the count and the place of each entry."""
    order = _BYTE_ORDERS.get(content[:4])
    if order is None:
        raise struct.error("not a TIFF structure")
    (start,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        yield order, *struct.unpack_from(order + "HHI", content, entry), entry


def read_orientation(exif: bytes) -> int:
    """Return the orientation that an EXIF block states, 1 to 8.

    A damaged block or an unknown number counts as 1 (upright): a picture with broken EXIF is still
    a picture.
    """
    try:
        tags = read_directory(exif.removeprefix(b"Exif\0\0"))
    except struct.error:
        return 1
    return orientation_of(tags)


def orientation_of(tags: dict[int, int]) -> int:
    """Return the orientation in a directory, 1 to 8; an unknown number counts as 1 (upright)."""
    orientation = tags.get(ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1
