"""serenbox-detect as a real process for tests, plain pictures for it, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Run = Callable[..., subprocess.CompletedProcess[bytes]]

ROOT = Path(__file__).parent.parent
UNWANTED = {"NO_COLOR", "TERM", "OPENCV_LOG_LEVEL", "PYTHONUNBUFFERED"}
COMMAND = (sys.executable, "-m", "serenbox.cli.detect")


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | extra


def runner(emotion_model: Path, folder: Path) -> Run:
    """Return what runs the tool with this model, in this folder."""

    def run_it(
        *arguments: str | bytes | Path,
        stdin: bytes = b"",
        command: Sequence[str] = COMMAND,
        model: bool = True,
        **extra: str,
    ) -> subprocess.CompletedProcess[bytes]:
        chosen = ("--model", emotion_model) if model else ()
        return subprocess.run(
            [*command, *chosen, *arguments],
            input=stdin,
            capture_output=True,
            cwd=folder,
            env=environment(**extra),
            timeout=120,
            check=False,
        )

    return run_it


def save(path: Path, level: int = 250, size: tuple[int, int] = (60, 80)) -> Path:
    """Write a plain grey picture; the small model calls bright ones happy, dark ones sad."""
    assert cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))
    return path


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


def results(process: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(process.stdout)]


def assert_error(process: subprocess.CompletedProcess[bytes], code: int, *parts: str) -> None:
    """Check that the process ended with the code and one line of error with all the parts."""
    (line,) = lines(process.stderr)
    assert line.startswith("serenbox-detect: error: "), line
    for part in parts:
        assert part in line, line
    assert process.returncode == code, process.returncode
