"""Small runs of `python -m training fit` for tests, in this process and in others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from training.cli import main
from training.data import Faces, load_faces
from training.fit import FitSettings

ROOT = Path(__file__).parent.parent
SMALL = [
    # Half the layers of the default: building them takes longer than training on so few faces.
    *("--backbone", "mobilenet_v1", "--weights", "none", "--alpha", "0.25", "--batch-size", "5"),
    *("--size", "32", "--small-size", "32", "--small-epochs", "1"),
    *("--learning-rate", "0.003", "--ema", "0.5", "--noise", "0.1"),
]

SETTINGS = FitSettings(
    backbone="mobilenet_v1",
    weights="none",
    alpha=0.1,
    size=32,
    small_epochs=0,
    epochs=1,
    batch_size=10,
    ema=0.999,
)
"""For a run of one epoch in this process."""


def command(data: Path, out: Path, *options: str) -> list[str]:
    files = ["--data", str(data / "fer2013.csv"), "--ferplus", str(data / "ferplus.csv")]
    return [sys.executable, "-m", "training", "fit", *files, "--out", str(out), *SMALL, *options]


def environment(data: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(data / "cache"), **changes}


def fit(data: Path, out: Path, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data, out, *options),
        cwd=ROOT,
        env=environment(data, **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def fit_here(data: Path, out: Path, *options: str) -> int:
    """Call `fit` in this process, where TensorFlow is loaded already; return the exit code."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
            return main(command(data, out, *options)[3:])
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Compute every step at once: for a handful of them, TensorFlow's tracing takes longer."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not apply to tf.data functions")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


Refuse = Callable[..., str]


def refuser(data: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Return what calls `fit` and returns its complaint."""

    def refused(out: Path, *options: str) -> str:
        assert fit_here(data, out, *options) == 1
        complaint = capsys.readouterr().err
        assert len(complaint.splitlines()) == 1
        return complaint

    return refused


def read_faces(data: Path) -> Faces:
    """Read the small data set, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
        return load_faces(data / "fer2013.csv", data / "ferplus.csv")
