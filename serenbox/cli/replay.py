"""`serenbox replay`: what the mood was in a recording, and when."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, ClassVar

from serenbox.cli.assignments import parse_assignment
from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_OK,
    Tool,
    UsageError,
    native_messages_hidden,
    path_of,
    printable,
    write_line,
)
from serenbox.cli.inputs import FOREIGN_SUFFIXES
from serenbox.cli.plots import check_plot, write_plot
from serenbox.errors import CameraError
from serenbox.mood.timeline import Timeline, totals
from serenbox.settings import find_settings_file, load_settings, with_overrides

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from serenbox.cameras.base import Camera, Frame
    from serenbox.cameras.recording import Recording
    from serenbox.mood.timeline import Span
    from serenbox.mood.types import Mood
    from serenbox.settings import Settings


class ReplayTool(Tool):
    """Play a recording through the service's own pipeline and print its moods over time.

    FILE is a video, or a folder of pictures that are played in the order of their names at
    camera.fps. Every frame is looked at, as fast as this machine can; times are the recording's.
    The configuration of this box applies; --set tries other values without writing them down:
      serenbox replay evening.mp4 --set mood.smoothing=1.5 --set mood.dwell=1 --plot moods.png

    With --json one object is printed:
      {"file", "frames", "seconds", "changes", "moods": [{"start", "end", "mood", "confidence"}],
       "totals": {"happy": 12.5, ...}}
    Times are in seconds; the confidence is the mean over the mood's frames.

    Exit code: 0 if all frames were read; 1 if some could not be; 2 if the call was wrong, or the
    recording, the model or its runtime cannot be used.
    """

    prog: ClassVar[str] = "serenbox replay"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add = parser.add_argument
        add("file", metavar="FILE", type=path_of, help="video, or folder of pictures")
        add("--json", action="store_true", help="print one JSON object")
        add(
            "--cropped",
            action="store_true",
            help="each picture is already a face (as in FER2013): do not search for faces",
        )
        add("--plot", metavar="OUT.png", type=path_of, help="also draw scores and moods over time")
        add(
            "--config",
            metavar="FILE",
            type=path_of,
            help="configuration to use instead of the usual one",
        )
        add(
            "--set",
            metavar="TABLE.KEY=VALUE",
            action="append",
            default=[],
            help="a setting to try, such as mood.smoothing=1.5; may be repeated",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Play the recording, then print and draw."""
        if not (args.file.is_file() or args.file.is_dir()):
            raise UsageError(f"{args.file}: there is no such video or folder: check the name")
        settings = load_settings(find_settings_file(args.config))
        settings = with_overrides(settings, dict(map(parse_assignment, args.set)))
        if args.plot:
            check_plot(args.plot)
        with native_messages_hidden(show=args.debug):
            camera = _open(args.file, settings)
            replay = _Replay(camera.step, keep_scores=bool(args.plot))
            replay.problems += _left_out(args.file)
            replay.play(camera, _mood_maker(settings, cropped=args.cropped))
        if replay.problems:
            self.error(*replay.problems)
        spans = replay.timeline.spans
        if not spans:
            raise CameraError(f"{args.file}: none of its frames can be read: check the file")
        if args.plot:
            from serenbox.mood.plot import draw_timeline

            picture = draw_timeline(printable(args.file.name), replay.times, replay.scores, spans)
            write_plot(args.plot, picture)
        layout = as_json if args.json else as_table
        write_line(layout(str(args.file), replay.timeline.frames, spans))
        return EXIT_FAILED if replay.problems else EXIT_OK


