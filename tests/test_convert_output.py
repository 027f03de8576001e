import os
from pathlib import Path

import pytest

from convert.errors import InputError
from convert.output import check_writable, replaced_when_good


class TroubleError(Exception):
    pass


def fail_halfway(out: Path) -> None:
    with replaced_when_good(out) as temporary:
        temporary.write_bytes(b"new")
        raise TroubleError


def test_a_good_end_replaces_the_file(tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    out.write_bytes(b"old")
    with replaced_when_good(out) as temporary:
        temporary.write_bytes(b"new")
        assert out.read_bytes() == b"old"
    assert out.read_bytes() == b"new"
    assert out.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [out]


def test_a_name_may_be_as_long_as_the_folder_allows(tmp_path: Path) -> None:
    out = tmp_path / (248 * "m" + ".tflite")
    check_writable(out, tmp_path / "m.keras")
    with replaced_when_good(out) as temporary:
        temporary.write_bytes(b"new")
    assert out.read_bytes() == b"new"


def test_a_bad_end_leaves_everything_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    out.write_bytes(b"old")
    with pytest.raises(TroubleError):
        fail_halfway(out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_checking_touches_nothing(tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    check_writable(out, tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/m.tflite", "No such file"),
        ("file/m.tflite", "Not a directory"),
        (".", "is a folder"),
        ("file", "is the model to convert"),
        ("new.keras", "is named like a Keras model, .* a name that ends in .tflite"),
        ("new.H5", "is named like a Keras model"),
        ("notes", "notes exists and is not a .tflite file, .* remove it first"),
        ("pipe", "is not a .tflite file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    model = tmp_path / "file"
    model.write_bytes(b"")
    (tmp_path / "notes").write_text("of a whole year")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=reason):
        check_writable(tmp_path / name, model)


@pytest.mark.parametrize("content", [b"", b"\x1c\0\0\0TFL3 and so on"])
def test_an_earlier_result_may_be_replaced(tmp_path: Path, content: bytes) -> None:
    out = tmp_path / "m.tflite"
    out.write_bytes(content)
    check_writable(out, tmp_path / "m.keras")
    assert out.read_bytes() == content
