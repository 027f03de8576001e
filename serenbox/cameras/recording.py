"""Videos and folders of pictures, played like a camera."""

from __future__ import annotations

import errno
import math
import os
import re
import time
from typing import TYPE_CHECKING, Protocol

from serenbox.cameras.base import CameraBase
from serenbox.cameras.opencv import open_capture
from serenbox.errors import CameraError, DamagedPictureError, ImageError

if TYPE_CHECKING:
    from pathlib import Path

    import cv2

    from serenbox.settings.schema import CameraSettings

_ENOUGH = 0.9
"""The part of its length that a whole film has at least: some formats only guess it."""

_FASTEST = 240.0  # frames per second; files that say more do not know their rate


def open_recording(path: Path, settings: CameraSettings) -> Recording:
    """Open a video file, or a folder whose pictures are played in the natural order of their names.

    Args:
        path: The file or the folder.
        settings: `loop` and `real_time` say how it is played; a folder, and a file that does not
            know its rate, plays at `fps`.

    Raises:
        CameraError: It is missing, cannot be read, or holds no pictures.

    """
    try:
        film = _open_film(path, settings.fps)
    except CameraError:
        raise
    except OSError as error:
        raise CameraError(
            f"{path}: it cannot be read ({error.strerror}): check its permissions"
        ) from error
    return Recording(film, settings)


def _open_film(path: Path, fps: float) -> Film:
    if path.is_dir():
        return PictureFolder(path, fps)
    if path.exists():
        return VideoFile(path, fps)
    raise CameraError(f"{path}: there is no such video, folder or device: check camera.source")


class Film(Protocol):
    """Pictures one after another."""

    name: str
    fps: float
    pictures: float
    """How many there are to be; 0 where nobody knows."""

    def advance(self) -> bool:
        """Go on to the next picture, the first one at the beginning; False at the end."""

    def image(self) -> object:
        """Return the picture that it is at."""

    def position(self) -> float | None:
        """Return its time in the film, seconds; None where pictures are 1 / fps apart."""

    def rewind(self) -> None:
        """Go back to the beginning."""

    def close(self) -> None:
        """Close the files."""


class Recording(CameraBase):
    """A camera that plays a film.

    In real time, frame n is due n / fps seconds after the first was read; frames that come too late
    are skipped. As fast as possible, every frame comes, at its time in the film, which need not be
    n / fps: telephones record as many frames as the light allows. Both go on counting when the film
    begins again. A film slower than the reader's patience shows a picture again.

    Args:
        film: What to play; closed with the recording.
        settings: `loop`, `real_time` and `rotate` are heeded.

    """

    def __init__(self, film: Film, settings: CameraSettings) -> None:
        super().__init__(film.name, live=settings.real_time, rotate=settings.rotate)
        self._film = film
        self._loop = settings.loop
        self._count = 0  # frames passed
        self._time = 0.0  # of the last one, where the film is not played in real time
        self._began = 0.0  # the time of the film's beginning, this time round
        self._reached = 0.0  # how far into the film the last one was
        self._start: float | None = None  # when frame 0 was due
        self._shown: object = None
        self._whole = True

    @property
    def step(self) -> float:
        """How long a picture is shown, seconds; of a film of changing rate, mostly."""
        return 1 / self._film.fps

    def _take(self, timeout: float) -> tuple[object, float] | None:
        if self._live and not self._wait_until_due(timeout):
            return self._picture(), time.monotonic()
        if not self._advance():
            return None
        self._shown = None
        self._shown = self._film.image()
        return self._picture(), time.monotonic() if self._live else self._time

    def _picture(self) -> object:
        if self._shown is None:
            raise DamagedPictureError(f"{self._name}: picture {self._count} of it is damaged")
        return self._shown

    def _wait_until_due(self, timeout: float) -> bool:
        """Wait for the next frame's time; False if it does not come, and a frame was shown."""
        now = time.monotonic()
        if self._start is None:
            self._start = now
        wait = self._start + self._count / self._film.fps - now
        self._pause(min(wait, timeout))
        if wait > timeout:
            return False
        if self._late() >= 1:
            self._catch_up(now + timeout)
        return True

    def _catch_up(self, deadline: float) -> None:
        """Skip frames whose successors are due; a machine too slow for that plays more slowly."""
        while self._late() >= 1 and time.monotonic() < deadline:
            if not self._advance():
                return
        if self._late() >= 1:
            self._start = time.monotonic() - self._count / self._film.fps

    def _late(self) -> float:
        """Return by how many frames the next one is late."""
        return (time.monotonic() - (self._start or 0.0)) * self._film.fps - self._count

    def _advance(self) -> bool:
        more = self._film.advance()
        if not more and self._loop and self._count:
            self._film.rewind()
            self._began = self._time + self.step
            more = self._film.advance()
        if not more and (self._loop or not self._count):
            raise CameraError(f"{self._name}: there is no picture in it: name another recording")
        if more:
            self._note_time()
        elif self._whole:
            self._check_whole()
        return more

    def _note_time(self) -> None:
        """Take note of the time of the picture that the film is at: always after the last one."""
        self._count += 1
        position = self._film.position()
        if position is None:
            self._time = self._reached = (self._count - 1) / self._film.fps
            return
        self._reached = position
        stands_still = self._count > 1 and self._began + position <= self._time
        self._time = self._time + self.step if stands_still else self._began + position

    def _check_whole(self) -> None:
        whole = self._film.pictures / self._film.fps
        seconds = self._reached + self.step
        if seconds < _ENOUGH * whole:
            self._whole = False
            raise DamagedPictureError(
                f"{self._name}: it ends after {seconds:.1f} of {whole:.1f} s, so it was cut off: "
                "copy the file again"
            )

    def _release(self) -> None:
        self._film.close()


