"""Read FER2013 in its common forms: the challenge's CSV file or Kaggle's folders of pictures."""

from __future__ import annotations

import csv
import gzip
import lzma
import zlib
from typing import TYPE_CHECKING, NamedTuple, TextIO

import cv2
import numpy as np

from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.errors import DataError
from training.labels import FACE_SIZE, FER2013_CODES, FERPLUS_COLUMNS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_DIGITS = 9
"""Digits allowed in a number of votes; that of ten annotators has no more than two."""

_ENCODING = "utf-8-sig"
"""All is ASCII, but some spreadsheet programs begin a file with a byte order mark."""

_PICTURES = (".jpg", ".jpeg", ".png")


class RawFaces(NamedTuple):
    """Faces as read, before anything is checked across them."""

    images: NDArray[np.uint8]
    """(n, 48, 48) grey pixels, 0..255."""
    labels: NDArray[np.int64]
    """(n,) index into `EMOTIONS`."""
    splits: NDArray[np.str_]
    """(n,) one of `SPLITS`."""


def read_faces(path: Path) -> RawFaces:
    """Read FER2013 from `path`: a CSV file (plain, .gz or .xz) or Kaggle's folder.

    Raises:
        DataError: nothing is there, or a row or picture is damaged; the message names it.

    """
    if path.is_dir():
        return _collect(_folder_faces(path), path)
    if not path.is_file():
        msg = (
            f"{path} does not exist: give the challenge's fer2013.csv (plain, .gz or .xz) "
            "or Kaggle's folder with train/ and test/ in it"
        )
        raise DataError(msg)
    return _collect(_csv_faces(path), path)


def _collect(faces: Iterator[tuple[NDArray[np.uint8], int, str]], path: Path) -> RawFaces:
    images, labels, splits = [], [], []
    for image, label, split in faces:
        images.append(image)
        labels.append(label)
        splits.append(split)
    if not images:
        msg = f"{path} holds no faces"
        if path.is_dir():
            msg += ": give the folder that has train/ and test/ in it"
        raise DataError(msg)
    return RawFaces(np.stack(images), np.array(labels, np.int64), np.array(splits))


def open_text(path: Path) -> TextIO:
    """Open a text file that may be compressed (.gz or .xz)."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=_ENCODING, newline="")
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding=_ENCODING, newline="")
    return path.open(encoding=_ENCODING, newline="")


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each row below a header that names `columns` in any order.

    The fields are in the order of `columns`; empty lines are left out.

    Raises:
        DataError: the file is not such a CSV file or is damaged.

    """
    try:
        with open_text(path) as file:
            reader = csv.reader(file)
            header = tuple(name.strip() for name in next(reader, []))
            if sorted(header) != sorted(columns):
                msg = f"{path}: the first line must name the columns {','.join(columns)!r}"
                raise DataError(msg)
            order = [header.index(name) for name in columns]
            for row in filter(None, reader):
                if len(row) != len(columns):
                    msg = f"{path}, line {reader.line_num}: {len(row)} fields, not {len(columns)}"
                    raise DataError(msg)
                yield reader.line_num, [row[column] for column in order]
    except FileNotFoundError as error:
        msg = f"{path}: there is no such file: check the name"
        raise DataError(msg) from error
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zlib.error,
        UnicodeDecodeError,
        csv.Error,
    ) as error:
        msg = f"{path} cannot be read as CSV text: {reason_of(error)}; fetch the file again"
        raise DataError(msg) from error


def _csv_faces(path: Path) -> Iterator[tuple[NDArray[np.uint8], int, str]]:
    order = [EMOTIONS.index(name) for name in FER2013_CODES]
    for line, (code, pixels, split) in csv_rows(path, ("emotion", "pixels", "Usage")):
        where = f"{path}, line {line}"
        if code not in {str(number) for number in range(len(order))}:
            msg = f"{where}: emotion {code!r} is not a code from 0 to {len(order) - 1}"
            raise DataError(msg)
        if split not in SPLITS:
            msg = f"{where}: Usage {split!r} is not one of {', '.join(SPLITS)}"
            raise DataError(msg)
        yield _parse_pixels(pixels, where), order[int(code)], split


def _parse_pixels(text: str, where: str) -> NDArray[np.uint8]:
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        msg = f"{where}: pixels are not whole numbers ({error})"
        raise DataError(msg) from error
    if values.size != FACE_SIZE**2:
        msg = f"{where}: {values.size} pixels, not {FACE_SIZE}x{FACE_SIZE}"
        raise DataError(msg)
    if values.min() < 0 or values.max() > np.iinfo(np.uint8).max:
        msg = f"{where}: a pixel lies outside 0..255"
        raise DataError(msg)
    return values.astype(np.uint8).reshape(FACE_SIZE, FACE_SIZE)


def pictures_in(root: Path) -> list[Path]:
    """Return the pictures of Kaggle's folder, sorted by path: `train/angry/….jpg` and so on."""
    found = root.glob("*/*/*")
    return sorted(path for path in found if path.suffix.lower() in _PICTURES and path.is_file())


def _folder_faces(root: Path) -> Iterator[tuple[NDArray[np.uint8], int, str]]:
    for path in sorted(pictures_in(root), key=lambda path: path.name):
        label = path.parent.name.lower()
        if label not in EMOTIONS:
            msg = f"{path}: its folder {path.parent.name!r} is not one of {', '.join(EMOTIONS)}"
            raise DataError(msg)
        split = path.name.split("_", 1)[0]
        if split not in SPLITS:
            msg = (
                f"{path}: the name must begin with {', '.join(f'{name}_' for name in SPLITS)}, "
                "from which the official split is recovered"
            )
            raise DataError(msg)
        yield _read_picture(path), EMOTIONS.index(label), split


def _read_picture(path: Path) -> NDArray[np.uint8]:
    content = np.fromfile(path, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE) if content.size else None
    if image is None:
        msg = f"{path} is not a readable picture; fetch it again or remove it"
        raise DataError(msg)
    if image.shape != (FACE_SIZE, FACE_SIZE):
        height, width = image.shape[:2]
        msg = f"{path} is {width}x{height} pixels, not {FACE_SIZE}x{FACE_SIZE}"
        raise DataError(msg)
    return np.asarray(image, np.uint8)


def read_votes(path: Path) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Read FER+ votes, row i of which belongs to row i of fer2013.csv.

    Returns:
        (n, 10) counts in the order of `FERPLUS_COLUMNS`, and (n,) the split named in each row.

    Raises:
        DataError: the file is not FER+'s CSV file or is damaged.

    """
    columns = ("Usage", "Image name", *FERPLUS_COLUMNS)
    rows, splits = [], []
    for line, row in csv_rows(path, columns):
        if not all(count.isdecimal() and len(count) <= _MOST_DIGITS for count in row[2:]):
            msg = f"{path}, line {line}: a vote is not a whole number, or is too large"
            raise DataError(msg)
        rows.append([int(count) for count in row[2:]])
        splits.append(row[0])
    if not rows:
        msg = f"{path} holds no votes"
        raise DataError(msg)
    return np.array(rows, np.int64), np.array(splits, np.str_)
