"""The parts that picture files are made of: JPEG segments, PNG chunks and WebP chunks."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# JPEG markers, ITU-T T.81 table B.1.
END_OF_IMAGE = 0xD9
START_OF_SCAN = 0xDA
# Any number of FF bytes may precede a marker. Matching the last one is enough: matching them all
# would take quadratic time.
_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
# Within a scan, FF00 is a data byte and FFD0 to FFD7 are restart markers: neither ends it. Nor does
# a reserved one, FF01 to FFBF, which a decoder skips in search of a restart: if such a marker had a
# body here, whole scans could hide in it.
_MARKER_AFTER_SCAN = re.compile(rb"\xff([\xc0-\xcf\xd8-\xfe])", re.DOTALL)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the body of each segment up to the end of the image or of the bytes."""
    position, in_scan = 2, False
    while found := (_MARKER_AFTER_SCAN if in_scan else _MARKER).search(content, position):
        marker = found[1][0]
        position = found.end()
        if marker == END_OF_IMAGE:
            yield marker, b""
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these stand alone, without a length
            continue
        if position + 2 > len(content):
            return
        (length,) = struct.unpack_from(">H", content, position)
        yield marker, content[position + 2 : position + length]
        position += max(length, 2)
        in_scan = in_scan or marker == START_OF_SCAN


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each complete chunk, up to and including IEND."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length  # 4 bytes of checksum follow the body
        if end > len(content):
            return
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end


def webp_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start of the body and length of the body of each chunk."""
    position = 12
    while position + 8 <= len(content):
        kind, length = struct.unpack_from("<4sI", content, position)
        yield kind, position + 8, length
        position += 8 + length + length % 2
