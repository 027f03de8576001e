"""Requests that are wrong in every way that comes to mind; the same seed gives the same ones."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tests.server_process import form

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from serenbox.pixels import Pixels

SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".ppm", ".tiff", ".gif")

PICTURE_PATHS = ("/predict", "/", "/detect")

OTHER_PATHS = ("/healthz", "/metrics", "/docs", "/%ff", "/predict/", "//x", "*", "/static/..%2f")

KINDS = (
    "image/png",
    "text/html",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/mixed; boundary=xyz",
    "image/png; charset=\x00",
    "é",
    "",
)

HUGE = ((65_500, 65_500), (12_000, 12_000), (40_000, 600), (1, 65_500), (0, 0), (5_000, 4_900))
"""Sizes that a header may claim; a picture of the last one is decoded by default."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What goes over a connection."""

    content: bytes
    whole: bool = True
    """Whether its head is as it should be, so that an answer must come."""


def sources(portrait: Pixels) -> list[bytes]:
    """Return small files of a face in every format, and in unusual kinds of pixels.

    Args:
        portrait: The portrait of 512 x 512.

    """
    face = cv2.resize(portrait[40:200, 140:300], (112, 112))
    grey = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
    kinds = (grey, cv2.cvtColor(face, cv2.COLOR_BGR2BGRA), grey.astype(np.uint16) * 257)
    files = [_encoded(face, suffix) for suffix in SUFFIXES if cv2.haveImageWriter(f"x{suffix}")]
    return files + [_encoded(kind, ".png") for kind in kinds]


def damaged(content: bytes, chance: random.Random, span: int) -> bytes:
    """Cut, flip, repeat or overwrite some of the first `span` bytes."""
    changed = bytearray(content)
    span = min(span, len(content))
    if not span:
        return content
    place = chance.randrange(span)
    match chance.randrange(4):
        case 0:
            del changed[place:]
        case 1:
            for _ in range(chance.randint(1, 20)):
                changed[chance.randrange(span)] ^= 1 << chance.randrange(8)
        case 2:
            changed[place:place] = changed[place : place + chance.randint(1, 200)]
        case _:
            changed[place : place + 8] = chance.randbytes(chance.randint(0, 16))
    return bytes(changed)


def picture_request(files: Sequence[bytes], chance: random.Random) -> Wire:
    """Return a request with a picture, damaged or not, in a form or not, of any type."""
    picture = chance.choice(files)
    if chance.random() < 0.8:
        span = len(picture) if chance.random() < 0.5 else min(len(picture), 64)
        picture = damaged(picture, chance, span)
    kind = chance.choice(KINDS)
    if chance.random() < 0.4:
        picture, kind = form(picture)
        if chance.random() < 0.3:
            picture = damaged(picture, chance, 150)
    return Wire(_request(chance.choice(PICTURE_PATHS), picture, f"Content-Type: {kind}"))


def head_request(files: Sequence[bytes], chance: random.Random) -> Wire:
    """Return a request whose method, path, length or head is wrong."""
    picture, kind = form(chance.choice(files))
    path = chance.choice((*PICTURE_PATHS, *OTHER_PATHS))
    method = chance.choice(("POST", "POST", "GET", "PUT", "OPTIONS", "HEAD", "BREW", "post"))
    length = len(picture) + (chance.choice((-9, 9, 10**12)) if chance.random() < 0.2 else 0)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()
    whole = chance.random() < 0.4
    return Wire((head if whole else damaged(head, chance, len(head))) + picture, whole)


def bomb_request(files: Sequence[bytes], chance: random.Random) -> Wire:
    """Return a request that tries to take more memory or time than its bytes are worth."""
    path = chance.choice(PICTURE_PATHS)
    return chance.choice(_BOMBS)(files, path, chance)


def _announced(files: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Let the header of a small picture claim a huge size."""
    return Wire(_request(path, with_size(chance.choice(files), *chance.choice(HUGE))))


_SIZES_OF_ZEROS = (HUGE[-1], HUGE[-1], (12_000, 12_000))


def _zeros(_: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Send few bytes that decode to many: 24.5 megapixels, which are allowed, or 144."""
    return Wire(_request(path, png_of_zeros(*chance.choice(_SIZES_OF_ZEROS))))


def _zipped(files: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Compress the body, which may be nothing but zeros."""
    body = gzip.compress(chance.choice((files[0], bytes(2**22))))
    return Wire(_request(path, body, "Content-Encoding: gzip"))


def _many_parts(_: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Send a form of thousands of parts, or one whose part has a head without an end."""
    part = b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    endless = b"--xyz\r\nX-Long: " + b"x" * 100_000
    body = chance.choice((part * 5000 + b"--xyz--\r\n", endless, b"--xyz\r\n" * 20_000))
    return Wire(_request(path, body, "Content-Type: multipart/form-data; boundary=xyz"))


def _odd_form(files: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Give the file an odd name, or the form an odd boundary."""
    name = chance.choice(("x" * 5000, "../../etc/passwd", "\x00", "é\u202e", "%s%n", "a;b,c"))
    body, kind = form(chance.choice(files), name=name)
    if chance.random() < 0.3:
        kind = kind.replace("xyz", "x" * 3000)
    return Wire(_request(path, body, f"Content-Type: {kind}"))


def _large(_: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Send a body just below or just above the largest that is read."""
    return Wire(_request(path, bytes(chance.choice((15, 17)) * 2**20)))


def _chunks(files: Sequence[bytes], path: str, chance: random.Random) -> Wire:
    """Send a body in pieces whose lengths may be wrong."""
    picture = chance.choice(files)
    length = chance.choice((len(picture), len(picture) + 5, 2**63, -1))
    end = chance.choice((b"\r\n0\r\n\r\n", b"\r\n0\r\nX: y\r\n\r\n", b"", b"zz\r\n"))
    head = f"POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return Wire(head.encode() + b"%x\r\n" % length + picture + end)


_BOMBS: tuple[Callable[[Sequence[bytes], str, random.Random], Wire], ...] = (
    _announced,
    _announced,
    _zeros,
    _zipped,
    _many_parts,
    _odd_form,
    _chunks,
    _large,
)


def with_size(content: bytes, width: int, height: int) -> bytes:
    """Write another size into the header of a PNG, JPEG, GIF, BMP or PPM file; others stay."""
    changed = bytearray(content)
    if content.startswith(b"\x89PNG"):
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif content.startswith(b"\xff\xd8") and (place := content.find(b"\xff\xc0")) > 0:
        changed[place + 5 : place + 9] = struct.pack(">HH", height, width)
    elif content.startswith(b"GIF"):
        changed[6:10] = struct.pack("<HH", width, height)
    elif content.startswith(b"BM"):
        changed[18:26] = struct.pack("<ii", width, height)
    elif content.startswith(b"P6"):
        changed[:] = b"P6\n%d %d\n255\n" % (width, height) + content[20:]
    return bytes(changed)


@cache
def png_of_zeros(width: int, height: int) -> bytes:
    """Return a grey PNG file that is all black, and small."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", data),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _request(path: str, body: bytes, *lines: str) -> bytes:
    more = "".join(f"{line}\r\n" for line in lines)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\n{more}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _encoded(image: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()
