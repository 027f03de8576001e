"""The files that pictures are read from, and their names."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from serenbox.errors import ImageError
from serenbox.images import read_image, write_image
from tests.picture_files import SIGNED, assert_quarters, quarters, reason

if TYPE_CHECKING:
    from pathlib import Path


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


def test_pipe() -> None:
    """A file whose size is not known beforehand can be read, too."""
    read, write = os.pipe()
    with io.FileIO(write, "wb") as stream:
        stream.write(SIGNED["png"])
    assert_quarters(read_image(f"/dev/fd/{read}"))
    os.close(read)
