"""serenbox-detect between pipes, full disks and terminals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from tests.detect_process import COMMAND, Run, environment, lines, runner, save

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


def start(
    emotion_model: Path, *arguments: str | Path, stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "--model", emotion_model, *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def test_results_come_one_by_one_and_interruption_is_quiet(
    emotion_model: Path, tmp_path: Path
) -> None:
    """The second picture never arrives, but the result of the first is there."""
    picture = save(tmp_path / "a.png")
    with start(emotion_model, "--json", picture, "-") as process:
        assert process.stdout
        assert process.stderr
        assert select.select([process.stdout], [], [], 60)[0], "nothing came"
        assert json.loads(process.stdout.readline())["image"] == str(picture)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""


@pytest.mark.parametrize("form", [["--json"], []])
def test_closed_pipe_is_quiet(emotion_model: Path, tmp_path: Path, form: list[str]) -> None:
    content = save(tmp_path / "0.png").read_bytes()
    for number in range(1, 40):
        (tmp_path / f"{number}.png").write_bytes(content)
    with start(emotion_model, *form, tmp_path) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("form", ["--json", "--cropped", "--help"])
def test_full_disk_behind_standard_output(emotion_model: Path, tmp_path: Path, form: str) -> None:
    picture = save(tmp_path / "a.png")
    with (
        Path("/dev/full").open("wb") as full,
        start(emotion_model, form, picture, stdout=full) as process,
    ):
        assert process.stderr
        (line,) = lines(process.stderr.read())
        assert "standard output: the results cannot be written (No space left on device)" in line
        assert process.wait(timeout=60) == 1


def terminal_output(arguments: Sequence[str | Path], cwd: Path, **extra: str) -> str:
    """Return what the tool shows at a terminal."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=its, stdout=its, stderr=its, cwd=cwd, env=environment(**extra)
    ) as process:
        os.close(its)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the process has ended
            while part := os.read(ours, 4096):
                seen += part
        os.close(ours)
        assert process.wait(timeout=60) == 0 if "-" not in arguments else 2
    return seen.decode()


def test_color_and_progress_only_on_a_terminal(
    run: Run, emotion_model: Path, tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    arguments = ("--model", emotion_model, "--cropped", "a.png", "b.png")
    colored = terminal_output(arguments, tmp_path)
    assert "\x1b[1mhappy\x1b[0m" in colored
    assert "[1/2] a.png" in colored
    assert colored.rindex("\x1b[K") > colored.index("[2/2] b.png"), "the progress is wiped away"
    plain = terminal_output(arguments, tmp_path, NO_COLOR="1")
    assert "\x1b[1m" not in plain
    assert "[2/2] b.png" in plain
    assert "\x1b" not in terminal_output(arguments, tmp_path, TERM="dumb")
    assert "[1/1]" not in terminal_output(arguments[:-1], tmp_path)
    process = run("--cropped", "a.png", "b.png")
    assert process.stderr == b""
    assert b"\x1b" not in process.stdout


def test_terminal_as_standard_input_is_wrong_usage(emotion_model: Path, tmp_path: Path) -> None:
    seen = terminal_output(("--model", emotion_model, "-"), tmp_path)
    assert "standard input is a terminal: pipe a picture into it" in seen
