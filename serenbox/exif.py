"""Reads the integers in a TIFF directory, the structure of TIFF files and EXIF blocks.

Only the first directory and only single integers are read: they hold the size of a TIFF picture and
the orientation of every other kind of picture. Tag numbers: TIFF 6.0, section 8.
"""

from __future__ import annotations

import struct

WIDTH = 256
HEIGHT = 257
ORIENTATION = 274
TILE_WIDTH = 322
TILE_HEIGHT = 323

_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGER_TYPES = {3: "H", 4: "I"}  # SHORT and LONG
_ENTRY_BYTES = 12


def read_directory(content: bytes) -> dict[int, int]:
    """Return the integers of the first directory of a TIFF structure, by tag number.

    Raises:
        struct.error: The bytes are not a TIFF structure or end within the directory.

    """
    order = _BYTE_ORDERS.get(content[:4])
    if order is None:
        raise struct.error("not a TIFF structure")
    (start,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, start)
    tags: dict[int, int] = {}
    for entry in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        tag, kind, length = struct.unpack_from(order + "HHI", content, entry)
        if kind in _INTEGER_TYPES and length == 1:
            (value,) = struct.unpack_from(order + _INTEGER_TYPES[kind], content, entry + 8)
            tags.setdefault(tag, value)  # libtiff, too, takes the first of duplicate tags
    return tags


def read_orientation(exif: bytes) -> int:
    """Return the orientation that an EXIF block states, 1 to 8.

    A damaged block or an unknown number counts as 1 (upright): a picture with broken EXIF is still
    a picture.
    """
    try:
        orientation = read_directory(exif.removeprefix(b"Exif\0\0")).get(ORIENTATION, 1)
    except struct.error:
        return 1
    return orientation if 1 <= orientation <= 8 else 1
