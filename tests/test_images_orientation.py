"""Pictures that EXIF says to turn or to mirror."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from serenbox import image_header
from serenbox.images import read_image
from tests.picture_files import (
    BLUE,
    RED,
    SIGNED,
    Pixels,
    assert_quarters,
    chunk,
    encode,
    jpeg_with_exif,
    riff,
    tiff,
    tiled_tiff,
    vp8x,
)

# EXIF 2.3, tag 274: which side of the upright picture the first row and the first column are.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
STRIPES: dict[str, tuple[int | slice, int | slice]] = {
    "top": (0, slice(20, -20)),
    "bottom": (-1, slice(20, -20)),
    "left": (slice(20, -20), 0),
    "right": (slice(20, -20), -1),
}


def exif(orientation: int, order: str = ">") -> bytes:
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return start + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def png_with_exif(content: bytes, block: bytes) -> bytes:
    return content[:33] + chunk(b"eXIf", block) + content[33:]


def webp_with_exif(content: bytes, block: bytes) -> bytes:
    header = image_header.read_header(content)
    (length,) = struct.unpack_from("<I", content, 16)
    picture = (content[12:16], content[20 : 20 + length])
    return riff(vp8x(0x08, header.width, header.height), picture, (b"EXIF", block))


def striped() -> Pixels:
    """The first rows red, the first columns blue."""
    image = np.full((48, 64, 3), 128, np.uint8)
    image[:, :16] = BLUE
    image[:16] = RED
    return image


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize(
    "kind",
    [
        *("jpeg", "jpeg, little-endian", "png", "webp"),
        *("tiff", "big-endian tiff", "tiled tiff", "big-endian tiled tiff"),
    ],
)
def test_orientation(kind: str, orientation: int) -> None:
    block = exif(orientation)
    content = {
        "jpeg": lambda: jpeg_with_exif(encode(".jpg", striped()), block),
        "jpeg, little-endian": lambda: jpeg_with_exif(
            encode(".jpg", striped()), exif(orientation, "<")
        ),
        "png": lambda: png_with_exif(encode(".png", striped()), block),
        "webp": lambda: webp_with_exif(encode(".webp", striped()), b"Exif\0\0" + block),
        "tiff": lambda: tiff(striped(), orientation),
        "big-endian tiff": lambda: tiff(striped(), orientation, ">"),
        "tiled tiff": lambda: tiled_tiff(striped(), orientation),
        "big-endian tiled tiff": lambda: tiled_tiff(striped(), orientation, ">"),
    }[kind]()
    image = read_image(content)
    row, column = SIDES[orientation]
    assert image.shape == ((64, 48, 3) if orientation > 4 else (48, 64, 3))
    assert image.flags["C_CONTIGUOUS"]
    assert np.abs(image[STRIPES[row]].astype(int) - RED).max() < 40
    assert np.abs(image[STRIPES[column]].astype(int) - BLUE).max() < 40


@pytest.mark.parametrize("orientation", SIDES)
def test_orientation_is_what_opencv_makes_of_a_jpeg(orientation: int) -> None:
    content = jpeg_with_exif(encode(".jpg", striped()), exif(orientation))
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert expected is not None
    assert np.array_equal(read_image(content), expected)


@pytest.mark.parametrize("block", [b"", b"II*\0", exif(0), exif(9), exif(6)[:-9], b"MM\0*" * 9])
def test_broken_exif_leaves_the_picture_as_it_is(block: bytes) -> None:
    assert_quarters(read_image(jpeg_with_exif(SIGNED["jpeg"], block)), tolerance=12)
    assert_quarters(read_image(png_with_exif(SIGNED["png"], block)))


def test_what_else_a_jpeg_holds_turns_nothing() -> None:
    turned = jpeg_with_exif(SIGNED["jpeg"], exif(6))
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    before = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    content = turned[:2] + before + turned[2:]
    assert np.array_equal(read_image(content), read_image(turned))
    twice = jpeg_with_exif(jpeg_with_exif(SIGNED["jpeg"], exif(3)), exif(6))
    assert np.array_equal(read_image(twice), read_image(turned)), "the first one counts"


def test_a_jpeg_whose_huffman_tables_come_first() -> None:
    content = encode(".jpg", striped())
    start = content.index(b"\xff\xc0")
    end = start + 2 + struct.unpack_from(">H", content, start + 2)[0]
    scan = content.index(b"\xff\xda")
    tables = content[end:scan]
    assert tables.startswith(b"\xff\xc4")
    moved = content[:start] + tables + content[start:end] + content[scan:]
    assert np.array_equal(read_image(moved), read_image(content))