class _Replay:
    """What is collected while a recording plays."""

    def __init__(self, step: float, *, keep_scores: bool) -> None:
        self.timeline = Timeline(step)
        self.times: list[float] = []
        self.scores: list[tuple[float, ...]] = []
        self.problems: list[str] = []
        self._keep_scores = keep_scores

    def play(self, camera: Camera, mood_of: Callable[[Frame], Mood]) -> None:
        """Take in all frames and close the camera."""
        try:
            for frame in self._frames(camera):
                mood = mood_of(frame)
                self.timeline.add(frame.time, mood)
                if self._keep_scores:
                    self.times.append(frame.time)
                    self.scores.append(tuple(mood.scores.values()))
        finally:
            camera.close()

    def _frames(self, camera: Camera) -> Iterator[Frame]:
        """Yield the readable frames, until the end or until too many in a row are unreadable."""
        failed = 0
        while failed < _MOST_FAILURES:
            try:
                frame = camera.read(_TIMEOUT)
            except CameraError as error:
                failed += 1
                if str(error) not in self.problems:
                    self.problems.append(str(error))
                continue
            if frame is None:
                return
            failed = 0
            yield frame


_TIMEOUT = 10.0  # seconds for a frame; a recording that plays as fast as possible never waits
_MOST_FAILURES = 100  # unreadable frames in a row: the rest of the recording is broken


def as_json(name: str, frames: int, spans: list[Span]) -> str:
    """Return the timeline as one JSON object; seconds to the millisecond."""
    moods = [
        {
            "start": round(span.start, 3),
            "end": round(span.end, 3),
            "mood": span.mood,
            "confidence": round(span.confidence, 4),
        }
        for span in spans
    ]
    return json.dumps(
        {
            "file": name,
            "frames": frames,
            "seconds": round(spans[-1].end - spans[0].start, 3),
            "changes": len(spans) - 1,
            "moods": moods,
            "totals": {mood: round(seconds, 3) for mood, seconds in totals(spans).items()},
        }
    )


def as_table(name: str, frames: int, spans: list[Span]) -> str:
    """Return the timeline as readable text, several lines."""
    whole = spans[-1].end - spans[0].start
    lines = [f"{printable(name)}: {_count(frames, 'frame')}, {whole:.1f} s", ""]
    lines.append(f"{'start':>9} {'end':>9}  {'mood':<9}  confidence")
    for span in spans:
        confidence = f"{span.confidence:10.0%}" if span.confidence else f"{'-':>10}"
        lines.append(f"{span.start:9.1f} {span.end:9.1f}  {span.mood:<9}  {confidence}")
    lines += ["", f"{'total':>9} {'share':>9}"]
    for mood, seconds in totals(spans).items():
        lines.append(f"{seconds:9.1f} {seconds / (whole or 1):9.0%}  {mood}")
    return "\n".join([*lines, "", f"{_count(len(spans) - 1, 'change')} of mood"])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _left_out(path: Path) -> list[str]:
    """Return a sentence for each photo of a folder that is not played because of its suffix."""
    files = sorted(path.iterdir()) if path.is_dir() else []
    return [
        f"{file}: it is not played, as its name ends in {file.suffix}: convert it to JPEG or PNG"
        for file in files
        if file.name.lower().endswith(FOREIGN_SUFFIXES)
        and not file.name.startswith(".")
        and file.is_file()
    ]


def _open(path: Path, settings: Settings) -> Recording:
    from serenbox.cameras.recording import open_recording

    return open_recording(path, dataclasses.replace(settings.camera, real_time=False, loop=False))


def _mood_maker(settings: Settings, *, cropped: bool) -> Callable[[Frame], Mood]:
    """Load the models and return a function from a frame to the mood."""
    from serenbox.daemon.pipeline import Pipeline, make_detector

    if not cropped:
        pipeline = Pipeline(settings)
        return lambda frame: pipeline.look(frame).mood
    from serenbox.mood.smoothing import MoodFilter
    from serenbox.mood.types import Reading, TrackedFace

    detector = make_detector(settings)
    mood_filter = MoodFilter(settings.mood, detector.classifier.metadata.scores.thresholds)

    def mood_of(frame: Frame) -> Mood:
        face = detector.classify_cropped(frame.image)
        return mood_filter.update(Reading(frame.time, (TrackedFace(1, face, primary=True),)))

    return mood_of
