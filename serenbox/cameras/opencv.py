"""Opens OpenCV's captures in one place: quiet, and with our own time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serenbox.addresses import site
from serenbox.environment import FFMPEG_LOG, V4L2_PATIENCE, steer
from serenbox.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import cv2


def open_capture(
    target: str, backend: int, options: Sequence[int] = (), *, wait: float = 10.0
) -> cv2.VideoCapture | None:
    """Open a capture; return None if OpenCV cannot.

    Args:
        target: A file, a device node or an address.
        backend: One of OpenCV's, such as `cv2.CAP_FFMPEG`.
        options: Properties to open it with: name, value, name, value…
        wait: Seconds that a device may take for a frame.

    Raises:
        CameraError: The target is not UTF-8.

    """
    _check_encoding(target)
    # OpenCV and FFmpeg would write to standard error what SerenBox reports in its own words.
    steer(FFMPEG_LOG, "-8")
    # In whole seconds, read when OpenCV first waits for a V4L2 device; no property sets it.
    steer(V4L2_PATIENCE, str(max(1, round(wait))))
    import cv2

    _silence()
    capture = cv2.VideoCapture(target, backend, list(options))
    if capture.isOpened():
        return capture
    capture.release()
    return None


def _check_encoding(target: str) -> None:
    """Refuse what is not UTF-8, on which OpenCV crashes."""
    try:
        target.encode()
    except UnicodeEncodeError:
        shown = site(target) if "://" in target else target
        raise CameraError(
            f"{shown}: there is something in this name that is not UTF-8, and OpenCV cannot open "
            "it: rename it"
        ) from None


def _silence() -> None:
    import cv2

    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    else:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
