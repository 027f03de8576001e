"""Reading and writing pictures, on real bytes."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import resource
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox import image_header, images
from serenbox.errors import ImageError
from serenbox.images import read_image, write_image

if TYPE_CHECKING:
    from pathlib import Path

Pixels = npt.NDArray[np.uint8]

RED, GREEN, BLUE, GREY = (0, 0, 255), (0, 255, 0), (255, 0, 0), (200, 200, 200)
GIF_READABLE = cv2.haveImageWriter("x.gif")  # both directions came with OpenCV 4.12

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


def exif(orientation: int, order: str = ">") -> bytes:
    start = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)
    return start + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def jpeg_with_exif(content: bytes, block: bytes) -> bytes:
    body = b"Exif\0\0" + block
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]


def png_with_exif(content: bytes, block: bytes) -> bytes:
    return content[:33] + chunk(b"eXIf", block) + content[33:]


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


def webp_with_exif(content: bytes, block: bytes) -> bytes:
    header = image_header.read_header(content)
    (length,) = struct.unpack_from("<I", content, 16)
    picture = (content[12:16], content[20 : 20 + length])
    return riff(vp8x(0x08, header.width, header.height), picture, (b"EXIF", block))


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
    content += struct.pack(order + "HHH", 8, 8, 8) + struct.pack(order + "H", len(tags))
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


def assert_quarters(image: Pixels, tolerance: int = 3) -> None:
    assert image.dtype == np.uint8
    assert image.shape == (48, 64, 3)
    found = [image[y, x] for y in (12, 36) for x in (16, 48)]
    assert np.abs(np.array(found, int) - (RED, GREEN, BLUE, GREY)).max() <= tolerance


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def reason(content: bytes | str | Path, max_pixels: int = image_header.MAX_PIXELS) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(content, max_pixels=max_pixels)
    message = str(caught.value)
    assert "\n" not in message
    return message


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
}
SIGNED["top-down bmp"] = (
    SIGNED["bmp"][:22] + struct.pack("<i", -48) + SIGNED["bmp"][26:54] + quarters().tobytes()
)


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


def test_jpeg_of_endless_scans_is_refused() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    content = cv2.imencode(".jpg", picture, options)[1].tobytes()
    assert read_image(content).shape == picture.shape
    scan = content[content.rindex(b"\xff\xda") : -2]
    assert "more than 100 steps" in reason(content[:-2] + 100 * scan + content[-2:])


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


def striped() -> Pixels:
    """The first rows red, the first columns blue."""
    image = np.full((48, 64, 3), 128, np.uint8)
    image[:, :16] = BLUE
    image[:16] = RED
    return image


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("kind", ["jpeg", "jpeg, little-endian", "png", "webp", "tiff"])
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


def jpeg_header(width: int, height: int) -> bytes:
    return SIGNED["jpeg"].replace(struct.pack(">HH", 48, 64), struct.pack(">HH", height, width))


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
    assert "256.0 megapixels" in message or "900.0 megapixels" in message
    assert "more than the 64.0 that are decoded: make it smaller" in message


@pytest.mark.usefixtures("no_decoding")
def test_limits_of_size() -> None:
    assert "side longer than 32,766" in reason(png(32_767, 1, 8, 2, b""))
    assert "more than the 0.0 that are decoded" in reason(SIGNED["png"], max_pixels=64 * 48 - 1)


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


def test_jpeg_with_restart_markers() -> None:
    content = encode(".jpg", quarters(), cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    assert b"\xff\xd0" in content
    assert_quarters(read_image(content), tolerance=12)


def test_damaged_png() -> None:
    content = bytearray(SIGNED["png"])
    content[60] ^= 0xFF
    assert "cannot decode this PNG of 64 x 48 pixels" in reason(bytes(content))


def test_no_pixels() -> None:
    assert "holds no pixel" in reason(png(0, 5, 8, 2, b""))
    assert "holds no pixel" in reason(jpeg_header(64, 0))


def test_anything_at_all_gives_a_picture_or_one_sentence() -> None:
    random = np.random.default_rng(5)
    for content in (*SIGNED.values(), gif(1, 2), CMYK_JPEG, animated_webp(quarters())):
        for _ in range(40):
            damaged = bytearray(content)
            for place in random.integers(0, min(len(damaged), 200), 3):
                damaged[place] = random.integers(0, 256)
            with contextlib.suppress(ImageError):
                assert read_image(bytes(damaged), max_pixels=100_000).size <= 300_000


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


def test_what_is_no_picture(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("This is no picture.\n")
    assert reason(text).startswith(f"{text}: it holds text, not a picture")
    assert "it is empty (0 bytes)" in reason(b"")
    assert "PNM written as text" in reason(b"P2\n1 1\n255\n7\n")
    for white in (15, 100, 4095):  # which OpenCV would take for a nearly black picture
        assert f"values go up to {white}" in reason(f"P5\n1 1\n{white}\n7\n".encode())
    assert "HEIC" in reason(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(SIGNED["png"])
    assert "no such file: check the name" in reason(tmp_path / "missing.jpg")
    assert "it is a folder" in reason(tmp_path)
    assert "Not a directory" in reason(file / "photo.jpg")
    assert "File name too long" in reason(str(tmp_path / ("x" * 300)))


def test_name_in_messages() -> None:
    assert reason("missing.jpg").startswith("missing.jpg: ")
    with pytest.raises(ImageError, match=r"^standard input: it is empty"):
        read_image(b"", name="standard input")


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    assert reason(name) == f"{name}: no file can have such a name: check it"
    with pytest.raises(ImageError, match="no file can have such a name: choose another"):
        write_image(name, quarters())


def test_an_empty_name() -> None:
    assert reason("") == "'': the name is empty: give the path of a picture"


def test_gigantic_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "gigantic.png"
    with path.open("wb") as file:
        file.write(SIGNED["png"])
        file.truncate(1 << 40)  # takes no room on the disk
    assert "larger than 256 MiB" in reason(path)


def test_decoder_that_finds_another_size_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((5, 5, 3), np.uint8))
    assert "cannot decode" in reason(SIGNED["png"])


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp"])
def test_write_and_read_again(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    write_image(path, quarters())
    assert np.array_equal(read_image(path), quarters())
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", sorted(images.WRITABLE_SUFFIXES))
def test_written_format_is_that_of_the_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    write_image(path, quarters())
    expected = {".png": "PNG", ".webp": "WebP", ".bmp": "BMP"}.get(suffix, "JPEG")
    assert image_header.read_header(path.read_bytes()).format == expected


def test_unknown_suffix_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"suffix '\.gif': use one of \.bmp"):
        write_image(tmp_path / "picture.gif", quarters())
    assert not names(tmp_path)


def test_picture_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot write this picture"):
        write_image(tmp_path / "wide.webp", np.zeros((1, 20_000, 3), np.uint8))
    assert not names(tmp_path)


def test_write_respects_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_image(tmp_path / "picture.png", quarters())
    finally:
        os.umask(before)
    assert (tmp_path / "picture.png").stat().st_mode & 0o777 == 0o640


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A limit on file sizes makes a write fail half-way, as a full disk does."""
    path = tmp_path / "picture.bmp"
    path.write_bytes(b"the old one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ImageError, match=r"cannot be written \(File too large\): check"):
            write_image(path, quarters())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"the old one"
    assert names(tmp_path) == ["picture.bmp"]


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "picture.png", quarters())
    assert not names(tmp_path)


def test_write_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="Not a directory"):
        write_image(tmp_path / "file" / "picture.png", quarters())
    with pytest.raises(ImageError, match="No such file or directory"):
        write_image(tmp_path / "missing" / "picture.png", quarters())
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="Is a directory"):
        write_image(tmp_path / "folder.png", quarters())
    assert names(tmp_path) == ["file", "folder.png"]


def test_pipe() -> None:
    """A file whose size is not known beforehand can be read, too."""
    read, write = os.pipe()
    with io.FileIO(write, "wb") as stream:
        stream.write(SIGNED["png"])
    assert_quarters(read_image(f"/dev/fd/{read}"))
    os.close(read)
