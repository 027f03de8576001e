from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from training.quiet import quiet

ROOT = Path(__file__).parent.parent


def test_nothing_is_said_inside_and_all_of_it_after(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        print("python")
        print("python", file=sys.stderr)
        os.write(1, b"a library")
        os.write(2, b"a library")
    print("after")
    print("after", file=sys.stderr)

    assert tuple(capfd.readouterr()) == ("after\n", "after\n")


def test_a_logger_made_inside_may_write_later(capfd: pytest.CaptureFixture[str]) -> None:
    """As TensorFlow's, which warns whenever a function is traced again."""
    logger = logging.getLogger("made inside")
    with quiet():
        logger.addHandler(logging.StreamHandler())

    logger.warning("traced again")

    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    "line",
    [
        ["training", "evaluate", "nowhere.keras", "--data", "nowhere.csv"],
        ["convert", "nowhere.keras", "out.tflite", "--data", "nowhere.csv"],
    ],
)
def test_a_closed_output_is_told_and_messages_stay_out_of_the_results(line: list[str]) -> None:
    def run(closed: str) -> subprocess.CompletedProcess[str]:
        command = f"exec {shlex.join([sys.executable, '-m', *line])} {closed}"
        return subprocess.run(
            ["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
        )

    without_output, without_messages = run(">&-"), run("2>&-")

    assert without_output.returncode == 1
    assert "standard output is closed: leave it open" in without_output.stderr
    assert len(without_output.stderr.splitlines()) == 1
    assert without_messages.returncode in {1, 2}
    assert without_messages.stdout == ""


def test_a_name_that_cannot_be_encoded_does_not_break_the_results() -> None:
    code = "from training.quiet import check_streams; check_streams(); print('a\\udcff')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "a\\udcff\n")


def test_other_output_is_discarded_where_messages_are_closed() -> None:
    code = (
        "from training.quiet import check_streams, quiet; check_streams()\nwith quiet(): print(1)"
    )
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join([sys.executable, '-c', code])} 2>&-"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")
