"""Finds the cameras there are, without opening any."""

from __future__ import annotations

import importlib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.environment import LIBCAMERA_LOG, steer
from serenbox.errors import CameraError
from serenbox.system_text import text_of

if TYPE_CHECKING:
    from types import ModuleType

_SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that could be opened."""

    source: str
    """What to write as `camera.source`, such as `pi:0` or `/dev/video0`."""
    name: str
    """The model, as the camera reports it."""


def pi_cameras() -> list[CameraInfo]:
    """Return the cameras that libcamera knows, except USB cameras.

    Raises:
        CameraError: picamera2 is not installed, or does not work.

    """
    try:
        cameras = import_picamera2().Picamera2.global_camera_info()
    except CameraError:
        raise
    except Exception as error:  # libcamera raises errors of any kind
        raise CameraError(
            f"libcamera cannot list its cameras ({error}): check that this user is in the groups "
            "video and render, and that no other program has the camera"
        ) from error
    return [
        CameraInfo(f"pi:{number}", str(camera.get("Model", "camera")))
        for number, camera in enumerate(cameras)
        if "/usb" not in str(camera.get("Id", ""))
    ]


def usb_cameras(sysfs: Path = _SYSFS) -> list[CameraInfo]:
    """Return the first node of every USB camera, and of virtual ones such as v4l2loopback's.

    A Pi has a dozen more nodes, for its codecs and for the raw sensor; none of them gives pictures
    that can be used as they are.

    Args:
        sysfs: Where the kernel describes the nodes.

    """
    found = []
    for node in sorted(sysfs.glob("video*"), key=lambda path: _number(path.name)):
        place = os.path.realpath(node)
        # A camera's further nodes, of index 1 and up, give metadata or other formats.
        if ("/usb" in place or "/virtual/" in place) and text_of(node / "index") in {"", "0"}:
            found.append(CameraInfo(f"/dev/{node.name}", text_of(node / "name") or "camera"))
    return found


def import_picamera2() -> ModuleType:
    """Import picamera2, which is large and comes from the system's packages.

    Raises:
        CameraError: It is not installed, or is incompatible with what else is.

    """
    # SerenBox reports failures in its own words; the variable is read at the import.
    steer(LIBCAMERA_LOG, "*:FATAL")
    logging.getLogger("picamera2").setLevel(logging.CRITICAL)
    try:
        return importlib.import_module("picamera2")
    except ImportError as error:
        raise CameraError(
            f"picamera2 cannot be imported ({error}): run `sudo apt install python3-picamera2`, "
            "and make SerenBox's environment with --system-site-packages"
        ) from error
    except Exception as error:  # extensions built for another numpy, and the like
        raise CameraError(
            f"picamera2 does not work here ({type(error).__name__}: {error}): it needs the numpy "
            "that apt installs; remove numpy from SerenBox's own environment"
        ) from error


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name) or 0)
