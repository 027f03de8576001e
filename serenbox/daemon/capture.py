"""The thread that owns the camera: opens it, keeps its newest frame, and reopens it on failure."""

from __future__ import annotations

import enum
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from serenbox.daemon.losses import LossLog
from serenbox.daemon.recovery import Pacer, Recovery
from serenbox.errors import CameraError, DamagedPictureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.cameras.base import Camera, Frame
    from serenbox.settings.schema import CameraSettings

_log = logging.getLogger("serenbox.capture")

_OPENING = 60.0
"""Seconds after which opening a camera counts as hung, on top of the waits for a first frame."""

_WAYS = 6
"""How many waits for a first frame `auto` may need, one after the other."""

_GRACE = 5.0
"""Seconds by which any other step may overrun before it counts as hung."""

_SOON = 0.25
"""Seconds within which the thread usually ends by itself, with the next frame."""


class CameraState(enum.Enum):
    """What the capture thread is doing."""

    OPENING = "opening"
    """The camera is being opened and has given no frame yet."""
    OPEN = "open"
    """Frames come."""
    LOST = "lost"
    """The camera failed and is being opened again."""
    PAUSED = "paused"
    """The camera is closed on request."""
    ENDED = "ended"
    """The recording is over; its last frame may not have been taken yet."""
    FAILED = "failed"
    """The camera has been given up."""


class Captured(NamedTuple):
    """A frame on its way to the main thread."""

    frame: Frame
    arrived: float
    """When the camera handed it over, `time.monotonic`."""
    opening: int
    """Counts the openings of the camera: after a new one, nothing known before still holds."""


