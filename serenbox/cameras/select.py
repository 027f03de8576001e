"""From the name of a source in the settings to an open camera."""

from __future__ import annotations

import contextlib
import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.cameras.base import Camera
    from serenbox.settings.schema import CameraSettings

_CAMERAS = ("auto", "pi", "usb", "scripted")
"""What names a camera, alone or before a colon."""

_FIRST_PICTURE = 5.0  # seconds; a camera that `auto` tries may take that long to start


def open_camera(settings: CameraSettings) -> Camera:
    """Open the camera that the settings name; the caller closes it.

    `auto` takes the first Raspberry Pi camera that gives a picture, else the first USB camera that
    does.
    `scripted:FILE.json` is a fake for tests; see `serenbox.cameras.scripted`.

    Args:
        settings: `source` names it.

    Raises:
        CameraError: It is missing, in use, or gives no pictures; or no source has that name.

    """
    source = settings.source
    if not source:
        raise CameraError("camera.source is empty: write auto to take whichever camera there is")
    if source == "auto":
        return _first_that_works(settings)
    kind, _, rest = source.partition(":")
    if kind == "pi":
        return _open_pi(rest, settings)
    if kind == "scripted":
        from serenbox.cameras.scripted import open_scripted

        return open_scripted(Path(rest), settings)
    if "://" in source:
        from serenbox.cameras.stream import open_stream

        return open_stream(source, settings)
    if source == "usb":
        return _open_usb(settings)
    if source.startswith("/dev/") and not _holds_pictures(Path(source)):
        from serenbox.cameras.usb import open_usb

        return open_usb(Path(source), settings)
    return _open_recording(source, settings)


def check_recording(source: str) -> None:
    """Refuse the name of a recording that is not there. A camera may be missing: it may still come.

    Raises:
        CameraError: There is no such file or folder, and the name is not that of a camera, a script
            or an address.

    """
    kind = source.partition(":")[0]
    if kind in _CAMERAS or "://" in source or source.startswith("/dev/"):
        return
    path = _path(source)
    try:
        path.stat()
    # A null character in a name raises ValueError.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise CameraError(
            f"{source}: there is no such video or folder, and no camera has that name: check it"
        ) from None
    except OSError:
        return  # opening it says what is wrong, which may pass


def _holds_pictures(path: Path) -> bool:
    """Return whether a path in `/dev` is not a device: `/dev/shm` holds files in memory."""
    return path.is_file() or path.is_dir()


def _open_recording(source: str, settings: CameraSettings) -> Camera:
    from serenbox.cameras.recording import open_recording

    return open_recording(_path(source), settings)


def _path(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise CameraError(f"{source}: there is no such user here: check camera.source") from error


def _open_pi(number: str, settings: CameraSettings) -> Camera:
    if number and not (number.isascii() and number.isdigit()):
        raise CameraError(f"pi:{number}: cameras are numbered: use pi, which is pi:0, or pi:1")
    from serenbox.cameras.picamera import open_pi

    return open_pi(int(number or 0), settings)


def _open_usb(settings: CameraSettings) -> Camera:
    from serenbox.cameras.listing import usb_cameras
    from serenbox.cameras.usb import open_usb

    devices = [Path(camera.source) for camera in usb_cameras()]
    if not devices:
        raise CameraError("no USB camera is connected: plug one in, or name another source")
    return _first([partial(open_usb, device, settings) for device in devices])


def _first_that_works(settings: CameraSettings) -> Camera:
    def attempt(source: str) -> Camera:
        camera = open_camera(dataclasses.replace(settings, source=source))
        try:
            camera.read(max(settings.timeout, _FIRST_PICTURE))
        except CameraError:
            camera.close()
            raise
        return camera

    sources = _connected()
    try:
        return _first([partial(attempt, source) for source in sources])
    except CameraError as error:
        tried = ", ".join(sources)
        raise CameraError(f"no working camera was found (tried {tried}): {error}") from error


def _connected() -> list[str]:
    """Return every camera to try; `pi` or `usb` if there is none, so that opening it says why."""
    from serenbox.cameras.listing import pi_cameras, usb_cameras

    pi = []
    with contextlib.suppress(CameraError):  # opening `pi` says it again
        pi = [camera.source for camera in pi_cameras()]
    return [*(pi or ["pi"]), *([camera.source for camera in usb_cameras()] or ["usb"])]


def _first(openers: list[Callable[[], Camera]]) -> Camera:
    """Return the first camera that opens; raise CameraError with all reasons if none does."""
    reasons = []
    for opener in openers:
        try:
            return opener()
        except CameraError as error:
            reasons.append(str(error))
    raise CameraError("; ".join(reasons))
