"""Reading pictures from files and bytes, and writing them whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from serenbox.errors import IMPOSSIBLE_NAME, ImageError, reason_of
from serenbox.image_header import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    ImageHeader,
    check_complete,
    first_picture,
    read_header,
)
from serenbox.pixels import Pixels  # noqa: TC001 - for `typing.get_type_hints`
from serenbox.whole_file import write_whole

WRITABLE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"})
"""What `write_image` can write, in lower case."""

_DECODE_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
# No decoder takes more for a pixel: a progressive JPEG of four colours has 8 of coefficients and
# 3 of result.
_DECODER_BYTES = 12
_TRY = "try another format, such as .png"
_ENCODER_SUFFIX = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg"}


def read_image(
    source: str | os.PathLike[str] | bytes, *, name: str = "", max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Read a picture and turn it upright.

    The formats are JPEG (also CMYK), PNG, WebP, GIF (from OpenCV 4.12 on), BMP, TIFF, PGM and PPM.
    Only the first frame of an animation is read, and only the upper 8 of 16 bits per sample. Grey
    and palette pictures become color. Transparency is ignored: a transparent pixel shows the color
    that it hides, or in TIFF a darker one, because OpenCV blends it with black.

    Args:
        source: A file, or the bytes of one.
        name: What messages call the picture; by default the path, or "picture" for bytes.
        max_pixels: A picture with more pixels (width times height) is refused before it is decoded.

    Returns:
        Pixels (height, width, 3), uint8, BGR, the orientation in EXIF already applied.

    Raises:
        ImageError: The file cannot be read, is not a complete picture in one of these formats, or
            is too large. The message is one sentence that begins with `name`.
        MemoryError: There is not enough memory to decode it.

    """
    try:
        content = source if isinstance(source, bytes) else _read_bytes(source)
        return _decode(content, max_pixels)
    except ImageError as error:
        name = name or ("picture" if isinstance(source, bytes) else os.fspath(source) or "''")
        raise ImageError(f"{name}: {error}") from error.__cause__


def write_image(path: str | os.PathLike[str], image: Pixels) -> None:
    """Write a picture in the format that its suffix names, replacing a file of that name.

    The file appears whole or not at all: it is first written under another name in the same folder.

    Args:
        path: Where to write; the suffix is one of `WRITABLE_SUFFIXES`.
        image: Pixels (height, width, 3) BGR or (height, width) grey, uint8.

    Raises:
        ImageError: The suffix is unknown, or the file cannot be written.

    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise ImageError(
            f"{path}: no picture can be written with the suffix '{path.suffix}': "
            f"use one of {', '.join(sorted(WRITABLE_SUFFIXES))}"
        )
    try:
        done, encoded = cv2.imencode(_ENCODER_SUFFIX.get(suffix, suffix), image)
    except cv2.error as error:
        raise ImageError(
            f"{path}: OpenCV cannot write this picture ({error.err}): {_TRY}"
        ) from None
    if not done:
        raise ImageError(f"{path}: OpenCV cannot write this picture: {_TRY}")
    try:
        write_whole(path, encoded.tobytes())
    except OSError as error:
        raise ImageError(
            f"{path}: it cannot be written ({reason_of(error)}): "
            "check that the folder may be written to and that its disk has room"
        ) from error
    except ValueError:
        raise ImageError(f"{path}: {IMPOSSIBLE_NAME}: choose another") from None


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    if not os.fspath(path):
        raise ImageError("the name is empty: give the path of a picture")
    try:
        with Path(path).open("rb") as file:
            # The size of a pipe or a device is unknown, so the limit applies to the reading itself.
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError("there is no such file: check the name") from None
    except IsADirectoryError:
        raise ImageError("it is a folder, not a picture: name the files in it") from None
    except OSError as error:
        raise ImageError(
            f"it cannot be read ({reason_of(error)}): check its path and its permissions"
        ) from error
    except ValueError:
        raise ImageError(f"{IMPOSSIBLE_NAME}: check it") from None
    return content


def _decode(content: bytes, max_pixels: int) -> Pixels:
    if len(content) > MAX_BYTES:
        raise ImageError(
            f"it is larger than {MAX_BYTES // 2**20} MiB, the most that is read: make it smaller"
        )
    header = read_header(content)
    _check_size(header, max_pixels)
    check_complete(content, header)
    content = first_picture(content, header)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), _DECODE_FLAGS)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(error.err) from error
        raise ImageError(_undecodable(header)) from error
    if image is None:
        # Where libjpeg and libwebp get no memory, they end as for a damaged file: then this raises.
        np.empty(_DECODER_BYTES * header.width * header.height, np.uint8)
    # If the decoder finds another size than the header gave, the file was crafted.
    if image is None or image.size != header.width * header.height * 3:
        raise ImageError(_undecodable(header))
    return _turn_upright(np.asarray(image, np.uint8), header.orientation)


def _check_size(header: ImageHeader, max_pixels: int) -> None:
    width, height = header.width, header.height
    if width * height > max_pixels:
        raise ImageError(
            f"{width} x {height} are {width * height:,} pixels, more than the {max_pixels:,} that "
            "are decoded: make it smaller"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{width} x {height} pixels have a side longer than {MAX_SIDE:,}, the most that "
            "OpenCV can work on: make it smaller or cut it"
        )


def _undecodable(header: ImageHeader) -> str:
    return (
        f"OpenCV {cv2.__version__} cannot decode this {header.format} of {header.width} x "
        f"{header.height} pixels, so it is damaged or of a kind that this version does not know: "
        "convert it to PNG or JPEG"
    )


def _turn_upright(image: Pixels, orientation: int) -> Pixels:
    """Undo the eight orientations of EXIF (tag 274): 2, 4, 5 and 7 are mirrored."""
    if orientation in {5, 6, 7, 8}:
        image = image.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    return np.ascontiguousarray(image)
