"""Writing pictures, whole or not at all."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serenbox import image_header, images
from serenbox.errors import ImageError
from serenbox.images import read_image, write_image
from tests.picture_files import quarters
from tests.rights import NOBODY

if TYPE_CHECKING:
    from pathlib import Path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of another user")
def test_another_user_s_link_in_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared, precious = tmp_path / "shared", tmp_path / "precious.png"
    shared.mkdir()
    shared.chmod(0o1777)
    precious.write_bytes(b"keep me")
    for target in (precious, tmp_path / "missing.png"):
        link = shared / target.name
        link.symlink_to(target)
        os.lchown(link, NOBODY, NOBODY)
        with pytest.raises(ImageError, match="cannot be written"):
            write_image(link, quarters())
    assert precious.read_bytes() == b"keep me"
    assert names(tmp_path) == ["precious.png", "shared"]
    os.lchown(shared / "precious.png", 0, 0)
    write_image(shared / "precious.png", quarters())
    assert np.array_equal(read_image(precious), quarters())
