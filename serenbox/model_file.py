"""The emotion model file: a .tflite that describes itself.

`labels.txt` and `metadata.json` are appended to the model as a zip archive, TensorFlow Lite's own
way of associating files with a model: a runtime reads the model from the front and ignores the
archive, which `unzip` can read. The archive also holds `model.sha256`, the checksum of the model in
front, so that a damaged copy is detected before a runtime trusts it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

from serenbox.errors import IMPOSSIBLE_NAME, ModelError, reason_of
from serenbox.model_metadata import (
    Color,
    CropSpec,
    InputSpec,
    ModelMetadata,
    ScoreSpec,
    parse_metadata,
)

__all__ = [
    "Color",
    "CropSpec",
    "InputSpec",
    "ModelMetadata",
    "ScoreSpec",
    "append_metadata",
    "check_identifier",
    "load_model_file",
    "read_metadata",
    "read_model_bytes",
]

_IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of every .tflite: the file identifier of TensorFlow Lite's FlatBuffers schema."""

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip archive can hold: fixed, so that the same model gives the same file."""

_FILES = frozenset({"labels.txt", "metadata.json", "model.sha256"})
"""Files that are read. A small archive may hold others too large for memory once unpacked."""

_LARGEST_TEXT = 1 << 20
"""The most bytes to unpack, 1 MiB: a larger associated file is not ours."""


_NOT_AN_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, IndexError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What `zipfile` raises on damaged content; RuntimeError means that an entry is encrypted."""


def check_identifier(content: bytes) -> None:
    """Raise `ModelError` if the content does not begin as a .tflite does."""
    if content[4:8] != _IDENTIFIER:
        raise ModelError(
            "this is not a TensorFlow Lite model: give a .tflite file made by `python -m convert`"
        )


def read_metadata(content: bytes) -> ModelMetadata:
    """Return what an emotion model says about itself.

    Args:
        content: The whole model file.

    Raises:
        ModelError: It is not a .tflite, has no metadata or is damaged, or the metadata is wrong.

    """
    check_identifier(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: _unpack(archive, name) for name in _FILES & {*archive.namelist()}}
            model = memoryview(content)[: _archive_start(archive)]
    except _NOT_AN_ARCHIVE as error:
        raise ModelError(
            "the model carries no metadata, or the end of the file is missing: copy the file "
            "again, or make it with `python -m convert`"
        ) from error
    _check_sum(model, files.get("model.sha256"))
    metadata = parse_metadata(_json(files.get("metadata.json")))
    if tuple(files.get("labels.txt", "").split("\n")[: len(metadata.labels)]) != metadata.labels:
        raise ModelError(
            "labels.txt and metadata.json in the model name different labels: make the model file "
            "again with `python -m convert`"
        )
    return metadata


def append_metadata(tflite: bytes, metadata: ModelMetadata) -> bytes:
    """Return the model with its metadata appended, replacing any it had before.

    The result depends only on the arguments.

    Raises:
        ModelError: `tflite` is not a .tflite, or the metadata is wrong.

    """
    check_identifier(tflite)
    parse_metadata(metadata.as_dict())
    model = _without_archive(tflite)
    files = {
        "labels.txt": "".join(f"{label}\n" for label in metadata.labels),
        "metadata.json": json.dumps(metadata.as_dict(), indent=2, ensure_ascii=False) + "\n",
        "model.sha256": hashlib.sha256(model).hexdigest() + "\n",
    }
    buffer = io.BytesIO()
    buffer.write(model)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def load_model_file(path: str | os.PathLike[str]) -> tuple[bytes, ModelMetadata]:
    """Read an emotion model: the whole file, for a runtime to open, and its metadata.

    Raises:
        ModelError: The file cannot be read or is not an emotion model; the message names the file.

    """
    content = read_model_bytes(path)
    try:
        return content, read_metadata(content)
    except ModelError as error:
        raise ModelError(f"{os.fspath(path)}: {error}") from error


def read_model_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a model file of any kind.

    Raises:
        ModelError: The file cannot be read; the message names the file and the reason.

    """
    if not os.fspath(path):
        raise ModelError(_unreadable("''", "the name is empty"))
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ModelError(_unreadable(path, reason_of(error))) from error
    except ValueError as error:
        raise ModelError(_unreadable(path, IMPOSSIBLE_NAME)) from error


def _unreadable(path: str | os.PathLike[str], reason: str) -> str:
    return f"cannot read the model {os.fspath(path)}: {reason}; give the path of a .tflite file"


def _archive_start(archive: zipfile.ZipFile) -> int:
    return min((entry.header_offset for entry in archive.infolist()), default=archive.start_dir)


def _without_archive(tflite: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(tflite)) as archive:
            return tflite[: _archive_start(archive)]
    except _NOT_AN_ARCHIVE:
        return tflite


def _unpack(archive: zipfile.ZipFile, name: str) -> str:
    entry = archive.getinfo(name)
    known = entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if entry.file_size > _LARGEST_TEXT or not known:
        raise ValueError(name)
    return archive.read(name).decode("utf-8")


def _json(text: str | None) -> object:
    if text is None:
        raise ModelError(
            "the model carries no metadata.json, so it is not an emotion model of SerenBox: make "
            "one with `python -m convert`"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"metadata.json in the model is not JSON: {error}") from error


def _check_sum(model: memoryview, wanted: str | None) -> None:
    """Compare the checksum; a file made by another program may have none."""
    if wanted is not None and hashlib.sha256(model).hexdigest() != wanted.strip():
        raise ModelError(
            "the model is damaged: it does not match its own checksum. Copy or download the file "
            "again"
        )
