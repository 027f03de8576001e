"""A recording for tests: somebody comes, changes expression, and leaves.

The expressions are those of the small model of `tests/conftest.py`: bright is happy, dark is sad.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

FPS = 10
HAPPY, SAD, NOBODY = "happy", "sad", "no_face"

# Long enough that a busy machine sees each, too short for the diffuser of the tests to follow.
FLICKER = [(mood, 0.6) for mood in (SAD, HAPPY) * 2]
SCENES = [(NOBODY, 0.6), (HAPPY, 2.1), *FLICKER, (SAD, 2.4), (NOBODY, 2.6)]
"""What is seen, and for how many seconds."""


def write_film(path: Path, portrait: Image, scenes: list[tuple[str, float]]) -> None:
    """Write a film with lossless compression.

    Args:
        path: A `.mkv` file.
        portrait: BGR, uint8.
        scenes: What is seen, and for how many seconds.

    """
    face = cv2.resize(portrait, (480, 480))
    frames = {
        HAPPY: cv2.convertScaleAbs(face, alpha=1.0, beta=90),
        SAD: cv2.convertScaleAbs(face, alpha=0.35, beta=0),
        NOBODY: np.full_like(face, 128),
    }
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), FPS, (480, 480))
    done = 0
    for (mood, _), end in zip(scenes, accumulate(seconds for _, seconds in scenes), strict=True):
        while done < round(end * FPS):
            film.write(frames[mood])
            done += 1
    film.release()
