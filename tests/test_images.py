"""Reading pictures of every format, on real bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox import image_header
from serenbox.errors import ImageError
from serenbox.images import read_image
from tests.picture_files import (
    BLUE,
    CMYK_JPEG,
    GREEN,
    RED,
    SIGNED,
    animated_webp,
    assert_quarters,
    chunk,
    encode,
    gif,
    png,
    quarters,
    reason,
    tiff,
)

if TYPE_CHECKING:
    from pathlib import Path

GIF_READABLE = cv2.haveImageWriter("x.gif")  # both directions came with OpenCV 4.12


@pytest.mark.parametrize("content", SIGNED.values(), ids=SIGNED)
def test_every_format_gives_upright_bgr(content: bytes, tmp_path: Path) -> None:
    assert_quarters(read_image(content), tolerance=12)
    path = tmp_path / "picture"
    path.write_bytes(content)
    assert np.array_equal(read_image(path), read_image(content))
    assert np.array_equal(read_image(str(path)), read_image(content))


@pytest.mark.parametrize("content", SIGNED.values(), ids=SIGNED)
def test_header_tells_the_size(content: bytes) -> None:
    header = image_header.read_header(content)
    assert (header.width, header.height, header.orientation) == (64, 48, 1)


def test_cmyk_jpeg() -> None:
    image = read_image(CMYK_JPEG)
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - RED).max() <= 2


def test_grey_becomes_color() -> None:
    grey = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    for suffix in (".png", ".pgm", ".bmp"):
        assert np.array_equal(read_image(encode(suffix, grey)), np.dstack([grey] * 3))


def test_sixteen_bits_keep_the_upper_eight() -> None:
    deep = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 21
    expected = (deep >> 8).astype(np.int16)[:, :, None]
    assert np.abs(read_image(encode(".png", deep)) - expected).max() <= 1


def test_palette_png() -> None:
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 0, 0, 0, 0, 255]))
    image = read_image(png(2, 1, 8, 3, b"\0\1\2", palette))
    assert image.tolist() == [[list(RED), list(BLUE)]]


def test_animated_png_gives_its_first_picture_and_the_others_are_not_decoded() -> None:
    colour, grey = np.full((8, 8, 3), RED, np.uint8), np.full((8, 8, 3), 90, np.uint8)
    plain, other = encode(".png", colour), encode(".png", grey)
    start, data = len(plain) - 12, other[other.index(b"IDAT") + 4 : -16]
    control = struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 1, 0, 0)
    header = 8 + 25  # the signature and IHDR
    animated = plain[:header] + chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control)
    animated += plain[header:start] + chunk(b"fcTL", struct.pack(">I", 1) + control[4:])
    animated += chunk(b"fdAT", struct.pack(">I", 2) + data) + plain[start:]

    assert (read_image(animated) == RED).all()
    assert image_header.first_picture(animated, image_header.read_header(animated)) == plain
    assert image_header.first_picture(plain, image_header.read_header(plain)) is plain


def test_transparency_is_ignored() -> None:
    image = read_image(png(2, 1, 8, 6, b"\0" + bytes([255, 0, 0, 0, 0, 0, 255, 255])))
    assert image.tolist() == [[list(RED), list(BLUE)]]


def test_one_pixel() -> None:
    assert read_image(encode(".png", np.full((1, 1, 3), 9, np.uint8))).tolist() == [[[9, 9, 9]]]


@pytest.mark.skipif(not GIF_READABLE, reason="OpenCV reads GIF from 4.12 on")
def test_gif_gives_its_first_frame() -> None:
    for content in (gif(1), gif(1, 2, 0)):
        image = read_image(content)
        assert image.shape == (8, 8, 3)
        assert (image == GREEN).all()


@pytest.mark.skipif(GIF_READABLE, reason="OpenCV reads GIF from 4.12 on")
def test_gif_is_refused_clearly_where_opencv_cannot_read_it() -> None:
    assert "cannot decode this GIF of 8 x 8 pixels" in reason(gif(1))


def test_animated_webp_gives_its_first_frame_or_is_refused() -> None:
    content = animated_webp(quarters(), quarters()[::-1])
    try:
        image = read_image(content)
    except ImageError as error:  # before OpenCV 4.11
        assert "cannot decode this WebP" in str(error)  # noqa: PT017 - one of two right outcomes
    else:
        assert_quarters(image)


def test_jpeg_with_restart_markers() -> None:
    content = encode(".jpg", quarters(), cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    assert b"\xff\xd0" in content
    assert_quarters(read_image(content), tolerance=12)


def tiff_of_kind(kind: int) -> bytes:
    """Return a TIFF whose directory begins with the kind of its picture (tag 254)."""
    content = tiff(quarters(), 1)
    start = content.index(struct.pack("<HHH", 10, 256, 4))
    entry = struct.pack("<HHII", 254, 4, 1, kind)
    return content[:start] + struct.pack("<H", 11) + entry + content[start + 2 :]


def test_a_tiff_that_begins_with_a_preview_is_refused() -> None:
    assert_quarters(read_image(tiff_of_kind(0)))
    assert_quarters(read_image(tiff_of_kind(2)))  # a page of several
    assert "only a small preview, as in a raw file of a camera (DNG): export it as JPEG" in reason(
        tiff_of_kind(1)
    )
