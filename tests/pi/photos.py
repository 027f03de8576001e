"""Makes ten photographs and a camera's frames from one portrait: photos.py PORTRAIT FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from serenbox.pixels import Pixels


def photographs(original: Pixels) -> dict[str, Pixels]:
    """Return ten pictures, varied in size, tilt and light; small, because emulation is slow."""
    portrait = np.asarray(cv2.resize(original, None, fx=0.5, fy=0.5), np.uint8)
    height, width = portrait.shape[:2]

    def turned(degrees: float) -> Pixels:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
        return np.asarray(cv2.warpAffine(portrait, turn, (width, height)), np.uint8)

    def lit(gain: float) -> Pixels:
        return np.asarray(cv2.convertScaleAbs(portrait, alpha=gain), np.uint8)

    def scaled(factor: float) -> Pixels:
        return np.asarray(cv2.resize(portrait, None, fx=factor, fy=factor), np.uint8)

    grey = cv2.cvtColor(cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return {
        "plain": portrait,
        "mirrored": portrait[:, ::-1].copy(),
        "left": turned(10),
        "right": turned(-10),
        "dark": lit(0.5),
        "bright": lit(1.4),
        "grey": np.asarray(grey, np.uint8),
        "small": scaled(0.7),
        "large": scaled(1.5),
        "pair": np.hstack([portrait, portrait[:, ::-1]]),
    }


def frames(portrait: Pixels, count: int = 4) -> list[Pixels]:
    """Return frames of 640 x 480 in which the portrait sways a little."""
    canvas = np.full((480, 640, 3), 60, np.uint8)
    canvas[:, 64:576] = portrait[16:496]
    return [np.roll(canvas, 2 * number, axis=1) for number in range(count)]


def main(portrait_file: str, folder: str) -> None:
    """Write the pictures."""
    portrait = cv2.imread(portrait_file)
    assert portrait is not None, f"{portrait_file} is no picture"
    pictures = {
        f"photos/{name}.png": picture
        for name, picture in photographs(np.asarray(portrait, np.uint8)).items()
    }
    for number, frame in enumerate(frames(np.asarray(portrait, np.uint8))):
        pictures[f"frames/{number}.jpg"] = frame
    for name, picture in pictures.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
