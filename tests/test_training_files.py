from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import training.files
from training.errors import RunError
from training.files import check_writable, local_path, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bucket_is_found_where_it_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.files, "BUCKETS", tmp_path)

    # AIP_MODEL_DIR ends in a slash.
    assert local_path("gs://a-bucket/runs/model/") == tmp_path / "a-bucket" / "runs" / "model"
    assert str(local_path("runs/mine")) == "runs/mine"


def test_a_bucket_that_is_not_mounted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.files, "BUCKETS", tmp_path / "nowhere")

    with pytest.raises(RunError, match="gs://a-bucket/x is in Cloud Storage"):
        local_path("gs://a-bucket/x")


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")

    with pytest.raises(RunError, match="cannot be written"):
        write_atomically(path / "below a file", b"x")

    with pytest.raises(RunError, match=r"below a file cannot be written: .*; choose another"):
        check_writable(path / "below a file")
    check_writable(tmp_path / "missing" / "folder")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
