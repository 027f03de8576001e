"""The size of a picture, read from its header without decoding a single pixel.

A few bytes can declare billions of pixels, so a picture is decoded only after its size has been
read here. Formats without a reader here are refused, even if OpenCV could decode them.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox import exif
from serenbox.errors import ImageError
from serenbox.image_chunks import (
    END_OF_IMAGE,
    PNG_SIGNATURE,
    START_OF_SCAN,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SCANS = 100
"""The most scans of a JPEG that is read; ordinary progressive ones have about ten."""

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, PGM and PPM"
"""The formats that are read, for messages."""

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp"),
    *(".gif", ".bmp", ".dib", ".tif", ".tiff", ".pgm", ".ppm", ".pnm"),
)
"""Suffixes of the files in a folder that count as pictures, in lower case."""

MAX_PIXELS = 64_000_000
"""The largest picture that is decoded: 192 MB as BGR, and more than phones take by default."""

MAX_SIDE = 32_766
"""The longest side that is decoded: OpenCV's warps use signed 16-bit pixel coordinates."""

MAX_BYTES = 256 * 2**20
"""The largest file that is read: `MAX_PIXELS` uncompressed pixels, and some headroom."""

_FOREIGN = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
}
_LEFT_OUT = frozenset({b"acTL", b"fcTL", b"fdAT", b"iCCP", b"iTXt", b"zTXt"})
"""Chunks of a PNG that the decoder does not see: those of an animation, of which it would hold many
frames at once, and those that are compressed without being pixels, of which a small file may hold
thousands (PNG, third edition, sections 11.3.2, 11.3.3 and 11.3.6)."""
_WEBP_SIGNATURE = re.compile(rb"RIFF....WEBP", re.DOTALL)
_PNM_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_HEADER = 4096
"""The size of a PNM must end within this many bytes, comments included: `re` records every gap."""
_PLAIN_PNM = re.compile(rb"P[1-3][\s#]")
_PNM_SIZE = re.compile(rb"P[56]%b(\d{1,9})%b(\d{1,9})%b(\d{1,5})\s" % ((_PNM_GAP,) * 3))
_PNM_WHITES = (255, 65535)
"""The values of white that OpenCV scales to 255; it leaves all others unscaled, far too dark."""

