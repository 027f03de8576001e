"""Compare crop geometries by how well a model agrees with labelled photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serenbox.classifier import EmotionClassifier
from serenbox.crop import CropSpec, crop_face, face_to_input
from serenbox.errors import SerenBoxError
from serenbox.face_finder import FaceFinder
from serenbox.image_header import SUFFIXES
from serenbox.images import read_image
from serenbox.results import EMOTIONS
from training.errors import DataError, RunError
from training.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from serenbox.results import FaceLocation

    Found = tuple[NDArray[np.uint8], FaceLocation, int]


def sweep_crop(
    model: Path, photos: Path, specs: Iterable[CropSpec], prior_exponent: float | None = None
) -> Iterator[str]:
    """Yield a line per geometry: how often the top label is right on each photo's largest face.

    Args:
        model: a .tflite emotion model.
        photos: pictures in `photos/<emotion>/`.
        specs: the geometries to try.
        prior_exponent: replaces the model's own, 0 to 1.

    Raises:
        RunError: the model cannot be used, the exponent is out of its range, no photo has a face,
            or one cannot be read.

    """
    try:
        classifier = EmotionClassifier(model, prior_exponent=prior_exponent)
        found, count = _find(photos)
    except (SerenBoxError, ValueError) as error:
        raise RunError(str(error)) from error
    yield f"{len(found)} of {count} photos with a face"
    truth = np.array([label for _, _, label in found])
    size, color = classifier.input_size, classifier.metadata.input.color
    grey = color == "grey"
    for spec in specs:
        crops = [crop_face(image, location, spec, grey=grey) for image, location, _ in found]
        scores = [classifier.classify(face_to_input(crop, size, color)) for crop in crops]
        figures = measure(np.stack(scores), truth, EMOTIONS)
        agreed = ", ".join(
            f"{emotion} {row[place]} of {sum(row)}"
            for place, (emotion, row) in enumerate(zip(EMOTIONS, figures.confusion, strict=True))
            if any(row)
        )
        yield (
            f"margin {spec.margin:.2f}, lift {spec.lift:+.2f}, resolution {spec.resolution}, "
            f"eyes {'level' if spec.level_eyes else 'as they are'}: accuracy "
            f"{figures.accuracy:.1%}, macro-recall {figures.macro_recall:.1%}, "
            f"macro-F1 {figures.macro_f1:.3f}; {agreed}"
        )


def _find(photos: Path) -> tuple[list[Found], int]:
    finder = FaceFinder()
    found, count = [], 0
    for label, emotion in enumerate(EMOTIONS):
        for path in sorted((photos / emotion).glob("*")):
            if not path.name.lower().endswith(SUFFIXES):
                continue
            count += 1
            image = read_image(path)
            locations = finder.find(image)
            if locations:
                found.append((image, locations[0], label))
    if not found:
        msg = f"{photos} has no faces in folders named {', '.join(EMOTIONS)}"
        raise DataError(msg)
    return found, count
