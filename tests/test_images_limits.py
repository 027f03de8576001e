"""Pictures that would take too much memory or time, or that are too large."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.images import read_image
from tests.picture_files import (
    SIGNED,
    assert_quarters,
    chunk,
    gif,
    jpeg_header,
    png,
    quarters,
    reason,
    riff,
    tiff,
    tiled_tiff,
    vp8x,
)
from tests.short_memory import short_memory

if TYPE_CHECKING:
    from pathlib import Path


def bombs(width: int, height: int) -> dict[str, bytes]:
    """Return headers that announce this size, with next to nothing behind them."""
    lossless = width - 1 | height - 1 << 14
    tags = b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in ((256, width), (257, height)))
    return {
        "png": png(width, height, 8, 2, b""),
        "png header only": png(width, height, 8, 2, b"")[:33],
        "jpeg": jpeg_header(width, height),
        "gif": b"GIF89a" + struct.pack("<HH", width, height) + gif(0)[10:],
        "extended webp": riff(vp8x(0, width, height), (b"VP8 ", bytes(20))),
        "bmp": SIGNED["bmp"][:18] + struct.pack("<ii", width, height) + SIGNED["bmp"][26:],
        "top-down bmp": SIGNED["bmp"][:18] + struct.pack("<ii", width, -height) + bytes(40),
        "os/2 bmp": b"BM" + bytes(12) + struct.pack("<IHHHH", 12, width, height, 1, 24),
        "tiff": b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4),
        "ppm": f"P6\n# {width}\n{width} {height}\n255\n".encode(),
        "ppm, comment ended by return": f"P6 #\r{width} {height} 255\n#\n1 1\n255\n".encode(),
        "lossless webp": riff((b"VP8L", b"/" + struct.pack("<I", lossless & 0xFFFFFFF) + bytes(9))),
        "lossy webp": riff((b"VP8 ", bytes(6) + struct.pack("<HH", width, height) + bytes(9))),
    }


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        pytest.fail("the picture was decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)


BOMBS = bombs(30_000, 30_000)
BOMBS |= {kind: bombs(16_000, 16_000)[kind] for kind in ("lossless webp", "lossy webp")}


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bomb_is_refused_by_its_header(content: bytes) -> None:
    message = reason(content)
    assert "256,000,000 pixels" in message or "900,000,000 pixels" in message
    assert "more than the 64,000,000 that are decoded: make it smaller" in message


@pytest.mark.usefixtures("no_decoding")
def test_limits_of_size() -> None:
    assert "side longer than 32,766" in reason(png(32_767, 1, 8, 2, b""))
    just_too_large = "64 x 48 are 3,072 pixels, more than the 3,071 that are decoded"
    assert just_too_large in reason(SIGNED["png"], max_pixels=64 * 48 - 1)


def test_size_just_within_the_limits() -> None:
    assert_quarters(read_image(SIGNED["png"], max_pixels=64 * 48))
    row = png(32_766, 1, 8, 0, bytes(32_767))
    assert read_image(row).shape == (1, 32_766, 3)


@pytest.mark.usefixtures("no_decoding")
def test_gigantic_tile_of_a_small_tiff_is_refused() -> None:
    sizes = ((256, 64), (257, 48), (322, 1 << 20), (323, 1 << 20))
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sizes)
    content = b"II*\0" + struct.pack("<IH", 8, len(sizes)) + tags + bytes(4)
    assert "its size is unknown" in reason(content)


@pytest.mark.parametrize("count", [192, 1 << 30])
@pytest.mark.parametrize("order", "<>")
def test_tiles_that_share_their_bytes_are_refused(order: str, count: int) -> None:
    """The decoder may go through all of them for each tile."""
    picture = np.zeros((384, 512, 3), np.uint8)
    content = tiled_tiff(picture, 1, order, side=32)
    assert np.array_equal(read_image(content), picture)
    own, shared = (struct.pack(f"{order}I", size) * 192 for size in (3 * 32**2, 100_000))
    entry = struct.pack(f"{order}HH", 325, 4)
    stated, other = (entry + struct.pack(f"{order}I", number) for number in (192, count))
    assert content.count(own) == content.count(stated) == 1
    content = content.replace(own, shared).replace(stated, other)
    assert "the same bytes again and again" in reason(content)


@pytest.mark.parametrize("second", [10, 100_000])
def test_width_given_twice_is_the_first_for_us_as_for_the_decoder(second: int) -> None:
    content = tiff(quarters(), 1)
    start = content.index(struct.pack("<HHHII", 10, 256, 4, 1, 64))
    entries = content[start + 2 :]
    again = struct.pack("<HHII", 256, 4, 1, second)
    doubled = content[:start] + struct.pack("<H", 11) + entries[:12] + again + entries[12:]
    assert_quarters(read_image(doubled))


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize(
    "content",
    [
        b"v/1\x01" + bytes(99),  # OpenEXR
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),  # JPEG 2000
        b"\xff\x4f\xff\x51" + bytes(99),  # JPEG 2000 code stream
        b"\x59\xa6\x6a\x95" + bytes(99),  # Sun raster
        b"\0\0\0\x20ftypavif" + bytes(99),
        b"\0\0\0\x20ftypheic" + bytes(99),
        b"II+\0" + bytes(99),  # BigTIFF
        b"\x7fELF" + bytes(99),
        b"#?RADIANCE\n\n-Y 30000 +X 30000\n",
        b"P7\nWIDTH 30000\nHEIGHT 30000\nENDHDR\n",
        b"P1 30000 30000\n",
        b"PF 30000 30000\n",
    ],
)
def test_format_whose_size_is_not_read_is_never_decoded(content: bytes) -> None:
    assert "convert it to JPEG or PNG" in reason(content)


def test_no_pixels() -> None:
    assert "holds no pixel" in reason(png(0, 5, 8, 2, b""))
    assert "holds no pixel" in reason(jpeg_header(64, 0))


def test_decoder_that_finds_another_size_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((5, 5, 3), np.uint8))
    assert "cannot decode" in reason(SIGNED["png"])


def test_gigantic_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "gigantic.png"
    with path.open("wb") as file:
        file.write(SIGNED["png"])
        file.truncate(1 << 40)  # takes no room on the disk
    assert "larger than 256 MiB" in reason(path)


def test_jpeg_of_endless_scans_is_refused() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    content = cv2.imencode(".jpg", picture, options)[1].tobytes()
    assert read_image(content).shape == picture.shape
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert "more than 100 steps" in reason(content[:-2] + 100 * scan + content[-2:])


def test_scans_behind_a_marker_that_the_decoder_skips_are_counted() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1]
    content = cv2.imencode(".jpg", picture, options)[1].tobytes()
    last = content.rindex(b"\xff\xda")
    restart = content.index(b"\xff\xd0", last)
    # Where a restart is due, libjpeg looks for one behind any reserved marker, however long a
    # segment of that marker would be.
    scan = content[last : content.index(b"\xff\xd1", restart)]
    hidden = b"\xff\x02\xff\xff" + (101 * scan).ljust(0xFFFF - 2, b"\0")
    assert "more than 100 steps" in reason(content[:restart] + hidden + b"\xff\xd9")


@pytest.mark.parametrize(
    "start", [b"iCCPk\0\0", b"zTXtk\0\0", b"iTXtk\0\1\0\0\0"], ids=["iCCP", "zTXt", "iTXt"]
)
def test_what_else_a_png_compresses_is_not_unpacked(
    start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, sizes = cv2.imdecode, []

    def recorded(content: np.ndarray, flags: int) -> object:
        sizes.append(content.size)
        return decode(content, flags)

    monkeypatch.setattr(cv2, "imdecode", recorded)
    packed = start[4:] + zlib.compress(bytes(1_000_000))
    rows = bytes(64 * 48 * 3 + 48)
    content = png(64, 48, 8, 2, rows, *(100 * [chunk(start[:4], packed)]))
    plain = png(64, 48, 8, 2, rows)
    assert np.array_equal(read_image(content), read_image(plain))
    assert sizes == [len(plain), len(plain)]


def test_padding_before_a_marker_takes_no_longer_than_reading_it() -> None:
    """Time quadratic in the length of the padding would be hours here."""
    padded = SIGNED["jpeg"].replace(b"\xff\xdb", b"\xff" * 2_000_000 + b"\xdb", 1)
    assert_quarters(read_image(padded), tolerance=12)
    assert "damaged or cut off" in reason(b"\xff\xd8" + b"\xff" * 5_000_000)
    assert "cut off" in reason(SIGNED["jpeg"][:-2] + b"\xff" * 5_000_000)


def test_gaps_in_a_pnm_take_no_memory() -> None:
    content = b"P5" + b" " * 2_000_000 + b"1 1 255\n0"
    tracemalloc.start()
    try:
        assert "damaged" in reason(content)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("suffix", "room"),
    [
        # The picture that comes out takes 48 million bytes.
        *((suffix, 16_000_000) for suffix in (".png", ".jpg", ".webp", ".tiff")),
        # Here it has room, but not what these decoders need besides: 96 and 64 million bytes.
        *((suffix, 64_000_000) for suffix in (".jpg", ".webp")),
    ],
)
def test_a_good_picture_is_not_called_damaged_where_memory_is_short(suffix: str, room: int) -> None:
    pattern = np.random.default_rng(1).integers(0, 255, (40, 40, 3), np.uint8)
    picture = np.kron(pattern, np.ones((100, 100, 1), np.uint8))
    content = cv2.imencode(suffix, picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()

    with short_memory(room), pytest.raises(MemoryError):
        read_image(content)

    assert read_image(content).shape == picture.shape
