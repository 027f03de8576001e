"""Made-up faces whose emotion is the height of a stripe, and tiny networks that know them."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.__main__ import main
from serenbox.results import EMOTIONS
from training.labels import FER2013_CODES, FERPLUS_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PERMUTED = ("sad", "happy", "fear", "angry", "surprise", "neutral", "disgust")


def face(emotion: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A dark "face": its emotion is the height of a bright stripe, over random columns."""
    image = rng.integers(0, 6, (48, 48)) + 54 * np.repeat(rng.permutation([0, 1] * 6), 4)
    top = 6 * EMOTIONS.index(emotion)
    image[top : top + 6] += 150
    return np.asarray(image, np.uint8)


def write_data(
    folder: Path, leave_out: tuple[str, str] | None = None, more_neutral: int = 0
) -> Path:
    """Write a FER2013 of seven stripes, but not the split's class in `leave_out`, and its FER+."""
    rng = np.random.default_rng(0)
    rows, votes = [], []
    for split, each in (("Training", 6), ("PublicTest", 4), ("PrivateTest", 1)):
        for emotion in (*EMOTIONS * each, *("neutral",) * more_neutral):
            if (split, emotion) == leave_out:
                continue
            pixels = " ".join(map(str, face(emotion, rng).ravel()))
            rows.append([FER2013_CODES.index(emotion), pixels, split])
            ballot = [10 * (name == emotion) for name in FERPLUS_COLUMNS.values()]
            votes.append([split, "", *ballot])
    for name, header, lines in (
        ("fer2013.csv", ["emotion", "pixels", "Usage"], rows),
        ("ferplus.csv", ["Usage", "Image name", *FERPLUS_COLUMNS], votes),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
    return folder / "fer2013.csv"


def save_network(
    folder: Path,
    *,
    channels: int = 1,
    size: int = 48,
    activation: str | None = None,
    divisor: float = 1.0,
    labels: tuple[str, ...] = EMOTIONS,
    wrong: int = 0,
) -> Path:
    """Save a network that knows the stripes; the kernel of its first `wrong` labels is negated."""
    import keras

    kernel = np.zeros((8 * channels, 7), np.float32)
    for row, emotion in enumerate(EMOTIONS):
        kernel[row * channels, labels.index(emotion)] = divisor / 25
    kernel[:, :wrong] *= -1
    inputs = keras.Input((size, size, channels))
    pooled = keras.layers.AveragePooling2D((size // 8, size))(inputs)
    dense = keras.layers.Dense(7, activation=activation)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(pooled)))
    dense.set_weights([kernel, np.zeros(7, np.float32)])
    path = folder / "model.keras"
    model.save(path)
    return path


@contextmanager
def made_up_data(folder: Path) -> Iterator[Path]:
    """Write the data, and leave the user's cache alone meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield write_data(folder)


def convert(*arguments: object) -> int:
    """Call `python -m convert` in this process; return its exit code."""
    return main([str(argument) for argument in arguments])
