"""What the service says about itself: statistics, and one line for systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serenbox.daemon import health
from serenbox.installed import installed_version
from serenbox.outputs.messages import stats_message

if TYPE_CHECKING:
    from serenbox.daemon.announcer import Announcer
    from serenbox.daemon.capture import Capture
    from serenbox.daemon.stats import FrameStats


def make_stats(
    device: str,
    announcer: Announcer,
    capture: Capture,
    stats: FrameStats,
    *,
    started: float,
    now: float,
    wall: float,
) -> dict[str, Any]:
    """Return the statistics message.

    Args:
        device: The name of the box.
        announcer: Knows the state of the box and the health of its outputs.
        capture: Knows the camera.
        stats: Statistics of the frames.
        started: When the service started, on the clock of `now`.
        now: Seconds on a clock that never jumps.
        wall: Seconds since 1970.

    """
    return stats_message(
        device,
        wall,
        announcer.state,
        version=installed_version(),
        uptime=now - started,
        camera=capture.camera or "",
        frames=stats.frames,
        fps=stats.fps(now),
        latency_ms=stats.latency_ms(),
        temperature_c=health.temperature_c(),
        throttled=health.throttled(),
        memory_mb=health.memory_mb(),
        outputs=announcer.health(),
    )


def status_line(announcer: Announcer, capture: Capture) -> str:
    """Return what the service is doing, for `systemctl status`."""
    if announcer.state == "paused":
        return "Paused, the camera is closed"
    if announcer.state == "no_camera":
        return f"No camera: {capture.problem}" if capture.problem else "Opening the camera"
    # Not the mood: everybody with an account may read this line.
    return f"Sensing with {capture.camera or 'the camera'}"
