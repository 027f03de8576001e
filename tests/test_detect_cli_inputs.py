"""Which pictures serenbox-detect reads, and what it says of those that it cannot."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from serenbox.cli.inputs import find_inputs
from serenbox.images import read_image
from tests.detect_process import Run, assert_error, lines, results, runner, save


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def test_standard_input(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "a.png").read_bytes()
    (result,) = results(run("--json", "--cropped", "-", stdin=content))
    assert (result["image"], result["width"]) == ("-", 80)
    assert_error(run("-"), 1, "standard input: it is empty: pipe a picture")
    assert_error(run("-", stdin=b"hello"), 1, "standard input: it holds text")


def test_folders_patterns_and_files(tmp_path: Path) -> None:
    inner = tmp_path / "in" / "b"
    inner.mkdir(parents=True)
    for name in ("z.png", "a.JPG", "notes.txt", ".hidden.png", "b/c.webp", "b/d[1].gif"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / ".git").mkdir()
    (tmp_path / "in" / ".git" / "x.png").touch()
    top = str(tmp_path / "in")

    def found(*names: str, skip: Path | None = None) -> list[str]:
        inputs = find_inputs(names, skip=skip)
        assert inputs.problems == []
        return [name.removeprefix(top + "/") for name in inputs.names]

    everything = ["a.JPG", "z.png", "b/c.webp", "b/d[1].gif"]
    assert found(top) == everything
    assert found(top, top + "/z.png", top + "/") == everything, "each once"
    assert found(top + "/z.png", top)[0] == "z.png"
    assert found(top + "/*.png") == ["z.png"]
    assert found(top + "/*") == ["a.JPG", "b/c.webp", "b/d[1].gif", "notes.txt", "z.png"]
    assert found(top + "/**/*.webp") == ["b/c.webp"]
    assert found(top + "/b/d[1].gif") == ["b/d[1].gif"], "a name that is there is no pattern"
    assert found(top, skip=inner) == ["a.JPG", "z.png"]
    assert found("-", "missing.jpg", "-") == ["-", "missing.jpg"]

    # The tool's own output folder is left out, unless it is named alone or in a pattern.
    assert found(top + "/**/*.*", skip=inner) == ["a.JPG", "notes.txt", "z.png"]
    assert found(top + "/*", skip=inner) == ["a.JPG", "notes.txt", "z.png"]
    assert found(*(f"{top}/{name}" for name in ("b", "z.png")), skip=inner) == ["z.png"]
    assert found(str(inner), skip=inner) == ["b/c.webp", "b/d[1].gif"]
    assert found(top + "/b/*.webp", skip=inner) == ["b/c.webp"]
    assert found(top + "/*.png", skip=tmp_path / "in") == ["z.png"]


def test_a_file_named_as_standard_input_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").touch()
    assert find_inputs(["-", "./-", "-"]).names == ["-", "./-"]


def test_only_files_of_a_folder_are_pictures(tmp_path: Path) -> None:
    """Reading a pipe would wait for a writer."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "to_pipe.jpg").symlink_to("pipe.jpg")
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "c.jpg").symlink_to("missing")
    found = find_inputs([str(tmp_path)])
    assert [Path(name).name for name in found.names] == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.problems == []


