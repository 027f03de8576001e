"""Videos and folders of pictures, played like a camera."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from serenbox.cameras.base import CameraBase
from serenbox.cameras.films import open_film
from serenbox.errors import CameraError, DamagedPictureError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.cameras.films import Film
    from serenbox.settings.schema import CameraSettings

_ENOUGH = 0.9
"""The part of its stated length that a whole film has at least: some formats only guess that."""


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
        film = open_film(path, settings.fps)
    except CameraError:
        raise
    except OSError as error:
        raise CameraError(
            f"{path}: it cannot be read ({reason_of(error)}): check its permissions"
        ) from error
    return Recording(film, settings)


class Recording(CameraBase):
    """A camera that plays a film.

    In real time, frame n is due n / fps seconds after the first was read; late frames are skipped.
    As fast as possible, every frame comes, with its time in the film, which need not be n / fps:
    phones record as many frames as the light allows. Both go on counting when the film starts over.
    If the next frame is due only after the timeout of a read, that read repeats the last picture.

    Args:
        film: What to play; closed with the recording.
        settings: `loop`, `real_time` and `rotate` are used.

    """

    def __init__(self, film: Film, settings: CameraSettings) -> None:
        super().__init__(film.name, live=settings.real_time, rotate=settings.rotate)
        self._film = film
        self._loop = settings.loop
        self._count = 0  # frames passed
        self._time = 0.0  # of the last frame, if the film is not played in real time
        self._began = 0.0  # the time at which the film started, in this round of the loop
        self._start: float | None = None  # when frame 0 was due
        self._shown: object = None
        self._whole = True

    @property
    def step(self) -> float:
        """How long a picture is shown, seconds; if the film's rate varies, its typical value."""
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
            raise DamagedPictureError(f"{self._name}: picture {self._count} is damaged")
        return self._shown

    def _wait_until_due(self, timeout: float) -> bool:
        """Wait until the next frame is due; return False if it is not in time (never the first)."""
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
        """Skip frames whose successors are due; if even that is too slow, play more slowly."""
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
        """Note the time of the film's current picture: always after that of the last one."""
        self._count += 1
        position = self._film.position()
        if position is None:
            self._time = (self._count - 1) / self._film.fps
            return
        stands_still = self._count > 1 and self._began + position <= self._time
        self._time = self._time + self.step if stands_still else self._began + position

    def _check_whole(self) -> None:
        whole = self._film.pictures / self._film.fps
        seconds = self._time + self.step  # only a film that does not loop gets here
        if seconds < _ENOUGH * whole:
            self._whole = False
            raise DamagedPictureError(
                f"{self._name}: it ends after {seconds:.1f} of {whole:.1f} s, so it was cut off: "
                "copy the file again"
            )

    def _release(self) -> None:
        self._film.close()
