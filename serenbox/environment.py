"""Environment variables that steer libraries, in a process of several threads.

A variable that is new moves the C library's list of all of them. Up to glibc 2.40 this crashes a
thread that looks into the list at that moment, as `localtime` and the lookup of a host's address
do. Another value moves nothing. So what may come later gets its place before any thread starts.
"""

from __future__ import annotations

import os

OPENBLAS_THREADS = "OPENBLAS_NUM_THREADS"
FFMPEG_LOG = "OPENCV_FFMPEG_LOGLEVEL"
V4L2_PATIENCE = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
LIBCAMERA_LOG = "LIBCAMERA_LOG_LEVELS"

_FROM_THE_START = {
    # NumPy would start a thread for every core, and these would never have any work.
    OPENBLAS_THREADS: "1",
    # NumPy sets them, while it is imported, only if they are missing.
    "OPENBLAS_MAIN_FREE": "1",
    "GOTOBLAS_MAIN_FREE": "1",
}
_LATER = (FFMPEG_LOG, V4L2_PATIENCE, LIBCAMERA_LOG, "LD_LIBRARY_PATH")
"""Variables that are set when their library is needed; OpenCV sets the last one itself."""


def settle() -> None:
    """Give every variable that may be set later its place; call this before starting threads."""
    for name in _LATER:
        os.environ.setdefault(name, "")
    for name, value in _FROM_THE_START.items():
        os.environ.setdefault(name, value)


def steer(name: str, value: str) -> None:
    """Set the variable of a library, unless whoever started this process has."""
    if not os.environ.get(name):
        os.environ[name] = value