def test_links_to_folders_are_not_followed_at_any_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these links leads to a folder that holds it, so following them would not end."""
    monkeypatch.chdir(tmp_path)
    Path("in", "b").mkdir(parents=True)
    for name in ("in/a.jpg", "in/b/c.jpg"):
        Path(name).touch()
    for name in ("in/loop1", "in/loop2", "in/b/loop3"):
        Path(name).symlink_to(tmp_path / "in")
    Path("link").symlink_to("in")
    Path("self").symlink_to("self")

    both = ["in/a.jpg", "in/b/c.jpg"]
    for pattern in ("in/**/*.jpg", "in/**", "in/**/", "in/**/*", "**/*.jpg", "in/**/**/*.jpg"):
        assert sorted(find_inputs([pattern]).names) == both, pattern
    assert find_inputs(["./**/b/**/*.jpg"]).names == ["./in/b/c.jpg"]
    assert find_inputs([f"{tmp_path}/in/**/c.jpg"]).names == [f"{tmp_path}/in/b/c.jpg"]
    assert find_inputs(["link/**/*.jpg"]).names == ["link/a.jpg", "link/b/c.jpg"], "named"
    assert find_inputs(["**/*"], skip=Path("in/b")).names == ["in/a.jpg", "self"]


def test_inputs_that_mean_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    assert_error(run("empty"), 2, "empty: there are no pictures in this folder", ".jpg, ")
    assert_error(run("*.jpg"), 2, "*.jpg: no picture matches this pattern")
    assert_error(run(""), 2, "an empty name is not a picture")
    process = run("a.png", "--annotate", "")
    assert process.returncode == 2
    assert b"argument --annotate: the name is empty" in process.stderr
    save(tmp_path / "a.png")
    process = run("--json", "empty", "a.png")
    assert_error(process, 1, "empty: there are no pictures")
    assert len(results(process)) == 1


def test_photos_of_a_folder_that_cannot_be_read_are_not_left_out_silently(
    run: Run, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    save(photos / "a.png")
    (photos / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    process = run("--json", "--cropped", "photos")
    assert_error(process, 1, "photos/IMG_1.HEIC: it is in the format HEIC", "convert it to JPEG")
    assert [result["image"] for result in results(process)] == ["photos/a.png"]


def test_the_preview_in_a_raw_photo_is_not_taken_for_it(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "preview.tiff").rename(tmp_path / "a.NEF")
    process = run("--json", ".")
    assert_error(process, 1, "a.NEF: it is in the format NEF", "convert it to JPEG or PNG")
    assert process.stdout == b""


@pytest.mark.parametrize("suffix", [".hif", ".jxl", ".jp2", ".dng", ".cr3", ".raf"])
def test_photos_in_other_formats_are_found_in_a_folder(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").touch()
    assert find_inputs([str(tmp_path)]).names == [str(tmp_path / f"a{suffix}")]


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".pnm", ".ppm"), (".dib", ".bmp"), (".apng", ".png"), (".PNM", ".ppm")]
)
def test_rarer_suffixes_of_formats_that_are_read(suffix: str, kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{kind}").rename(tmp_path / f"a{suffix}")
    assert find_inputs([str(tmp_path)]).names == [str(path)]
    assert read_image(path).shape == (60, 80, 3)


def test_bad_pictures_do_not_stop_the_good_ones(run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    photo = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "1.jpg").write_bytes(photo[: len(photo) // 2])
    (tmp_path / "2.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_text("no picture")
    (tmp_path / "4.png").write_bytes(png_header(30_000, 30_000))
    (tmp_path / "5.png").mkdir()
    (tmp_path / "5.png" / "6.png").write_bytes(save(tmp_path / "a.png").read_bytes()[:-30])
    process = run(
        "--json", "1.jpg", "2.jpg", "3.jpg", "4.png", "5.png", "7.jpg", "a.png/b.png", "a.png"
    )
    assert process.returncode == 1
    assert [result["image"] for result in results(process)] == ["a.png"]
    expected = [
        "1.jpg: the JPEG is cut off after",
        "2.jpg: it is empty (0 bytes)",
        "3.jpg: it holds text, not a picture",
        "4.png: 30000 x 30000 are 900,000,000 pixels, more than the 64,000,000 that are decoded",
        "5.png/6.png: the PNG is cut off",
        "7.jpg: there is no such file",
        "a.png/b.png: it cannot be read (Not a directory)",
    ]
    errors = lines(process.stderr)
    assert len(errors) == len(expected), errors
    for line, beginning in zip(errors, expected, strict=True):
        assert line.startswith(f"serenbox-detect: error: {beginning}")


def test_libraries_do_not_write_to_standard_error(run: Run, tmp_path: Path) -> None:
    """libpng warns of a wrong checksum, libjpeg of stray bytes, and OpenCV of both."""
    png = bytearray(save(tmp_path / "a.png").read_bytes())
    png[-20] ^= 0xFF
    (tmp_path / "a.png").write_bytes(png)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "b.jpg").write_bytes(jpeg[:20_000] + jpeg[40_000:])
    process = run("--json", "a.png", "b.jpg")
    assert_error(process, 1, "a.png: ", "cannot decode this PNG")
    assert len(results(process)) == 1


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", "naïve ☺.png".encode(), b"two\nlines\x1b\x07.png"]
)
def test_strange_names(run: Run, tmp_path: Path, name: bytes) -> None:
    content = save(tmp_path / "a.png").read_bytes()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(content)
    (result,) = results(run("--json", name))
    assert os.fsencode(result["image"]) == name
    for encoding in ("utf-8", "ascii"):
        process = run(name, PYTHONIOENCODING=encoding)
        assert (process.returncode, process.stderr) == (0, b"")
        assert len(lines(process.stdout)) == 1
        assert b"\x1b" not in process.stdout
    assert_error(run(b"missing-" + name), 1, "no such file")
