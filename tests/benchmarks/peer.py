"""How the package `fer` reads labelled photographs, end to end, for the model card.

It wants older packages than this project, so it gets an environment of its own:
`python3 -m venv fer && fer/bin/pip install fer==25.10.3`, then from the checkout
`fer/bin/python -m tests.benchmarks.peer DIR`, with photographs in DIR/<emotion>/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from serenbox.results import EMOTIONS


def main() -> None:
    """Print how many faces were found, and how often the strongest emotion is the folder's."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer", description=__doc__)
    parser.add_argument("photos", type=Path, metavar="DIR", help="photographs in DIR/<emotion>/")
    photos = parser.parse_args().photos
    try:
        from fer.fer import FER
    except ModuleNotFoundError:
        parser.error("fer is not installed here: see the description in --help")
    detector = FER()  # its default face finder
    shown = dict.fromkeys(EMOTIONS, 0)
    right = dict.fromkeys(EMOTIONS, 0)
    found = 0
    for emotion in EMOTIONS:
        for path in sorted((photos / emotion).glob("*")):
            shown[emotion] += 1
            faces = detector.detect_emotions(cv2.imread(str(path)))
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


if __name__ == "__main__":
    main()
