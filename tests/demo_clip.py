"""Make a short film for the demonstration: a portrait comes into view, moves a little, and leaves.

`python -m tests.demo_clip OUT.mkv` prints the name of the film. If a camera works, --unless-camera
makes it print `auto` and make no film. The portrait is the one that comes with scikit-image.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 640, 480, 10
SECONDS = 9.0
HEAD = slice(0, 320), slice(64, 384)
"""Rows and columns of the portrait without the suit, in which a face might be found too."""
WALL = (150, 160, 165)
"""The colour behind the portrait, BGR."""


def place_of_portrait(time: float) -> tuple[float, float] | None:
    """Return the middle of the portrait in pixels; None while it is out of view.

    Args:
        time: Seconds since the beginning of the film.

    """
    comes, there, goes, gone = 1.0, 2.0, 6.5, 7.5
    if not comes <= time < gone:
        return None
    middle = WIDTH / 2
    if time < there:
        x = -middle + 2 * middle * (time - comes) / (there - comes)
    elif time < goes:
        x = middle + 25 * math.sin(2 * (time - there))
    else:
        x = middle + 2 * middle * (time - goes) / (gone - goes)
    return x, HEIGHT / 2 + 8 * math.sin(3 * time)


def frames(portrait: Image) -> Iterator[Image]:
    """Yield the pictures of the film, (480, 640, 3) uint8 BGR.

    Args:
        portrait: uint8 BGR.

    """
    scale = HEIGHT / portrait.shape[0]
    for number in range(round(SECONDS * FPS)):
        picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        picture[:] = WALL
        if place := place_of_portrait(number / FPS):
            left, top = place[0] - scale * portrait.shape[1] / 2, place[1] - HEIGHT / 2
            move = np.array([[scale, 0, left], [0, scale, top]])
            cv2.warpAffine(
                portrait, move, (WIDTH, HEIGHT), picture, borderMode=cv2.BORDER_TRANSPARENT
            )
        yield picture


def make_clip(path: Path) -> None:
    """Write the film with lossless compression."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("scikit-image, which carries the portrait, is missing: pip install scikit-image")
    portrait = cv2.imread(str(Path(package.origin).parent / "data" / "astronaut.png"))
    if portrait is None:
        sys.exit("scikit-image's portrait cannot be read: pip install --force scikit-image")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"{path.parent} cannot be made ({error.strerror}): give another folder (DEMO=…)")
    ffv1 = cv2.VideoWriter.fourcc(*"FFV1")
    film = cv2.VideoWriter(str(path), ffv1, FPS, (WIDTH, HEIGHT))
    if not film.isOpened():
        sys.exit(f"{path} cannot be written: check the permissions of its folder")
    for picture in frames(np.asarray(portrait[HEAD], np.uint8)):
        film.write(picture)
    film.release()


def a_camera_works() -> bool:
    """Return whether the service would find a camera by itself."""
    from serenbox.cameras.select import open_camera
    from serenbox.errors import CameraError
    from serenbox.settings.schema import CameraSettings

    try:
        open_camera(CameraSettings()).close()
    except CameraError:
        return False
    return True


def main() -> None:
    """Make the film, or not, and print what to watch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", metavar="OUT.mkv", type=Path)
    parser.add_argument("--unless-camera", action="store_true", help="not where a camera works")
    args = parser.parse_args()
    if args.unless_camera and a_camera_works():
        print("auto")
        return
    make_clip(args.film)
    print(args.film)


if __name__ == "__main__":
    main()