# JPEG markers, ITU-T T.81 table B.1. A frame header is SOF0 to SOF15 except DHT, JPG and DAC.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APP1 = 0xE1


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header of a picture says.

    Attributes:
        format: "JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF" or "PNM".
        width: Pixels in a stored row, at least 1.
        height: Stored rows, at least 1.
        orientation: How to turn the stored picture upright, 1 to 8 as in EXIF.

    """

    format: str
    width: int
    height: int
    orientation: int = 1


def read_header(content: bytes) -> ImageHeader:
    """Read format, size and orientation from the first bytes of a picture file.

    Raises:
        ImageError: The bytes are empty, not a picture in one of `FORMATS`, or end in the header.

    """
    if not content:
        raise ImageError(
            "it is empty (0 bytes), so copying or downloading it failed: fetch it again"
        )
    reader = next((read for matches, read in _READERS if matches(content)), None)
    if reader is None:
        raise ImageError(f"{_describe_unknown(content)}: convert it to JPEG or PNG")
    try:
        header = reader(content)
    except struct.error:
        raise ImageError(
            "its header is damaged or cut off, so its size is unknown: fetch the file again"
        ) from None
    if header.width < 1 or header.height < 1:
        raise ImageError(
            f"its {header.format} header gives the size {header.width} x {header.height}, "
            "which holds no pixel: fetch the file again"
        )
    return header


def check_complete(content: bytes, header: ImageHeader) -> None:
    """Refuse a truncated JPEG or PNG, whose missing part a decoder would fill with grey.

    A JPEG of more than `MAX_SCANS` scans is refused, too: each is another pass over the whole
    picture, and a small file may hold thousands. So is a TIFF whose tiles share their bytes.

    Bytes after the end of the picture are fine: phones put videos and depth maps there. The other
    formats need no such check, because their decoders refuse truncated files.

    Raises:
        ImageError: The end of the picture is missing, or a small file would take long to decode.

    """
    complete = True
    if header.format == "JPEG":
        complete = _jpeg_ends(content)
    elif header.format == "PNG":
        complete = any(kind == b"IEND" for kind, _, _ in png_chunks(content))
    elif header.format == "TIFF" and exif.shares_bytes(content):
        raise ImageError(
            "the TIFF uses the same bytes again and again, which would take long: save it as an "
            "ordinary TIFF or PNG"
        )
    if not complete:
        raise ImageError(
            f"the {header.format} is cut off after {len(content):,} bytes, so part of the picture "
            "is missing: copy or download the file again"
        )


def _jpeg_ends(content: bytes) -> bool:
    scans = 0
    for marker, _ in jpeg_segments(content):
        if marker == END_OF_IMAGE:
            return True
        scans += marker == START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageError(
                f"the JPEG builds its picture up in more than {MAX_SCANS} steps, which would take "
                "long: save it as an ordinary JPEG"
            )
    return False


def _describe_unknown(content: bytes) -> str:
    start = content[:512]
    foreign = _FOREIGN.get(start[8:12]) if start[4:8] == b"ftyp" else None
    if foreign:
        return f"it is in the format {foreign}, which SerenBox does not read"
    if _PLAIN_PNM.match(start):
        return "it is a PNM written as text, and SerenBox reads binary ones only"
    if all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in start):
        return f"it holds text, not a picture (SerenBox reads {FORMATS})"
    return f"it is not a picture in a format that SerenBox reads ({FORMATS})"


def _read_jpeg(content: bytes) -> ImageHeader:
    size: tuple[int, int] | None = None
    orientation: int | None = None
    for marker, body in jpeg_segments(content):
        if marker in _FRAME_HEADERS and size is None:
            height, width = struct.unpack_from(">xHH", body)
            size = (width, height)
        elif marker == _APP1 and orientation is None and body.startswith(b"Exif\0\0"):
            orientation = exif.read_orientation(body)
        elif marker == START_OF_SCAN:
            break
    if size is None:
        raise struct.error("no frame header")
    return ImageHeader("JPEG", *size, orientation or 1)


def _read_png(content: bytes) -> ImageHeader:
    if content[12:16] != b"IHDR":
        raise struct.error("no IHDR chunk")
    width, height = struct.unpack_from(">II", content, 16)
    chunks = png_chunks(content)  # 8 bytes come before the body of each, and 4 after it
    blocks = (content[start + 8 : end - 4] for kind, start, end in chunks if kind == b"eXIf")
    return ImageHeader("PNG", width, height, exif.read_orientation(next(blocks, b"")))


def first_picture(content: bytes, header: ImageHeader) -> bytes:
    """Return a file for the decoder, which is to see one picture and to leave it as it is stored.

    The later frames of an animated PNG, its compressed texts and its colour profile are left out. A
    turned TIFF is made to say that it is upright: OpenCV would turn it, and then puts tiles in
    wrong places.

    Args:
        content: A whole file, as checked by `check_complete`.
        header: What `read_header` returned for it.

    """
    if header.format == "TIFF" and header.orientation != 1:
        return exif.with_orientation(content, 1)
    if header.format != "PNG" or not any(kind in content for kind in _LEFT_OUT):
        return content
    chunks = png_chunks(content)
    kept = (content[start:end] for kind, start, end in chunks if kind not in _LEFT_OUT)
    return b"".join((PNG_SIGNATURE, *kept))


def _read_webp(content: bytes) -> ImageHeader:
    size: tuple[int, int] | None = None
    orientation = 1
    for kind, start, length in webp_chunks(content):
        if size is None:
            size = _webp_size(content, kind, start)
        if kind == b"EXIF":
            orientation = exif.read_orientation(content[start : start + length])
    if size is None:
        raise struct.error("no picture chunk")
    return ImageHeader("WebP", *size, orientation)


def _webp_size(content: bytes, kind: bytes, start: int) -> tuple[int, int] | None:
    """Return width and height from a chunk that states them (RFC 9649, sections 2.5 to 2.7)."""
    if kind == b"VP8X":  # canvas of the extended format: 24 bits each, less one
        low_width, high_width, low_height, high_height = struct.unpack_from(
            "<HBHB", content, start + 4
        )
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
    if kind == b"VP8L":  # lossless: 14 bits each, less one, after the signature byte
        (bits,) = struct.unpack_from("<I", content, start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":  # lossy: 14 bits each, after the frame tag and the start code
        width, height = struct.unpack_from("<HH", content, start + 6)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_gif(content: bytes) -> ImageHeader:
    return ImageHeader("GIF", *struct.unpack_from("<HH", content, 6))


def _read_bmp(content: bytes) -> ImageHeader:
    (header_bytes,) = struct.unpack_from("<I", content, 14)
    if header_bytes == 12:  # the OS/2 header has 16-bit sizes
        width, height = struct.unpack_from("<HH", content, 18)
    else:
        width, height = struct.unpack_from("<ii", content, 18)
    return ImageHeader("BMP", width, abs(height))  # a negative height means top row first


def _read_tiff(content: bytes) -> ImageHeader:
    tags = exif.read_directory(content)
    width, height = tags.get(exif.WIDTH, 0), tags.get(exif.HEIGHT, 0)
    if tags.get(exif.KIND, 0) & exif.REDUCED:  # DNG and other raw files of cameras begin with one
        raise ImageError(
            "its first picture is only a small preview, as in a raw file of a camera (DNG): "
            "export it as JPEG or PNG"
        )
    # For a small picture in one gigantic tile, the decoder would decode the whole tile.
    for tile, side in ((exif.TILE_WIDTH, width), (exif.TILE_HEIGHT, height)):
        if tags.get(tile, 0) > max(side, 4096):
            raise struct.error("a tile much larger than the picture")
    return ImageHeader("TIFF", width, height, exif.orientation_of(tags))


def _read_pnm(content: bytes) -> ImageHeader:
    found = _PNM_SIZE.match(content[:_PNM_HEADER])
    if not found:
        raise struct.error("no size")
    if (white := int(found[3])) not in _PNM_WHITES:
        raise ImageError(
            f"it is a PNM whose values go up to {white}, and SerenBox reads those up to 255 or "
            "65535: convert it to PNG"
        )
    return ImageHeader("PNM", int(found[1]), int(found[2]))


_READERS: tuple[tuple[Callable[[bytes], object], Callable[[bytes], ImageHeader]], ...] = (
    (lambda content: content.startswith(b"\xff\xd8\xff"), _read_jpeg),
    (lambda content: content.startswith(PNG_SIGNATURE), _read_png),
    (_WEBP_SIGNATURE.match, _read_webp),
    (lambda content: content.startswith((b"GIF87a", b"GIF89a")), _read_gif),
    (lambda content: content.startswith(b"BM"), _read_bmp),
    (lambda content: content.startswith((b"II*\0", b"MM\0*")), _read_tiff),
    (re.compile(rb"P[56][\s#]").match, _read_pnm),
)
