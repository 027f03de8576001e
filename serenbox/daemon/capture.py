"""The thread that has the camera: opens it, keeps its newest frame, and opens it again."""

from __future__ import annotations

import enum
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from serenbox.daemon.recovery import STEADY, Pacer, Recovery
from serenbox.errors import CameraError, DamagedPictureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.cameras.base import Camera, Frame
    from serenbox.settings.schema import CameraSettings

_log = logging.getLogger("serenbox.capture")

_OPENING = 60.0
"""Seconds after which an opening counts as hung, beyond the waits for a first frame."""

_WAYS = 3
"""Cameras that `auto` may wait for, one after the other."""

_GRACE = 5.0
"""Seconds that any other step may take longer than it should before it counts as hung."""


_TOLD = 3
"""Losses of the camera, soon one after the other, that are told one by one."""

_SOON = 0.25
"""Seconds within which the thread mostly ends by itself, with the next frame."""


class CameraState(enum.Enum):
    """What the capture thread is at."""

    OPENING = "opening"
    """The camera is being opened and has given no frame yet."""
    OPEN = "open"
    """Frames come."""
    LOST = "lost"
    """The camera failed and is being opened again."""
    PAUSED = "paused"
    """The camera is closed because that was asked for."""
    ENDED = "ended"
    """The recording is over; its last frame may still wait to be taken."""
    FAILED = "failed"
    """The camera was given up."""


class Captured(NamedTuple):
    """A frame on its way to the main thread."""

    frame: Frame
    arrived: float
    """When the camera handed it over, `time.monotonic`."""
    opening: int
    """Counts the openings of the camera: what was known before does not hold after another one."""


class Capture:
    """Reads a camera in a thread of its own and keeps only the newest frame.

    Of a recording that plays as fast as possible no frame is skipped: the next is read when the
    last was taken.

    Args:
        settings: The camera and how much failing is put up with.
        open_camera: Opens it; called in the thread.
        wake: Called, in the thread, whenever there is a frame or another state.
        paused: Whether to begin paused.

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
        self._paused = paused
        self._stopping = False
        self._renewed = False
        self._lost_at = 0.0
        self._losses = 0  # since frames came for a while
        self._alive_until = time.monotonic() + _OPENING
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.state = CameraState.OPENING
        """What the thread is at."""
        self.camera: str | None = None
        """The open camera's name."""
        self.problem: str | None = None
        """What is wrong, while the state is `LOST` or `FAILED`."""
        self._device: Camera | None = None
        self.openings = 0
        """How often the camera was opened."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self) -> tuple[Captured | None, CameraState]:
        """Return the newest frame, if it was not taken yet, and the state after it."""
        with self._condition:
            captured, self._captured = self._captured, None
            if captured is not None:
                self._condition.notify_all()
            return captured, self.state

    def pause(self) -> None:
        """Have the camera closed; the state becomes `PAUSED` when it is."""
        self._tell(paused=True)

    def resume(self) -> None:
        """Have the camera opened again."""
        self._tell(paused=False)

    def renew(self, settings: CameraSettings) -> None:
        """Have the camera closed and opened with other settings."""
        with self._condition:
            self._settings = settings
            self._renewed = True
            self.problem = None  # which was that of the camera before
            if self.state is CameraState.LOST:
                self.state = CameraState.OPENING
            self._condition.notify_all()

    def stop(self) -> None:
        """Have the camera closed and the thread ended; `join` waits for it."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, `timeout` seconds at most; tell whether it did."""
        self._thread.join(min(timeout, _SOON))
        device = self._device
        if device is not None and self._thread.is_alive():
            # Closing it ends what it waits for; it must not hang this thread, too.
            threading.Thread(target=device.close, name="close", daemon=True).start()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Tell whether no step of the thread takes longer than it may."""
        return time.monotonic() < self._alive_until

    def _tell(self, *, paused: bool) -> None:
        with self._condition:
            self._paused = paused
            if paused:
                self._captured = None
                self._renewed = True  # what was put up with until now is forgotten
                self.problem = None
            self._condition.notify_all()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - a mistake here must end the service, not hang it
            self.problem = (
                f"unexpected {type(error).__name__} in the capture thread: {error}: this is a "
                "mistake in SerenBox or in the camera's driver, please report it"
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
                    # Who asked for another camera, or for none, need not hear of this one.
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
        """Put the frame where the main thread takes it; `skip` the one that still waits there."""
        if not skip:
            self._wait(None, lambda: self._captured is None or self._interrupted)
        with self._condition:
            if self._interrupted:
                return
            self._captured = Captured(frame, time.monotonic(), self.openings)
        self._wake()

    def _welcome(self, camera: Camera) -> None:
        """Take note of a first good frame."""
        if self.state is CameraState.OPEN:
            return
        if self.state is CameraState.LOST:
            seconds = time.monotonic() - self._lost_at
            level = logging.INFO if self._losses <= _TOLD else logging.DEBUG
            _log.log(level, "%s gives frames again after %.1f s", camera.name, seconds)
        else:
            _log.info("camera: %s", camera.name)
        self.problem = None
        self._become(CameraState.OPEN)

    def _lose(self, problem: str, recovery: Recovery) -> None:
        """Say so once; give the camera up where that was too often."""
        if recovery.hopeless:
            self.problem = (
                f"the camera did not come back in {recovery.reopens} attempts ({problem})"
            )
            self._become(CameraState.FAILED)
            return
        self.problem = problem
        if self.state is CameraState.LOST:
            _log.debug("camera, attempt %d: %s", recovery.failures, problem)
            return
        self._lost_at = time.monotonic()
        self._losses = 1 if recovery.relapses <= 1 else self._losses + 1
        level = logging.WARNING if self._losses <= _TOLD else logging.DEBUG
        _log.log(level, "%s; trying again, up to %d times", problem, recovery.reopens)
        if self._losses == _TOLD:
            _log.warning(
                "the camera comes and goes: check its cable and its supply; no more is said "
                "of it until frames came for %.0f s",
                STEADY,
            )
        self._become(CameraState.LOST)

    @property
    def _interrupted(self) -> bool:
        return self._stopping or self._paused or self._renewed

    def _wait_while_paused(self) -> bool:
        """Wait until the camera may be opened; tell whether the thread is to go on."""
        if self._paused and not self._stopping:
            self._become(CameraState.PAUSED)
            self._wait(None, lambda: self._stopping or not self._paused)
            self._become(CameraState.OPENING)
        return not self._stopping

    def _wait(self, timeout: float | None, condition: Callable[[], bool]) -> None:
        self._allow(float("inf") if timeout is None else timeout + _GRACE)
        with self._condition:
            self._condition.wait_for(condition, timeout)

    def _allow(self, seconds: float) -> None:
        """Say how long the next step may take."""
        self._alive_until = time.monotonic() + seconds

    def _become(self, state: CameraState) -> None:
        if state is not self.state:
            with self._condition:
                self.state = state
            self._wake()
