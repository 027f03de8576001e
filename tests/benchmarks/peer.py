"""How the package `fer` reads faces, for comparison in the model card.

It wants older packages than this project, so it gets an environment of its own:
`python3 -m venv fer && fer/bin/pip install fer==25.10.3`, then from the checkout
`fer/bin/python -m tests.benchmarks.peer photos DIR`, with photographs in DIR/<emotion>/, or
`fer/bin/python -m tests.benchmarks.peer faces fer2013.csv fer2013new.csv`.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from serenbox.model_file import ScoreSpec
from serenbox.results import EMOTIONS
from training.data import load_faces
from training.evaluate import evaluate, summary
from training.predict import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The order of fer's scores."""

_SIDE = 64
"""Pixels of the faces that its classifier takes."""


class Detector(Protocol):
    """The part used of `fer.FER`."""

    def detect_emotions(self, img: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Return the `box` and the `emotions`, each with its score, of every face."""

    def _classify_emotions(self, gray_faces: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores (n, 7) of (n, 64, 64) faces; nothing public does so."""


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer", description=__doc__)
    commands = parser.add_subparsers(required=True)
    photos = commands.add_parser("photos", help="read labelled photographs, end to end")
    photos.add_argument("folder", type=Path, metavar="DIR", help="photographs in DIR/<emotion>/")
    photos.set_defaults(run=lambda fer, given: _read_photos(fer, given.folder, photos))
    faces = commands.add_parser("faces", help="classify the cropped faces of PrivateTest")
    faces.add_argument("data", type=Path, help="FER2013's CSV file")
    faces.add_argument("ferplus", type=Path, help="FER+'s CSV file")
    faces.set_defaults(run=lambda fer, given: _classify(fer, given.data, given.ferplus))
    args = parser.parse_args()
    try:
        from fer.fer import FER
    except ModuleNotFoundError:
        parser.error("fer is not installed here: see the description in --help")
    args.run(FER(), args)  # with its default face finder


def _read_photos(detector: Detector, photos: Path, parser: argparse.ArgumentParser) -> None:
    """Print how many faces were found, and how often the strongest emotion is the folder's."""
    shown = dict.fromkeys(EMOTIONS, 0)
    right = dict.fromkeys(EMOTIONS, 0)
    found = 0
    for emotion in EMOTIONS:
        for path in sorted((photos / emotion).glob("*")):
            shown[emotion] += 1
            faces = detector.detect_emotions(np.asarray(cv2.imread(str(path)), np.uint8))
            if not faces:
                continue
            found += 1
            largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
            right[emotion] += max(largest["emotions"], key=largest["emotions"].get) == emotion
    if not all(shown.values()):
        parser.error(f"{photos} lacks photographs of some emotion: it must hold DIR/<emotion>/")
    recalls = [right[emotion] / shown[emotion] for emotion in EMOTIONS]
    print(f"a face in {found} of {sum(shown.values())}, {sum(right.values())} right")
    print(f"macro-recall of all photographs: {sum(recalls) / len(recalls):.1%}")
    print(", ".join(f"{emotion} {right[emotion]} of {shown[emotion]}" for emotion in EMOTIONS))


def _classify(detector: Detector, data: Path, ferplus: Path) -> None:
    """Print the figures that `python -m training evaluate` prints, but for its thresholds."""
    faces = load_faces(data, ferplus)
    private = faces.select("PrivateTest")
    scores = _scores(detector, private.images)
    spec = ScoreSpec(1.0, (1 / 7,) * 7, 0.0, dict.fromkeys(EMOTIONS, 0.0))
    about = {"file": "the classifier", "runtime": f"fer {version('fer')}"}
    report = evaluate(private, Prediction(scores, scores, spec, about))
    del report["uncertain"]  # it has no thresholds
    print(summary(report))


def _scores(detector: Detector, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return fer's scores (n, 7), in the order of `EMOTIONS`, of (n, 48, 48) faces."""
    enlarged = np.stack([cv2.resize(image, (_SIDE, _SIDE)) for image in images])
    pixels = np.asarray((enlarged / 255 - 0.5) * 2, np.float32)
    scores = np.asarray(detector._classify_emotions(pixels), np.float32)
    return scores[:, [_LABELS.index(emotion) for emotion in EMOTIONS]]


if __name__ == "__main__":
    main()
