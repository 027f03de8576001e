"""How long a frame takes to become an event, next to the bare runs of the two models.

The service's own parts do the work: the capture thread, the observer of frames and the announcer.
Nothing of them is copied here; they are only watched.
"""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from serenbox.bench.bare import BareModel
from serenbox.daemon.announcer import Announcer
from serenbox.daemon.capture import Capture
from serenbox.daemon.observer import Observer
from serenbox.daemon.pipeline import Pipeline
from serenbox.daemon.stats import FrameStats, percentiles
from serenbox.errors import ServiceError
from serenbox.models import EMOTION_MODEL, FACE_MODEL
from serenbox.settings.schema import Settings
from serenbox.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serenbox.cameras.base import Camera, Frame
    from serenbox.daemon.capture import Captured
    from serenbox.runtime_names import RuntimeName

STAGES = ("capture", "find", "classify", "mood", "message", "frame to event")
"""The way of a frame from the camera to the main thread, the face finder, the classifier, whatever
else leads to the mood, the message for the outputs, and all of them together."""

BARE = ("bare face model", "bare emotion model", "both bare")

_WARM_UP = 20
_PATIENCE = 30.0


def measure(source: Camera, frames: int, runtime: RuntimeName) -> dict[str, list[float]]:
    """Return the seconds of every stage, and of the bare models, for each frame with a face.

    The service and the bare models take turns in going first, so that whatever else this machine
    does slows both alike.

    Args:
        source: A clip without end; closed by the caller.
        frames: How many to take, after some to warm up.
        runtime: What runs the models.

    Raises:
        CameraError: The clip cannot be read.
        ModelError: A model cannot be loaded or fails.
        ServiceError: The capture thread hands over no frame.

    """
    bare = [BareModel(FACE_MODEL, runtime), BareModel(EMOTION_MODEL, runtime)]
    samples: dict[str, list[float]] = {stage: [] for stage in (*STAGES, *BARE)}
    with _Watched() as service:
        for number in range(frames + _WARM_UP):
            frame = source.read(_PATIENCE)
            if frame is None:
                break
            bare_first = number % 2 == 0
            times = _time_bare(bare) if bare_first else {}
            times |= service.take(frame)
            times |= {} if bare_first else _time_bare(bare)
            if number >= _WARM_UP and "classify" in times:
                for stage, seconds in times.items():
                    samples[stage].append(seconds)
    return samples


def ratios(samples: Mapping[str, list[float]]) -> tuple[float, float]:
    """Return the median and 99th percentile of frame to event, in medians of both bare models."""
    bare = percentiles(samples["both bare"])[50]
    whole = percentiles(samples["frame to event"])
    return whole[50] / bare, whole[99] / bare


def _time_bare(models: list[BareModel]) -> dict[str, float]:
    moments = [time.monotonic()]
    for model in models:
        model.invoke()
        moments.append(time.monotonic())
    face, emotion = moments[1] - moments[0], moments[2] - moments[1]
    return dict(zip(BARE, (face, emotion, face + emotion), strict=True))


class _Watched:
    """The part of the service from the camera to the message, one frame at a time."""

    def __init__(self) -> None:
        settings = Settings()
        self._stats = _LatestStats()
        self._announcer = Announcer(settings.device.name, [_Sink()])
        self._observer = Observer(Pipeline(settings), self._announcer)
        self._observer.stats = self._stats
        self._camera = _OneAtATime()
        self._waker = Waker()
        self._capture = Capture(settings.camera, lambda _: self._camera, self._waker.wake)

    def __enter__(self) -> Self:
        self._capture.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.stop()
        self._camera.close()
        self._capture.join(_PATIENCE)
        self._waker.close()

    def take(self, frame: Frame) -> dict[str, float]:
        """Send a frame through and return the seconds of each stage.

        Every frame becomes a message, although the service sends one a second unless moods change.
        """
        self._camera.offer(frame)
        captured = self._wait()
        self._observer.take(captured)
        sensed = time.monotonic()
        self._announcer.repeat()
        done = time.monotonic()
        latest = self._stats.latest
        seconds = {stage: latest[stage] for stage in STAGES if stage in latest}
        rest = sensed - captured.arrived - sum(seconds.values())
        whole = {"mood": rest, "message": done - sensed, "frame to event": done - captured.arrived}
        return seconds | whole

    def _wait(self) -> Captured:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            select.select([self._waker], [], [], _PATIENCE)
            self._waker.clear()
            captured, _ = self._capture.take()
            if captured is not None:
                return captured
        raise ServiceError(f"the capture thread handed over no frame within {_PATIENCE:g} s")


class _OneAtATime:
    """A camera that gives the frames it is offered, one at a time."""

    name = "clip"
    live = False

    def __init__(self) -> None:
        self._offered = threading.Semaphore(0)
        self._frame: Frame | None = None

    def offer(self, frame: Frame | None) -> None:
        """Let the waiting `read` return."""
        self._frame = frame
        self._offered.release()

    def read(self, timeout: float) -> Frame | None:
        """Wait for a frame, however long: it is no error if none is offered."""
        del timeout
        self._offered.acquire()
        return self._frame

    def close(self) -> None:
        """End the waiting `read`."""
        self.offer(None)


class _LatestStats(FrameStats):
    """Keeps the stages of the latest frame."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[str, float] = {}

    def add(self, now: float, seconds: Mapping[str, float]) -> None:
        """Take one frame."""
        super().add(now, seconds)
        self.latest = dict(seconds)


class _Sink:
    """An output that takes messages and forgets them."""

    name = "bench"

    def start(self) -> None:
        """Do nothing."""

    def mood(self, message: Mapping[str, Any]) -> None:
        """Forget it."""

    def event(self, message: Mapping[str, Any]) -> None:
        """Forget it."""

    def stats(self, message: Mapping[str, Any]) -> None:
        """Forget it."""

    def close(self, timeout: float) -> None:
        """Do nothing."""

    def health(self) -> dict[str, Any]:
        """Return nothing."""
        return {}