class Capture:
    """Reads a camera in its own thread and keeps only the newest frame.

    A recording that plays as fast as possible loses no frame: each waits until the one before it
    has been taken.

    Args:
        settings: The camera, and how many failures to tolerate.
        open_camera: Opens it; called in the thread.
        wake: Called, in the thread, whenever there is a new frame or state.
        paused: Whether to start paused.

    """

    def __init__(
        self,
        settings: CameraSettings,
        open_camera: Callable[[CameraSettings], Camera],
        wake: Callable[[], None],
        *,
        paused: bool = False,
    ) -> None:
        self._settings = settings
        self._open_camera = open_camera
        self._wake = wake
        self._condition = threading.Condition()
        self._captured: Captured | None = None
        self.paused = paused
        """Whether the camera is closed, or about to be, on request."""
        self._stopping = False
        self._renewed = False
        self._losses = LossLog()
        self._alive_until = time.monotonic() + _OPENING
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.state = CameraState.OPENING
        """What the thread is doing."""
        self.camera: str | None = None
        """The open camera's name."""
        self.problem: str | None = None
        """What is wrong, while the state is `LOST` or `FAILED`."""
        self._device: Camera | None = None
        self.openings = 0
        """How often the camera was opened."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def take(self) -> tuple[Captured | None, CameraState]:
        """Return the newest frame, None if there is no new one, and the state after it."""
        with self._condition:
            captured, self._captured = self._captured, None
            if captured is not None:
                self._condition.notify_all()
            return captured, self.state

    def pause(self) -> None:
        """Ask for the camera to be closed; the state becomes `PAUSED` once it is."""
        self._tell(paused=True)

    def resume(self) -> None:
        """Ask for the camera to be reopened."""
        self._tell(paused=False)

    def renew(self, settings: CameraSettings) -> None:
        """Ask for the camera to be closed and reopened with other settings."""
        with self._condition:
            self._settings = settings
            self._renewed = True
            self.problem = None  # it was the previous camera's
            if self.state is CameraState.LOST:
                self.state = CameraState.OPENING
            self._condition.notify_all()

    def stop(self) -> None:
        """Ask for the camera to be closed and the thread to end; `join` waits for it."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait about `timeout` seconds at most for the thread to end; return whether it did."""
        self._thread.join(min(timeout, _SOON))
        device = self._device
        if device is not None and self._thread.is_alive():
            # Closing the camera ends the thread's wait; if closing hangs, this thread must not.
            threading.Thread(target=device.close, name="close", daemon=True).start()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Return whether the thread's current step is still within its time limit."""
        return time.monotonic() < self._alive_until

    def _tell(self, *, paused: bool) -> None:
        with self._condition:
            self.paused = paused
            if paused:
                self._captured = None
                self._renewed = True  # forget the failures so far
                self.problem = None
            self._condition.notify_all()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a bug here must end the service, not hang it
            self.problem = (
                f"unexpected {type(error).__name__} in the capture thread: {error}: this is a "
                "bug in SerenBox or in the camera's driver, please report it"
            )
            _log.debug("the capture thread failed", exc_info=True)
            self._become(CameraState.FAILED)

    def _work(self) -> None:
        recovery = Recovery(self._settings)
        while self._wait_while_paused():
            if self._renewed:
                self._renewed = False
                recovery = Recovery(self._settings)
            try:
                self._open_and_read(recovery)
            except CameraError as error:
                with self._condition:
                    # After a request for another camera, or for none, this one does not matter.
                    if not self._interrupted:
                        self._lose(str(error), recovery)
            if self.state in {CameraState.ENDED, CameraState.FAILED}:
                return
            if recovery.relapses:
                self._wait(recovery.pause, lambda: self._interrupted)

    def _open_and_read(self, recovery: Recovery) -> None:
        """Open the camera and read it until it fails, ends, or must be closed.

        Raises:
            CameraError: It cannot be opened, or missed too many frames.

        """
        settings = self._settings
        if self.state is not CameraState.LOST:
            self._become(CameraState.OPENING)
        self._allow(_OPENING + _WAYS * settings.timeout)
        try:
            camera = self._open_camera(settings)
        except CameraError:
            recovery.opening_failed()
            raise
        self.openings += 1
        try:
            self.camera, self._device = camera.name, camera
            self._read(camera, settings, recovery)
        finally:
            self.camera = self._device = None
            camera.close()

    def _read(self, camera: Camera, settings: CameraSettings, recovery: Recovery) -> None:
        pacer = Pacer(settings.fps)
        while not self._interrupted:
            self._allow(settings.timeout + _GRACE)
            try:
                frame = camera.read(settings.timeout)
                if frame is None:
                    self._become(CameraState.ENDED)
                    return
            except CameraError as error:
                if recovery.frame_missed(damaged=isinstance(error, DamagedPictureError)):
                    raise
                continue
            recovery.frame_came(time.monotonic())
            self._welcome(camera)
            if not camera.live or pacer.wants(frame.time):
                self._hand_over(frame, skip=camera.live)

    def _hand_over(self, frame: Frame, *, skip: bool) -> None:
        """Leave the frame for the main thread; with `skip`, replace one still waiting there."""
        if not skip:
            self._wait(None, lambda: self._captured is None or self._interrupted)
        with self._condition:
            if self._interrupted:
                return
            self._captured = Captured(frame, time.monotonic(), self.openings)
        self._wake()

    def _welcome(self, camera: Camera) -> None:
        """Note the first good frame."""
        if self.state is CameraState.OPEN:
            return
        if self.state is CameraState.LOST:
            self._losses.back(camera.name)
        else:
            _log.info("camera: %s", camera.name)
        self.problem = None
        self._become(CameraState.OPEN)

    def _lose(self, problem: str, recovery: Recovery) -> None:
        """Report the loss once; give the camera up after too many failures."""
        if recovery.hopeless:
            self.problem = (
                f"the camera did not come back in {recovery.reopens} attempts ({problem})"
            )
            self._become(CameraState.FAILED)
            return
        self.problem = problem
        if self.state is CameraState.LOST:
            self._losses.still_lost(problem, recovery)
            return
        self._losses.lost(problem, recovery)
        self._become(CameraState.LOST)

    @property
    def _interrupted(self) -> bool:
        return self._stopping or self.paused or self._renewed

    def _wait_while_paused(self) -> bool:
        """Wait until the camera may be opened; return whether the thread should go on."""
        if self.paused and not self._stopping:
            self._become(CameraState.PAUSED)
            self._wait(None, lambda: self._stopping or not self.paused)
            self._become(CameraState.OPENING)
        return not self._stopping

    def _wait(self, timeout: float | None, condition: Callable[[], bool]) -> None:
        self._allow(float("inf") if timeout is None else timeout + _GRACE)
        with self._condition:
            self._condition.wait_for(condition, timeout)

    def _allow(self, seconds: float) -> None:
        """Set how long the next step may take."""
        self._alive_until = time.monotonic() + seconds

    def _become(self, state: CameraState) -> None:
        if state is not self.state:
            with self._condition:
                self.state = state
            self._wake()
