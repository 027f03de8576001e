"""The annotated pictures that serenbox-detect writes."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.cli.annotated import write_annotated
from tests.detect_process import COMMAND, Run, assert_error, lines, results, runner, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


def test_annotate(run: Run, tmp_path: Path) -> None:
    for folder, level in (("one", 250), ("two", 5)):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "face.png", level, (500, 500))
    cv2.imwrite(str(tmp_path / "scan.pgm"), np.full((500, 500), 250, np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.p*")}
    arguments = ("--json", "--cropped", "--annotate", "out/new", "one", "two", "scan.pgm")
    process = run(*arguments)
    assert (process.returncode, process.stderr) == (0, b"")
    written = [result["annotated"] for result in results(process)]
    assert written == ["out/new/face.png", "out/new/face-2.png", "out/new/scan.png"]
    assert sorted(path.name for path in (tmp_path / "out/new").iterdir()) == [
        "face-2.png",
        "face.png",
        "scan.png",
    ]
    happy, sad = (cv2.imread(str(tmp_path / name)) for name in written[:2])
    assert happy is not None
    assert sad is not None
    assert tuple(happy[250, 0]) == (66, 228, 240)
    assert tuple(sad[250, 0]) == (178, 114, 0)
    assert {path: path.read_bytes() for path in before} == before

    assert results(run(*arguments))[0]["annotated"] == "out/new/face-3.png", "nothing is replaced"


@pytest.mark.parametrize("links", [True, False])
def test_pictures_written_at_the_same_time_replace_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    together = threading.Barrier(4)

    def write(level: int) -> list[Path]:
        picture = np.full((40, 40, 3), level, np.uint8)
        together.wait(60)
        return [write_annotated(tmp_path, "a.png", picture) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(write, range(4)))

    for level, paths in enumerate(written):
        for path in paths:
            assert np.all(cv2.imread(str(path)) == level)
    numbered = {f"a-{number}.png" for number in range(2, 21)}
    assert {path.name for path in tmp_path.iterdir()} == {"a.png"} | numbered


def test_annotate_beside_a_link_to_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    process = run("--annotate", "out", "loop.jpg")
    assert process.returncode == 1
    assert b"loop.jpg: " in process.stderr
    assert b"bug in SerenBox" not in process.stderr
    (tmp_path / "out").rmdir()

    process = run("--annotate", "out", "loop*")
    assert process.returncode == 1
    assert b"bug in SerenBox" not in process.stderr

    process = run("--annotate", "loop.jpg", save(tmp_path / "a.png"))
    assert_error(process, 2, "loop.jpg: annotated pictures cannot be written there")


def test_annotate_into_the_folder_of_the_inputs(run: Run, tmp_path: Path) -> None:
    original = save(tmp_path / "a.jpg").read_bytes()
    process = run("--annotate", ".", "a.jpg")
    assert lines(process.stdout)[-1] == "  annotated: a-2.jpg"
    assert (tmp_path / "a.jpg").read_bytes() == original
    process = run("--json", "--annotate", "below", ".")
    assert [result["image"] for result in results(process)] == ["a-2.jpg", "a.jpg"]
    process = run("--json", "--annotate", "below", ".")
    assert [result["image"] for result in results(process)] == ["a-2.jpg", "a.jpg"]


def test_annotate_standard_input(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "a.jpg").read_bytes()
    (result,) = results(run("--json", "--annotate", "out", "-", stdin=content))
    assert result["annotated"] == "out/stdin.png"


def test_output_folder_is_checked_before_the_work(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for folder in ("a.png", "a.png/out", "/proc/out"):
        process = run("--json", "--annotate", folder, "a.png")
        assert_error(process, 2, f"{folder}: annotated pictures cannot be written there")
        assert process.stdout == b""


def test_full_disk_under_annotated_pictures(run: Run, tmp_path: Path) -> None:
    """A limit on file sizes makes a write fail half-way, as a full disk does."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)
    save(tmp_path / "small.png")
    # Without bytecode: Python would keep modules that the limit had cut off.
    shell = 'ulimit -f 20; PYTHONDONTWRITEBYTECODE=1 exec "$@"'
    limited = ("bash", "-c", shell, "bash", *COMMAND)
    process = run("--json", "--annotate", "out", "large.png", "small.png", command=limited)
    assert_error(process, 1, "out/large.png: it cannot be written (File too large)")
    large, small = results(process)
    assert "annotated" not in large
    assert small["annotated"] == "out/small.png"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]