class VideoFile:
    """A video, decoded by OpenCV's FFmpeg in one thread.

    Args:
        path: The file.
        fps: Frames per second where the file does not know.

    Raises:
        CameraError: It is no video that OpenCV can read.

    """

    def __init__(self, path: Path, fps: float) -> None:
        import cv2

        self.name = f"video {path}"
        self._path = path
        self._capture = self._open()
        said = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = said if math.isfinite(said) and 0 < said <= _FASTEST else fps
        self.pictures = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._first: float | None = None

    def advance(self) -> bool:
        """Go on to the next picture; False at the end."""
        return self._capture.grab()

    def position(self) -> float | None:
        """Return the time of the picture that it is at, seconds after that of the first one."""
        import cv2

        said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(said):
            return None
        if self._first is None:
            self._first = said
        return max(0.0, said - self._first)

    def image(self) -> object:
        """Return the picture that it is at, or None if it is damaged."""
        return self._capture.retrieve()[1]

    def rewind(self) -> None:
        """Go back to the beginning; opened anew, for not every format can be sought in."""
        self._capture.release()
        self._capture = self._open()

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _open(self) -> cv2.VideoCapture:
        import cv2

        # An absolute path, so that FFmpeg takes no name for a protocol.
        path = str(self._path.absolute())
        capture = open_capture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if capture is None and not os.access(path, os.R_OK):  # OpenCV does not tell why
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
    """The pictures right in a folder, each shown for 1 / fps seconds.

    Args:
        path: The folder.
        fps: Pictures per second.

    Raises:
        CameraError: There are no pictures in it.

    """

    def __init__(self, path: Path, fps: float) -> None:
        from serenbox.cli.inputs import SUFFIXES

        self.name = f"pictures in {path}"
        self.fps = fps
        self._paths = sorted(
            (file for file in path.iterdir() if _is_picture(file, SUFFIXES)),
            key=lambda file: natural_key(file.name),
        )
        self._next = 0
        self.pictures = float(len(self._paths))
        if not self._paths:
            raise CameraError(
                f"{path}: there are no pictures in this folder: they would end in "
                f"{', '.join(SUFFIXES)}"
            )

    def advance(self) -> bool:
        """Go on to the next picture; False at the end."""
        self._next += 1
        return self._next <= len(self._paths)

    def image(self) -> object:
        """Read the picture that it is at.

        Raises:
            DamagedPictureError: It is damaged.

        """
        from serenbox.images import read_image

        try:
            return read_image(self._paths[self._next - 1])
        except ImageError as error:
            raise DamagedPictureError(str(error)) from error

    def position(self) -> None:
        """Return nothing: each picture is shown for as long as the others."""

    def rewind(self) -> None:
        """Go back to the beginning."""
        self._next = 0

    def close(self) -> None:
        """Nothing stays open."""


def _is_picture(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(suffixes) and not path.name.startswith(".")


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return what to sort by so that numbers in names count as numbers: 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)
