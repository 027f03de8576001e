"""The detector of one worker, with its queue and its limit on memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import cv2

from serenbox.detector import EmotionDetector
from serenbox.errors import ImageError
from serenbox.image_header import MAX_SIDE, read_header
from serenbox.images import read_image
from serenbox.server.errors import BusyError, NotAnImageError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from serenbox.pixels import Pixels
    from serenbox.results import Face
    from serenbox.server.settings import ServerSettings

_T = TypeVar("_T")


def open_detector(settings: ServerSettings) -> EmotionDetector:
    """Make the detector that the settings ask for, with all its models loaded.

    Raises:
        ModelError: A model cannot be used.
        RuntimeUnavailableError: No TensorFlow Lite runtime can be used.

    """
    detector = EmotionDetector(
        settings.model,
        runtime=settings.runtime,
        min_confidence=settings.min_confidence,
        prior_exponent=settings.prior_exponent,
    )
    _ = detector.finder  # loaded now, not by the first request
    return detector


class Engine:
    """One detector, used by one request at a time while a bounded number of others wait.

    Args:
        settings: Its limits and its model.

    Raises:
        ModelError: The model cannot be used.
        RuntimeUnavailableError: No TensorFlow Lite runtime can be used.

    """

    def __init__(self, settings: ServerSettings) -> None:
        # The workers already share the cores: OpenCV's own threads would only get in the way.
        cv2.setNumThreads(1)
        self._settings = settings
        self._detector = open_detector(settings)
        # One thread runs the models and decodes the pictures, so requests are served in order of
        # arrival (a lock would let them overtake each other), with memory for only one.
        self._thread = ThreadPoolExecutor(1, "serenbox-models")
        self._inside = 0
        self._guard = threading.Lock()
        self._held = 0
        self._since: float | None = None
        self.watch: Callable[[int], object] = lambda _: None
        """Is called with `waiting` whenever that changes, from one thread at a time."""

    @property
    def waiting(self) -> int:
        """How many requests use the model or wait for it."""
        return self._inside

    @property
    def stuck(self) -> bool:
        """Whether one picture has occupied the model for longer than any should."""
        since = self._since
        return since is not None and time.monotonic() - since > self._settings.stuck_seconds

    def check_room(self) -> None:
        """Refuse early, before its body is read, a request that would be refused after it.

        Raises:
            BusyError: The queue is full.

        """
        if self._inside > self._settings.queue:
            raise BusyError

    @contextmanager
    def memory(self) -> Iterator[Callable[[int], None]]:
        """Account for the memory of a body while it is read and worked on.

        Yields a function to call with the size, in bytes, of each piece that has arrived. It raises
        `BusyError` if the bodies already held leave no room. What a client only announces takes up
        no room: a client that sends nothing keeps nobody out.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            with self._guard:
                if self._held + size > self._settings.max_memory:
                    raise BusyError
                self._held += size
                taken += size

        try:
            yield take
        finally:
            with self._guard:
                self._held -= taken

    def detect(self, content: bytes) -> tuple[Pixels, list[Face]]:
        """Return the upright picture and its faces, largest first.

        Raises:
            BusyError: Too many requests wait already, the turn did not come in time, or memory
                ran out.
            NotAnImageError: The bytes are not a complete picture that can be read.
            TooLargeError: The picture is larger than what is decoded, or OpenCV cannot work on it.

        """
        self._check_size(content)
        handed_over = [content]
        with self._guard:
            self.check_room()
            seconds = self._settings.wait_seconds if self._inside else None
            work = self._thread.submit(self._read, handed_over)
            self._count(1)
        try:
            return _result(work, seconds)
        finally:
            # Work that was given up stays in the thread's queue until its turn comes.
            handed_over.clear()
            with self._guard:
                self._count(-1)

    def _count(self, change: int) -> None:
        self._inside += change
        self.watch(self._inside)

    def _read(self, handed_over: list[bytes]) -> tuple[Pixels, list[Face]]:
        """Decode the picture and find its faces, in the thread of the models."""
        self._since = time.monotonic()
        try:
            image = read_image(handed_over[0], max_pixels=self._settings.max_pixels)
            return image, self._detector.detect(image)
        except ImageError as error:
            raise NotAnImageError(str(error)) from error
        except MemoryError as error:
            raise BusyError from error
        except cv2.error as error:
            if error.code == cv2.Error.StsNoMem:
                raise BusyError from error
            raise TooLargeError(
                f"the picture cannot be processed ({error.err}): make it smaller"
            ) from error
        finally:
            self._since = None

    def _check_size(self, content: bytes) -> None:
        """Read only the header: what is no picture or is too large need not wait for its turn."""
        try:
            header = read_header(content)
        except ImageError as error:
            raise NotAnImageError(f"picture: {error}") from error
        limit = self._settings.max_pixels
        if header.width * header.height > limit or max(header.width, header.height) > MAX_SIDE:
            raise TooLargeError(
                f"the picture has {header.width} x {header.height} pixels; at most "
                f"{limit / 1e6:g} million are decoded, and {MAX_SIDE:,} on a side: make it smaller"
            )


def _result(work: Future[_T], seconds: float | None) -> _T:
    """Return the result of work that must begin within `seconds`, but may then take any time.

    Raises:
        BusyError: It did not begin in time.

    """
    try:
        return work.result(seconds)
    except TimeoutError:
        if work.cancel():
            raise BusyError from None
        return work.result()
