"""Measure how steady and how quick the mood is on a stream of real faces, all of strangers.

Faces of PublicTest (FER+ majority) with one label after another, 10 seconds each at 10 frames per
second, go through the shipped model and the mood filter: 2,000 faces, drawn by a seed. A person's
own face is far more constant than a hundred strangers, so this is a hard case.

Run it with `python -m tests.benchmarks.flicker --data fer2013.csv.xz --ferplus ferplus.csv`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from serenbox.detector import EmotionDetector
from serenbox.mood.smoothing import MoodFilter
from serenbox.mood.types import Reading, TrackedFace
from serenbox.results import EMOTIONS
from serenbox.settings import Settings, with_overrides
from training.data import load_faces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from serenbox.results import Face

SEGMENTS, SEGMENT_FACES, FPS = 20, 100, 10.0
MOST_CHANGES, LONGEST_DELAY = 1.2, 2.0
"""Mood changes per true change, and median seconds until the new mood, that are allowed."""


@dataclass(frozen=True)
class Flicker:
    """The figures of one stream."""

    raw: float
    """Changes of the single faces' top label, per true change."""
    changes: float
    """Changes of the mood, per true change."""
    delays: tuple[tuple[str, float], ...]
    """Label of each segment after the first, and seconds until the mood had it: infinite if it
    never did."""

    @property
    def delay(self) -> float:
        """Median seconds until the new mood."""
        return statistics.median(delay for _, delay in self.delays)

    @property
    def passed(self) -> bool:
        """Whether both figures are within what is allowed."""
        return self.changes <= MOST_CHANGES and self.delay <= LONGEST_DELAY


def labels_in_turn(rng: np.random.Generator) -> list[int]:
    """Return the label of each segment: all seven in turn, shuffled anew for every round."""
    labels: list[int] = []
    while len(labels) < SEGMENTS:
        turn = [int(label) for label in rng.permutation(len(EMOTIONS))]
        if labels[-1:] != turn[:1]:
            labels += turn
    return labels[:SEGMENTS]


def draw(truth: NDArray[np.int64], labels: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Return the rows of the stream's faces; a label with too few begins again with its first."""
    queues = {label: rng.permutation(np.flatnonzero(truth == label)) for label in set(labels)}
    used: Counter[int] = Counter()
    rows = []
    for label in labels:
        queue = queues[label]
        rows += [int(queue[(used[label] + n) % len(queue)]) for n in range(SEGMENT_FACES)]
        used[label] += SEGMENT_FACES
    return rows


def measure(faces: Sequence[Face], labels: Sequence[int], mood_filter: MoodFilter) -> Flicker:
    """Send the faces of a stream through the filter and count."""
    moods = [
        mood_filter.update(Reading(number / FPS, (TrackedFace(1, face, primary=True),))).label
        for number, face in enumerate(faces)
    ]
    tops = [max(face.scores, key=face.scores.__getitem__) for face in faces]
    true_changes = len(labels) - 1
    return Flicker(
        _changes(tops) / true_changes,
        _changes(moods) / true_changes,
        tuple(_delays(moods, labels))[1:],  # the first is decided at once
    )


def _changes(labels: Sequence[str]) -> int:
    return sum(one != other for one, other in pairwise(labels))


def _delays(moods: Sequence[str], labels: Sequence[int]) -> Iterator[tuple[str, float]]:
    for number, label in enumerate(labels):
        segment = moods[number * SEGMENT_FACES : (number + 1) * SEGMENT_FACES]
        name = EMOTIONS[label]
        yield name, segment.index(name) / FPS if name in segment else float("inf")


def report(seed: int, flicker: Flicker) -> str:
    """Return the figures of a stream in one line."""
    never = Counter(name for name, delay in flicker.delays if delay == float("inf"))
    missed = ", ".join(f"{name} {count}" for name, count in never.items()) or "none"
    return (
        f"seed {seed}: raw label changes {flicker.raw:.1f}, mood changes {flicker.changes:.2f} per "
        f"true change (at most {MOST_CHANGES}); median delay {flicker.delay:.1f} s (at most "
        f"{LONGEST_DELAY}); segments that never reach their label: {missed}"
        f"{'' if flicker.passed else '  MISSED'}"
    )


def by_label(flickers: Sequence[Flicker]) -> Iterator[str]:
    """Yield a line for each label: how long it takes, and how often it never comes."""
    for label in EMOTIONS:
        delays = [d for flicker in flickers for name, d in flicker.delays if name == label]
        never = delays.count(float("inf"))
        yield (
            f"{label:9} median delay {statistics.median(delays):.1f} s, never reached in {never} "
            f"of {len(delays)} segments"
        )


def main() -> int:
    """Measure some streams; the exit code is 1 if a figure of the first is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="fer2013.csv, or as .gz or .xz")
    parser.add_argument("--ferplus", required=True, help="FER+'s CSV file")
    parser.add_argument("--model", help="emotion model (.tflite); the shipped one if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the first stream (default: 0)")
    parser.add_argument("--streams", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    args = parser.parse_args()
    pairs = (assignment.split("=", 1) for assignment in args.set)
    settings = with_overrides(Settings(), {key: json.loads(value) for key, value in pairs})
    public = load_faces(args.data, args.ferplus).select("PublicTest")
    public = public[public.usable]
    detector = EmotionDetector(args.model, prior_exponent=settings.mood.prior_exponent)
    thresholds = detector.classifier.metadata.scores.thresholds
    faces = [detector.classify_cropped(image) for image in public.images]
    truth, flickers = public.truth("ferplus"), []
    for seed in range(args.seed, args.seed + args.streams):
        rng = np.random.default_rng(seed)
        labels = labels_in_turn(rng)
        stream = [faces[row] for row in draw(truth, labels, rng)]
        mood_filter = MoodFilter(settings.mood, thresholds)
        flickers.append(measure(stream, labels, mood_filter))
        print(report(seed, flickers[-1]), flush=True)
    print(*by_label(flickers), sep="\n")
    return 0 if flickers[0].passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
