"""Picture files for tests, many of them built byte by byte, and what reading them gives."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox import image_header
from serenbox.errors import ImageError
from serenbox.images import read_image

if TYPE_CHECKING:
    from pathlib import Path

Pixels = npt.NDArray[np.uint8]

RED, GREEN, BLUE, GREY = (0, 0, 255), (0, 255, 0), (255, 0, 0), (200, 200, 200)

# 16 x 16, pure red as Adobe writes it, in inverted CMYK.
CMYK_JPEG = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAIBgYHBgUIBwcHCQkICgwUDQwLCwwZEhMPFB0aHx4dGhwcICQuJyAiLCMcHCg3"
    "KSwwMTQ0NB8nOT04MjwuMzQy/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAAHCP/EABQQ"
    "AQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8Av7P7P6/gAAAP/9k="
)


def quarters(width: int = 64, height: int = 48) -> Pixels:
    """Red and green above blue and grey."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = GREEN
    image[height // 2 :, : width // 2] = BLUE
    image[height // 2 :, width // 2 :] = GREY
    return image


def encode(suffix: str, image: npt.NDArray[np.generic], *options: int) -> bytes:
    done, content = cv2.imencode(suffix, np.asarray(image), options)
    assert done
    return content.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, color: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = b"".join((chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows))))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def jpeg_with_exif(content: bytes, block: bytes) -> bytes:
    body = b"Exif\0\0" + block
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP"
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def three_bytes(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def vp8x(flags: int, width: int, height: int) -> tuple[bytes, bytes]:
    size = three_bytes(width - 1) + three_bytes(height - 1)
    return b"VP8X", bytes([flags, 0, 0, 0]) + size


def animated_webp(*frames: Pixels) -> bytes:
    height, width = frames[0].shape[:2]
    parts = [vp8x(0x02, width, height), (b"ANIM", bytes(6))]
    for frame in frames:
        size = three_bytes(width - 1) + three_bytes(height - 1)
        still = encode(".webp", frame, cv2.IMWRITE_WEBP_QUALITY, 101)
        parts.append((b"ANMF", bytes(6) + size + three_bytes(100) + b"\0" + still[12:]))
    return riff(*parts)


def tiff(image: Pixels, orientation: int, order: str = "<") -> bytes:
    height, width = image.shape[:2]
    start = b"MM\0*" if order == ">" else b"II*\0"
    pixels = image[:, :, ::-1].tobytes()
    bits_at = 8 + len(pixels)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at + 0), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (273, 4, 1, 8), (274, 3, 1, orientation), (277, 3, 1, 3)]
    tags += [(278, 4, 1, height), (279, 4, 1, len(pixels))]
    content = start + struct.pack(order + "I", bits_at + 6) + pixels
    return content + struct.pack(order + "HHH", 8, 8, 8) + tiff_directory(tags, order)


def tiled_tiff(image: Pixels, orientation: int, order: str = "<", side: int = 32) -> bytes:
    """Store a picture in square tiles, which reach beyond its edges where they do not fit."""
    height, width = image.shape[:2]
    rgb = np.pad(image[:, :, ::-1], ((0, -height % side), (0, -width % side), (0, 0)))
    places = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
    tiles = b"".join(rgb[y : y + side, x : x + side].tobytes() for y, x in places)
    count, length = len(places), 3 * side**2
    offsets = struct.pack(f"{order}{count}I", *(8 + place * length for place in range(count)))
    arrays = offsets + struct.pack(f"{order}{count}I", *[length] * count)
    arrays_at = 8 + len(tiles)
    bits_at = arrays_at + len(arrays)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2), (274, 3, 1, orientation), (277, 3, 1, 3)]
    tags += [(322, 3, 1, side), (323, 3, 1, side)]
    tags += [(324, 4, count, arrays_at), (325, 4, count, arrays_at + 4 * count)]
    content = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", bits_at + 6)
    bits = struct.pack(order + "HHH", 8, 8, 8)
    return content + tiles + arrays + bits + tiff_directory(tags, order)


def tiff_directory(tags: list[tuple[int, int, int, int]], order: str) -> bytes:
    """Pack entries of tag, type, count and value."""
    content = struct.pack(order + "H", len(tags))
    for tag, kind, count, value in tags:
        packed = "HH" if kind == 3 and count == 1 else "I"
        values = (value, 0) if packed == "HH" else (value,)
        content += struct.pack(order + "HHI" + packed, tag, kind, count, *values)
    return content + bytes(4)


def gif(*colors: int, side: int = 8) -> bytes:
    """Frames of one color each: 0 red, 1 green, 2 blue, 3 grey."""
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 200, 200, 200])
    content = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x91, 0, 0) + palette
    for color in colors:
        bits, count = 0, 0
        # Codes of 3 bits; the clear code (4) keeps them that long, and 5 ends the frame.
        for code in [code for _ in range(side * side) for code in (4, color)] + [5]:
            bits |= code << count
            count += 3
        data = bits.to_bytes((count + 7) // 8, "little")
        content += b"\x21\xf9\x04\x04\x0a\0\0\0"
        content += b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02"
        for start in range(0, len(data), 255):
            part = data[start : start + 255]
            content += bytes([len(part)]) + part
        content += b"\0"
    return content + b";"


SIGNED = {
    "jpeg": encode(".jpg", quarters(), cv2.IMWRITE_JPEG_QUALITY, 98),
    "progressive jpeg": encode(".jpg", quarters(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "png": encode(".png", quarters()),
    "16-bit png": encode(".png", quarters().astype(np.uint16) * 257),
    "png with alpha": encode(".png", np.dstack([quarters(), np.full((48, 64), 7, np.uint8)])),
    "lossless webp": encode(".webp", quarters(), cv2.IMWRITE_WEBP_QUALITY, 101),
    "lossy webp": encode(".webp", quarters(), cv2.IMWRITE_WEBP_QUALITY, 95),
    "bmp": encode(".bmp", quarters()),
    "top-down bmp": b"",
    "tiff": tiff(quarters(), 1),
    "big-endian tiff": tiff(quarters(), 1, ">"),
    "16-bit tiff": encode(".tif", quarters().astype(np.uint16) * 257),
    "ppm": encode(".ppm", quarters()),
    "ppm with comments": b"P6 # made\n#by hand\r64 #w\n48\n255\n"
    + quarters()[:, :, ::-1].tobytes(),
    "ppm with a long comment": b"P6\n#"
    + b" made by hand" * 40
    + b"\n64 48\n255\n"
    + quarters()[:, :, ::-1].tobytes(),
}
SIGNED["top-down bmp"] = (
    SIGNED["bmp"][:22] + struct.pack("<i", -48) + SIGNED["bmp"][26:54] + quarters().tobytes()
)


def jpeg_header(width: int, height: int) -> bytes:
    return SIGNED["jpeg"].replace(struct.pack(">HH", 48, 64), struct.pack(">HH", height, width))


def assert_quarters(image: Pixels, tolerance: int = 3) -> None:
    """Check that a picture is that of `quarters`."""
    assert image.dtype == np.uint8, image.dtype
    assert image.shape == (48, 64, 3), image.shape
    found = [image[y, x] for y in (12, 36) for x in (16, 48)]
    assert np.abs(np.array(found, int) - (RED, GREEN, BLUE, GREY)).max() <= tolerance, found


def reason(content: bytes | str | Path, max_pixels: int = image_header.MAX_PIXELS) -> str:
    """Return why a picture cannot be read, in one line."""
    with pytest.raises(ImageError) as caught:
        read_image(content, max_pixels=max_pixels)
    message = str(caught.value)
    assert "\n" not in message, message
    return message
