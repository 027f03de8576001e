"""What is measured, and its limits. Each part makes its figures; none knows of another."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.bench.figures import Figure
from serenbox.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from serenbox.bench.figures import Report
    from serenbox.runtime_names import RuntimeName


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure with."""

    clip: Path
    """A recording with a face in every frame."""
    folder: Path
    """For everything that is written; gone afterwards."""
    frames: int
    """How many to follow from the camera to the event."""
    memory_seconds: float
    """How long to watch memory."""
    idle_seconds: float
    """How long to watch an idle service."""
    starts: int
    """How often to start the service."""
    runtime: RuntimeName


def measure_frames(plan: Plan, report: Report) -> None:
    """Follow frames from the camera to the event.

    Raises:
        ServiceError: Most frames show no face.

    """
    from serenbox.bench import frames
    from serenbox.cameras.select import open_camera
    from serenbox.daemon.stats import percentiles
    from serenbox.settings.schema import CameraSettings

    settings = CameraSettings(source=str(plan.clip.absolute()), loop=True, real_time=False)
    camera = open_camera(settings)
    try:
        samples = frames.measure(camera, plan.frames, plan.runtime)
    finally:
        camera.close()
    seen = len(samples["classify"])
    if seen < plan.frames / 2:
        raise ServiceError(
            f"a face was found in only {seen} of {plan.frames} frames: give a clip or a photo of "
            "one person looking at the camera"
        )
    report.stages.update({stage: percentiles(seconds) for stage, seconds in samples.items()})
    middle, tail = frames.ratios(samples)
    note = f"{seen} frames, in medians of both bare models"
    report.figures += [
        Figure("latency_p50", "frame to event, p50", "x", 1.3, middle, note),
        Figure("latency_p99", "frame to event, p99", "x", 3.0, tail, note),
    ]


def measure_broker(plan: Plan, report: Report) -> None:
    """Send events over a Mosquitto, if there is one."""
    from serenbox.bench import broker
    from serenbox.daemon.stats import percentiles

    figure = Figure("publish_p50_ms", "publish to receive, p50", "ms", 5.0, None)
    program = broker.find_mosquitto()
    if program is None:
        note = "Mosquitto is not installed: sudo apt install mosquitto"
        report.figures.append(dataclasses.replace(figure, note=note))
        return
    with broker.running_mosquitto(program, plan.folder) as port:
        ranks = percentiles(broker.measure(port, _EVENTS))
    report.stages["publish to receive"] = ranks
    note = f"{_EVENTS} events"
    report.figures.append(dataclasses.replace(figure, value=1e3 * ranks[50], note=note))


_EVENTS = 200


def measure_memory(plan: Plan, report: Report) -> None:
    """Run the service as fast as it can, and measure its memory."""
    from serenbox.bench import process

    settings = ("camera.loop=true", "camera.real_time=false")
    folder = plan.folder / "memory"
    with process.ServiceProcess(folder, str(plan.clip.absolute()), settings) as service:
        points = process.memory(service, plan.memory_seconds)
    most = max(memory for _, memory in points)
    growth, note = memory_growth(points)
    if not most:
        growth, note = None, _LINUX_ONLY
    what = "growth per 100,000 frames"
    report.figures += [
        Figure("memory_mb", "memory", "MB", 120.0, most or None, "" if most else _LINUX_ONLY),
        Figure("memory_growth_mb", what, "MB", 1.0, growth, note),
    ]


def memory_growth(points: Sequence[tuple[int, float]]) -> tuple[float | None, str]:
    """Return the growth in MB per 100,000 frames, None if that is unknown, and a note.

    The first half is left out, because allocators grow until they have been through everything.
    What remains must be enough frames: in a few hundred, a single page of 4 kB looks like a leak.

    Args:
        points: Frames looked at, and memory in MB.

    """
    later = points[len(points) // 2 :]
    count = later[-1][0] - later[0][0]
    if count < _FEWEST:
        return None, f"{count} frames are too few to judge: watch longer with --memory-seconds"
    slope = statistics.linear_regression(*zip(*later, strict=True)).slope
    return 1e5 * slope, f"over {count} frames"


_FEWEST = 5000


def measure_start(plan: Plan, report: Report) -> None:
    """Start the service repeatedly."""
    from serenbox.bench import start

    ours, bare = start.measure(plan.folder, str(plan.clip.absolute()), plan.runtime, plan.starts)
    mine, its = statistics.median(ours), statistics.median(bare)
    note = f"{mine:.2f} s, bare loading {its:.2f} s"
    report.figures.append(Figure("start", "start to first mood", "x", 1.5, mine / its, note))


def measure_idle(plan: Plan, report: Report) -> None:
    """Let the service look at a scene in which nothing happens."""
    from serenbox.bench import clip, process

    scene = plan.folder / "empty.avi"
    clip.write_clip(scene, clip.empty_frames(), _IDLE_FPS)
    settings = ("camera.loop=true", f"camera.fps={_IDLE_FPS}")
    with process.ServiceProcess(plan.folder / "idle", str(scene), settings) as service:
        share = process.idle_share(service, plan.idle_seconds)
    figure = Figure("idle_percent", "processor while idle", "%", 4.0, None, _LINUX_ONLY)
    if share is not None:
        note = f"of one core, {_IDLE_FPS} frames per second"
        figure = dataclasses.replace(figure, value=100 * share, note=note)
    report.figures.append(figure)


_IDLE_FPS = 5
_LINUX_ONLY = "only Linux reports it"

PARTS: Mapping[str, Callable[[Plan, Report], None]] = {
    "frames": measure_frames,
    "broker": measure_broker,
    "memory": measure_memory,
    "start": measure_start,
    "idle": measure_idle,
}
"""Every part by the name that `--only` takes."""
