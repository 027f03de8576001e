"""What recordings play: videos, and folders of pictures."""

from __future__ import annotations

import errno
import math
import os
import re
from typing import TYPE_CHECKING, Protocol

from serenbox.cameras.opencv import open_capture
from serenbox.errors import CameraError, DamagedPictureError, ImageError
from serenbox.image_header import SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    import cv2

_FASTEST = 240.0  # frames per second; files that say more do not know their rate


class Film(Protocol):
    """A sequence of pictures."""

    name: str
    fps: float
    pictures: float
    """How many there should be; 0 if unknown."""

    def advance(self) -> bool:
        """Go on to the next picture, at the beginning to the first; return False at the end."""

    def image(self) -> object:
        """Return the current picture."""

    def position(self) -> float | None:
        """Return its time in the film, seconds; None if pictures are 1 / fps apart."""

    def rewind(self) -> None:
        """Go back to the beginning."""

    def close(self) -> None:
        """Close the files."""


def open_film(path: Path, fps: float) -> Film:
    """Open a video file, or a folder of pictures.

    Args:
        path: The file or the folder.
        fps: Pictures per second of a folder, and of a file that does not know its rate.

    Raises:
        CameraError: It is missing, is no video that OpenCV can read, or holds no pictures.
        OSError: It cannot be read.

    """
    if path.is_dir():
        return PictureFolder(path, fps)
    if path.exists():
        return VideoFile(path, fps)
    raise _missing(path)


class VideoFile:
    """A video, decoded by OpenCV's FFmpeg in one thread.

    Args:
        path: The file.
        fps: Frames per second if the file does not know.

    Raises:
        CameraError: It is no video that OpenCV can read.

    """

    def __init__(self, path: Path, fps: float) -> None:
        import cv2

        self.name = f"video {path}"
        self._path = path
        self._capture = self._open()
        said = self._capture.get(cv2.CAP_PROP_FPS)
        known = math.isfinite(said) and 0 < said <= _FASTEST
        self.fps = said if known else fps
        # OpenCV may have made this from the rate, and then knows the one no better than the other.
        self.pictures = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if known else 0.0
        self._first: float | None = None

    def advance(self) -> bool:
        """Go on to the next picture; False at the end."""
        return self._capture.grab()

    def position(self) -> float | None:
        """Return the time of the current picture, seconds after that of the first one."""
        import cv2

        said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(said):
            return None
        if self._first is None:
            self._first = said
        return max(0.0, said - self._first)

    def image(self) -> object:
        """Return the current picture, or None if it is damaged."""
        return self._capture.retrieve()[1]

    def rewind(self) -> None:
        """Go back to the beginning, by reopening the file: not every format is seekable."""
        self._capture.release()
        self._capture = self._open()

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        import cv2

        # An absolute path, so that FFmpeg mistakes no name for a protocol.
        path = str(self._path.absolute())
        capture = open_capture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        # OpenCV does not say why. A film that begins again may have gone meanwhile.
        if capture is None and not os.path.lexists(path):
            raise _missing(self._path)
        if capture is None and not os.access(path, os.R_OK):
            raise CameraError(
                f"{self._path}: it cannot be read ({os.strerror(errno.EACCES)}): check its "
                "permissions"
            )
        if capture is None:
            raise CameraError(
                f"{self._path}: OpenCV cannot read this as a video: "
                "check the file, or convert it to .mp4 or .mkv"
            )
        return capture


class PictureFolder:
    """The pictures directly in a folder, each shown for 1 / fps seconds.

    Args:
        path: The folder.
        fps: Pictures per second.

    Raises:
        CameraError: There are no pictures in it.

    """

    def __init__(self, path: Path, fps: float) -> None:
        self.name = f"pictures in {path}"
        self.fps = fps
        self._path = path
        self._paths = sorted(
            (file for file in path.iterdir() if _is_picture(file)),
            key=lambda file: natural_key(file.name),
        )
        self._next = 0
        self.pictures = float(len(self._paths))
        if not self._paths:
            raise CameraError(
                f"{path}: there are no pictures in this folder: their names must end in "
                f"{', '.join(SUFFIXES)}"
            )

    def advance(self) -> bool:
        """Go on to the next picture; False at the end."""
        self._next += 1
        return self._next <= len(self._paths)

    def image(self) -> object:
        """Read the current picture.

        Raises:
            DamagedPictureError: It is damaged.
            CameraError: The whole folder has gone.

        """
        from serenbox.images import read_image

        try:
            return read_image(self._paths[self._next - 1])
        except ImageError as error:
            if not os.path.lexists(self._path):
                raise _missing(self._path) from error
            raise DamagedPictureError(str(error)) from error

    def position(self) -> None:
        """Return None: all pictures are shown equally long."""

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._next = 0

    def close(self) -> None:
        """Nothing stays open."""


def _missing(path: Path) -> CameraError:
    return CameraError(f"{path}: there is no such video, folder or device: check camera.source")


def _is_picture(path: Path) -> bool:
    """Return whether a name is that of a picture, and not of a folder, or a pipe: that may hang."""
    named = path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    return named and (path.is_file() or not path.exists())  # a link to nothing is told of


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key in which numbers in names count as numbers: 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
