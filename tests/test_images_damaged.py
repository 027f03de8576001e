"""Pictures that are cut off or damaged, and what is no picture at all."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serenbox.errors import ImageError
from serenbox.images import read_image
from tests.picture_files import (
    CMYK_JPEG,
    SIGNED,
    animated_webp,
    encode,
    gif,
    jpeg_with_exif,
    quarters,
    reason,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "16-bit png"])
def test_cut_off_anywhere(kind: str) -> None:
    content = SIGNED[kind]
    # The PNG reader has all it needs before the checksum of the last chunk.
    for end in (*range(1, len(content), 7), len(content) - 5, len(content) - 1):
        message = reason(content[:end])
        assert "cut off" in message or "not a picture" in message
        assert "again" in message or "convert" in message


def test_large_cut_off_jpeg() -> None:
    """OpenCV decodes the upper half of such a file and makes the rest grey."""
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    content = encode(".jpg", noise)
    half = content[: len(content) // 2]
    assert f"cut off after {len(half):,} bytes" in reason(half)
    assert "cut off" in reason(half + bytes(1000))
    thumbnail = jpeg_with_exif(half, b"MM\0*" + SIGNED["jpeg"])
    assert "cut off" in reason(thumbnail), "the end of the thumbnail is not that of the picture"


@pytest.mark.parametrize("kind", ["bmp", "tiff", "ppm", "lossless webp", "lossy webp"])
def test_other_formats_cut_off(kind: str) -> None:
    content = SIGNED[kind]
    for end in (21, len(content) // 2, len(content) - 9):
        assert "damaged" in reason(content[:end])


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("trailer", [b"\0", b"\xff\xd8\xff\xe0junk", bytes(5000)])
def test_bytes_after_the_picture_are_fine(kind: str, trailer: bytes) -> None:
    assert np.array_equal(read_image(SIGNED[kind] + trailer), read_image(SIGNED[kind]))


def test_damaged_png() -> None:
    content = bytearray(SIGNED["png"])
    content[60] ^= 0xFF
    assert "cannot decode this PNG of 64 x 48 pixels" in reason(bytes(content))


def test_anything_at_all_gives_a_picture_or_one_sentence() -> None:
    random = np.random.default_rng(5)
    for content in (*SIGNED.values(), gif(1, 2), CMYK_JPEG, animated_webp(quarters())):
        for _ in range(40):
            damaged = bytearray(content)
            for place in random.integers(0, min(len(damaged), 200), 3):
                damaged[place] = random.integers(0, 256)
            with contextlib.suppress(ImageError):
                assert read_image(bytes(damaged), max_pixels=100_000).size <= 300_000


def test_what_is_no_picture(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("This is no picture.\n")
    assert reason(text).startswith(f"{text}: it holds text, not a picture")
    assert "it is empty (0 bytes)" in reason(b"")
    assert "PNM written as text" in reason(b"P2\n1 1\n255\n7\n")
    for white in (15, 100, 4095):  # which OpenCV would take for a nearly black picture
        assert f"values go up to {white}" in reason(f"P5\n1 1\n{white}\n7\n".encode())
    for brand, name in ((b"heic", "HEIC"), (b"mif1", "HEIF"), (b"avif", "AVIF")):
        foreign = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic"
        assert f"in the format {name}, which" in reason(foreign)
