"""A camera that follows a script, so that tests can make it fail in every way that real ones do.

The script is JSON: `{"fps": 10, "loop": false, "steps": […]}`, where `fps` defaults to that of the
settings, and each step is one of these:

    {"frames": "face.png", "count": 50}     show a picture, found beside the script, 50 times
    {"black": 10}                           10 black frames
    {"garbage": 5}                          5 reads that give no picture
    {"stall": 3.0}                          nothing for 3 seconds
    {"error": "gone"}                       the camera dies; it has to be opened again
    {"open_error": "not there", "count": 2} the camera dies, and 2 attempts to open it fail
    {"end": true}                           the recording ends here

A reopened camera goes on in the script where it was: the position lasts as long as the process.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.cameras.base import CameraBase
from serenbox.errors import CameraError, CameraTimeoutError, ImageError, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.pixels import Pixels
    from serenbox.settings.schema import CameraSettings

# What each step must hold, and what else it may hold.
_STEPS: dict[str, tuple[type | tuple[type, ...], frozenset[str]]] = {
    "frames": (str, frozenset({"count"})),
    "black": (int, frozenset()),
    "garbage": (int, frozenset()),
    "stall": ((int, float), frozenset()),
    "error": (str, frozenset()),
    "open_error": (str, frozenset({"count"})),
    "end": (bool, frozenset()),
}
_GARBAGE: tuple[object, ...] = (
    np.zeros((0, 0, 3), np.uint8),
    np.zeros((48, 64), np.uint8),
    np.zeros((48, 64, 3), np.float32),
    None,
)


@dataclass(slots=True)
class _Position:
    """How far a script has run."""

    step: int = 0
    done: int = 0  # times that the step was done
    frames: int = 0  # in all
    stalled_until: float | None = None


_positions: dict[Path, _Position] = {}


def open_scripted(script: Path, settings: CameraSettings) -> ScriptedCamera:
    """Open a scripted camera at the current position of its script.

    Args:
        script: The JSON file.
        settings: As for a recording: `loop`, `real_time` and `fps`, `width` and `height` (of black
            frames) and `rotate` are used.

    Raises:
        CameraError: The script says so, cannot be read, or holds something unknown.

    """
    path = script.absolute()
    fps, loop, steps = _load(path, settings)
    camera = ScriptedCamera(path, steps, fps, loop=loop, settings=settings)
    camera.check_opening()
    return camera


class ScriptedCamera(CameraBase):
    """A scripted camera, from one opening to its closing.

    Args:
        script: The file, absolute.
        steps: Its steps, checked.
        fps: Frames per second.
        loop: Start over at the end.
        settings: Those of the camera.

    """

    def __init__(
        self,
        script: Path,
        steps: list[dict[str, Any]],
        fps: float,
        *,
        loop: bool,
        settings: CameraSettings,
    ) -> None:
        super().__init__(f"script {script}", live=settings.real_time, rotate=settings.rotate)
        self._folder = script.parent
        self._steps = steps
        self._fps = fps
        self._loop = loop
        self._black = np.zeros((settings.height, settings.width, 3), np.uint8)
        self._position = _positions.setdefault(script, _Position())
        self._pictures: dict[str, Pixels] = {}
        self._due = time.monotonic()
        self._death = ""

    def check_opening(self) -> None:
        """Raise CameraError if the script is at a step where the camera cannot be opened."""
        step = self._step()
        if step and "open_error" in step:
            self._count(step.get("count", 1))
            raise CameraError(f"{self.name}: {step['open_error']}")

    def _take(self, timeout: float) -> tuple[object, float] | None:
        if self._death:
            raise CameraError(f"{self.name}: {self._death}")
        step = self._step()
        if step is None or "end" in step:
            return None
        if "stall" in step:
            self._stall(step["stall"], timeout)
            return self._take(timeout)
        if "open_error" in step or "error" in step:
            self._death = str(step.get("open_error") or step["error"])
            if "error" in step:
                self._count(1)
            raise CameraError(f"{self.name}: {self._death}")
        self._keep_pace(timeout)
        image = self._image(step)
        now = time.monotonic() if self.live else self._position.frames / self._fps
        self._position.frames += 1
        self._count(step.get("black") or step.get("garbage") or step.get("count", 1))
        return image, now

    def _release(self) -> None:
        """Nothing is open."""

    def _image(self, step: dict[str, Any]) -> object:
        if "black" in step:
            return self._black
        if "garbage" in step:
            return _GARBAGE[self._position.done % len(_GARBAGE)]
        from serenbox.images import read_image

        name = step["frames"]
        try:
            if name not in self._pictures:
                self._pictures[name] = read_image(self._folder / name)
        except ImageError as error:
            raise CameraError(f"{self.name}: {error}") from error
        return self._pictures[name]

    def _stall(self, seconds: float, timeout: float) -> None:
        now = time.monotonic()
        if self._position.stalled_until is None:
            self._position.stalled_until = now + seconds
        left = self._position.stalled_until - now
        self._pause(min(left, timeout))
        if left > timeout:
            raise CameraTimeoutError(f"{self.name}: no picture came within {timeout:g} s")
        self._position.stalled_until = None
        self._count(1)

    def _keep_pace(self, timeout: float) -> None:
        if not self.live:
            return
        wait = self._due - time.monotonic()
        if wait > timeout:
            self._pause(timeout)
            raise CameraTimeoutError(f"{self.name}: no picture came within {timeout:g} s")
        self._pause(wait)
        self._due = max(self._due, time.monotonic() - 1 / self._fps) + 1 / self._fps

    def _step(self) -> dict[str, Any] | None:
        if self._position.step >= len(self._steps) and self._loop:
            self._position.step = 0
        if self._position.step < len(self._steps):
            return self._steps[self._position.step]
        return None

    def _count(self, times: int) -> None:
        """Go on to the next step if this one has now been done that many times."""
        self._position.done += 1
        if self._position.done >= times:
            self._position.step += 1
            self._position.done = 0


def _load(script: Path, settings: CameraSettings) -> tuple[float, bool, list[dict[str, Any]]]:
    try:
        content = json.loads(script.read_text())
        steps = content["steps"]
        fps, loop = float(content.get("fps", settings.fps)), bool(content.get("loop", False))
    except OSError as error:
        raise CameraError(
            f"{script}: the script cannot be read ({reason_of(error)}): check its name"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CameraError(
            f'{script}: it is not a script ({error}): write {{"steps": […]}}'
        ) from error
    if not isinstance(steps, list) or not steps or not fps > 0:
        raise CameraError(f"{script}: a script has at least one step, and fps above 0")
    for number, step in enumerate(steps, 1):
        if not _is_step(step):
            raise CameraError(
                f"{script}: step {number} is {json.dumps(step)}, which is unknown: "
                f"it must be one of {', '.join(_STEPS)} with a value that fits"
            )
    return fps, loop or settings.loop, steps


def _is_step(step: object) -> bool:
    if not isinstance(step, dict) or len(kinds := _STEPS.keys() & step.keys()) != 1:
        return False
    kind = kinds.pop()
    value, further = _STEPS[kind]
    counts = [step[key] for key in ("count", "black", "garbage") if key in step]
    return (
        isinstance(step[kind], value)
        and step.keys() <= {kind} | further
        and all(isinstance(count, int) and count > 0 for count in counts)
    )
