"""Compare the speed of `serenbox-detect` with bare scripts that do only what cannot be left out.

Prints ratios of paired runs, taken in turns so that a busy machine slows both alike.
Run it with `make bench`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serenbox.classifier import EmotionClassifier
from serenbox.crop import crop_face, face_to_input
from serenbox.face_finder import FaceFinder
from serenbox.images import read_image
from serenbox.models import EMOTION_MODEL, FACE_MODEL
from serenbox.runtime import open_model

if TYPE_CHECKING:
    from collections.abc import Callable

BARE = f"""
import cv2, numpy as np
from ai_edge_litert.interpreter import Interpreter
image = cv2.imread({{photo!r}})
for path in ({str(FACE_MODEL)!r}, {str(EMOTION_MODEL)!r}):
    model = Interpreter(model_path=path, num_threads=1)
    model.allocate_tensors()
    details = model.get_input_details()[0]
    model.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))
    model.invoke()
    model.get_tensor(model.get_output_details()[0]["index"])
"""


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def compare(name: str, ours: Callable[[], object], bare: Callable[[], object], pairs: int) -> None:
    """Print the median of the ratios of paired calls, and both medians."""
    ours(), bare()  # warms the caches up
    times = [(seconds(ours), seconds(bare)) for _ in range(pairs)]
    ratio = statistics.median(mine / its for mine, its in times)
    mine, its = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    print(f"{name}: {ratio:.2f} x bare ({mine:.2f} ms to {its:.2f} ms, {pairs} pairs)")


def whole_process(photo: Path, pairs: int) -> None:
    """Compare `serenbox-detect --json` on one photo with a script that runs both models once."""
    detect = [sys.executable, "-m", "serenbox.cli.detect", "--json", str(photo)]
    bare = [sys.executable, "-c", BARE.format(photo=str(photo))]

    # An installed package has its bytecode cached; the libraries of the bare script have, too.
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def process(command: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run(command, check=True, capture_output=True, env=environment)

    compare("whole process", process(detect), process(bare), pairs)


def per_face(photo: Path, pairs: int) -> None:
    """Compare the classification of one face with the bare invoke of its model."""
    image = read_image(photo)
    location = FaceFinder().find(image)[0]
    classifier = EmotionClassifier()
    metadata, size = classifier.metadata, classifier.input_size
    face = face_to_input(crop_face(image, location, metadata.crop), size, metadata.input.color)
    model = open_model(EMOTION_MODEL.read_bytes())
    batch = np.ascontiguousarray(face[np.newaxis])
    interpreter = model._interpreter  # for the barest call possible
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)

    def crop_and_classify() -> None:
        crop = crop_face(image, location, metadata.crop)
        classifier.classify(face_to_input(crop, size, metadata.input.color))

    compare("classification", lambda: classifier.classify(face), interpreter.invoke, pairs)
    compare("crop and classification", crop_and_classify, interpreter.invoke, pairs)


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path, help="a photograph with a face")
    photo = parser.parse_args().photo
    whole_process(photo, pairs=15)
    per_face(photo, pairs=500)


if __name__ == "__main__":
    main()
