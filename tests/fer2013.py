"""Small stand-ins for FER2013, made on the spot: seven patterns that a network can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from serenbox.results import EMOTIONS
from training.labels import FER2013_CODES, FERPLUS_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SPLIT_SIZES = {"Training": 10, "PublicTest": 4, "PrivateTest": 4}
"""Faces per class and split."""


def pattern(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a 48x48 picture whose stripes show the class, on a random background."""
    rows, columns = np.mgrid[:48, :48]
    angle = np.pi * label / len(EMOTIONS)
    waves = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) / 3)
    ground = cv2.resize(rng.normal(0, 60, (6, 6)), (48, 48), interpolation=cv2.INTER_CUBIC)
    noisy = 128 + 70 * waves + ground + rng.normal(0, 10, waves.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def faces() -> list[tuple[int, NDArray[np.uint8], str]]:
    """Make (label, picture, split) of every face, always the same."""
    rng = np.random.default_rng(7)
    return [
        (label, pattern(label, rng), split)
        for split, count in SPLIT_SIZES.items()
        for _ in range(count)
        for label in range(len(EMOTIONS))
    ]


def csv_row(label: int, image: NDArray[np.uint8], split: str) -> str:
    """Write a face as a line of fer2013.csv."""
    pixels = " ".join(str(value) for value in image.ravel())
    return f"{FER2013_CODES.index(EMOTIONS[label])},{pixels},{split}"


def csv_text() -> str:
    """Write all faces as a fer2013.csv."""
    return "\n".join(["emotion,pixels,Usage", *(csv_row(*face) for face in faces())]) + "\n"


def write_files(folder: Path) -> Path:
    """Write fer2013.csv and FER+'s ferplus.csv into a folder; return the folder."""
    (folder / "fer2013.csv").write_text(csv_text())
    (folder / "ferplus.csv").write_text(ferplus_text())
    return folder


def ferplus_text() -> str:
    """Write FER+ votes for the same rows: seven for the label, three for contempt."""
    columns = list(FERPLUS_COLUMNS)
    lines = [",".join(["Usage", "Image name", *columns])]
    for row, (label, _, split) in enumerate(faces()):
        votes = dict.fromkeys(columns, 0) | {"contempt": 3}
        votes[next(name for name, own in FERPLUS_COLUMNS.items() if own == EMOTIONS[label])] = 7
        counts = [str(votes[name]) for name in columns]
        lines.append(",".join([split, f"fer{row:07d}.png", *counts]))
    return "\n".join(lines) + "\n"


def write_folders(root: Path) -> None:
    """Write the faces in folders as Kaggle does, as PNG files."""
    for row, (label, image, split) in enumerate(faces()):
        folder = root / ("train" if split == "Training" else "test") / EMOTIONS[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{split}_{row}.png"), image)
