"""Answers to requests over the control socket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from serenbox.daemon.capture import CameraState

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenbox.daemon.announcer import Announcer
    from serenbox.daemon.capture import Capture
    from serenbox.daemon.pause import Pause
    from serenbox.daemon.running_outputs import RunningOutputs


class Answers:
    """Does what requests ask for, and answers them. For the main thread.

    Args:
        announcer: Knows the mood and the state of the box.
        capture: The camera.
        pause: Closes and opens it.
        outputs: The running outputs.
        report: Returns the statistics of this moment, and what is wrong.

    """

    def __init__(
        self,
        announcer: Announcer,
        capture: Capture,
        pause: Pause,
        outputs: RunningOutputs,
        report: Callable[[], dict[str, Any]],
    ) -> None:
        self._announcer = announcer
        self._capture = capture
        self._pause = pause
        self._outputs = outputs
        self._report = report

    def answer(self, request: str) -> dict[str, Any]:
        """Return the answer to a request; its only key is `error` if it is not known."""
        if request in {"pause", "resume"}:
            return self._pause_or_resume(paused=request == "pause")
        if request == "status":
            return {
                **self._report(),
                "mood": self._announcer.label,
                "confidence": round(self._announcer.confidence, 4),
                "pid": os.getpid(),
            }
        if request == "delete history":
            return self._outputs.delete_history()
        return {"error": f"the service does not know '{request}': it may be another version"}

    def _pause_or_resume(self, *, paused: bool) -> dict[str, Any]:
        remembered = self._pause.want(paused=paused)
        # The announced state lags behind: the camera may not be closed yet.
        waiting = paused and self._capture.state is not CameraState.PAUSED
        return {
            "state": "pausing" if waiting else self._announcer.state,
            "remembered": remembered,
            "problem": self._pause.problem,
        }
