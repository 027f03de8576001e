"""How promptly and how steadily a diffuser follows, and a picture of it.

Run: `python -m tests.benchmarks.diffuser PHOTOS [--plot OUT.png]`, where PHOTOS has a folder of
photographs for each emotion (`happy/*.jpg` …). They become a recording, two strangers a second, in
which the mood changes far more often than any one person's does. The recording is replayed through
the real service and a real Mosquitto to the example of `examples/diffuser`, compiled for this
machine. Every change of its slot is compared with the rule, applied again to the moods that the
broker delivered.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from serenbox.mood.plot import mood_color
from serenbox.mood.slot import SlotRule
from serenbox.settings.schema import DiffuserSettings
from tests.daemon_process import Daemon, wait_for
from tests.mosquitto import listening, running_mosquitto
from tests.slot_consumer import compile_follower, consuming

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Span = tuple[float, float, str]

FPS, WIDTH, HEIGHT = 10, 640, 480
FACE_SECONDS = 0.5
SCENES = [
    ("nobody", 3),
    ("happy", 18),
    ("surprise", 16),
    ("angry", 6),
    ("neutral", 3),
    ("angry", 6),
    ("sad", 16),
    ("nobody", 10),
]
"""Who is seen, and for how many seconds."""

RULE = DiffuserSettings(enabled=True, dwell=2.0, off_after=3.0, minimum_on=10.0)
"""Shorter times than the defaults, so that all of it happens within a minute and a half."""

COLORS = {"A": "#e07b00", "B": "#2b7bba", "off": "#e8e8e8"}


def frames(photos: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the pictures of the recording."""
    shown: dict[str, int] = {}
    for label, seconds in SCENES:
        files = sorted((photos / label).glob("*.jpg")) if label != "nobody" else []
        for _ in range(round(seconds / FACE_SECONDS)):
            picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
            if files:
                number = shown.get(label, 0)
                shown[label] = number + 1
                place(cv2.imread(str(files[number % len(files)])), picture)
            for _ in range(round(FACE_SECONDS * FPS)):
                yield picture


def place(photo: Any, picture: npt.NDArray[np.uint8]) -> None:  # noqa: ANN401 - cv2's
    """Put a photograph into the middle of a picture, as large as fits."""
    scale = min(HEIGHT / photo.shape[0], WIDTH / photo.shape[1])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = min(HEIGHT, small.shape[0]), min(WIDTH, small.shape[1])
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    picture[top : top + height, left : left + width] = small[:height, :width]


def replay(folder: Path, film: Path) -> tuple[list[dict[str, Any]], list[tuple[float, str]], float]:
    """Return the moods that a listener got, the consumer's changes of slot, and the end.

    Times are seconds since 1970.
    """
    (folder / "broker").mkdir()
    with running_mosquitto(folder / "broker") as broker:
        settings = "\n".join(
            [
                f"[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}",
                f"[diffuser]\nenabled = true\ndwell = {RULE.dwell}",
                f"off_after = {RULE.off_after}\nminimum_on = {RULE.minimum_on}\n",
            ]
        )
        with (
            listening(broker) as listener,
            consuming(compile_follower(folder), broker.port) as consumer,
            Daemon(folder, str(film), configuration=settings) as daemon,
        ):
            while daemon.running:  # until the recording is over
                time.sleep(0.1)
            assert daemon.wait() == 0
            wait_for(lambda: ("availability", "offline") in consumer.heard, "the end")
            now = time.time()
            offset = now - time.monotonic()
            moods = [json.loads(one.payload) for one in listener.of("/mood")]
            return moods, [(when + offset, slot) for when, slot in consumer.changes], now


def seconds(message: dict[str, Any]) -> float:
    """Return when a message was made, seconds since 1970."""
    return datetime.fromisoformat(message["time"]).timestamp()


def expected(moods: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """Return the rule's changes of slot and their times, from the moods alone."""
    rule, changes = SlotRule(RULE), [(0.0, "off")]

    def update(now: float, mood: str) -> None:
        slot = rule.update(now, mood)
        if slot != changes[-1][1]:
            changes.append((now, slot))

    for message, following in pairwise(moods):
        update(seconds(message), message["mood"])
        while rule.due < seconds(following):
            update(rule.due, message["mood"])
    update(seconds(moods[-1]), moods[-1]["mood"])
    return changes[1:]


def spans_of(changes: list[tuple[float, str]], begin: float, end: float) -> list[Span]:
    """Return from when to when each of them lasted, in seconds since `begin`."""
    known = [(max(since, begin), what) for since, what in changes]
    ends = [since for since, _ in known[1:]] + [end]
    spans = ((since, until, what) for (since, what), until in zip(known, ends, strict=True))
    return [(since - begin, until - begin, what) for since, until, what in spans if until > since]


def draw(path: Path, moods: list[Span], slots: list[Span]) -> None:
    """Draw the mood and the slot, one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, name, spans, color in (
        (upper, "mood", moods, mood_color),
        (lower, "slot", slots, COLORS.__getitem__),
    ):
        for begin, end, what in spans:
            axes.axvspan(begin, end, color=color(what), linewidth=0)
            if end - begin > 2.5:
                axes.text((begin + end) / 2, 0.5, what, ha="center", va="center", fontsize=8)
        axes.set(ylabel=name, ylim=(0, 1), yticks=[], xlim=(0, moods[-1][1]))
    lower.set(xlabel="seconds")
    figure.savefig(path, format="png", dpi=90)


def main() -> None:
    """Replay, compare, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", metavar="PHOTOS", type=Path)
    parser.add_argument("--plot", metavar="OUT.png", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serenbox-diffuser-") as name:
        folder = Path(name)
        film = cv2.VideoWriter(
            str(folder / "film.mkv"), cv2.VideoWriter.fourcc(*"FFV1"), FPS, (WIDTH, HEIGHT)
        )
        for picture in frames(args.photos):
            film.write(picture)
        film.release()
        moods, consumed, end = replay(folder, folder / "film.mkv")
    got, wanted = consumed[1:], expected(moods)
    assert [slot for _, slot in got] == [slot for _, slot in wanted], (got, wanted)
    delays = [1000 * (there - due) for (there, _), (due, _) in zip(got, wanted, strict=True)]
    begin = seconds(moods[0])
    changes = [
        each for each in zip(moods[1:], moods, strict=False) if each[0]["mood"] != each[1]["mood"]
    ]
    for (there, slot), (due, _), delay in zip(got, wanted, delays, strict=True):
        print(f"{slot:>3} due after {due - begin:5.2f} s, on after {there - begin:5.2f} s", end="")
        print(f": {delay:.1f} ms")
    on = [(until - since) for (since, slot), (until, _) in pairwise(got) if slot != "off"]
    print(
        f"{len(changes)} changes of mood, {len(got)} of the slot; delay median "
        f"{statistics.median(delays):.1f} ms, at most {max(delays):.1f} ms; shortest time on "
        f"{min(on):.2f} s (minimum_on is {RULE.minimum_on:g} s)"
    )
    if args.plot:
        labels = [(seconds(moods[0]), moods[0]["mood"])]
        labels += [(seconds(after), after["mood"]) for after, _ in changes]
        draw(args.plot, spans_of(labels, begin, end), spans_of(consumed, begin, end))


if __name__ == "__main__":
    main()
