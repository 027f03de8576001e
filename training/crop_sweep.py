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
from training.predict import check_exponent, kept_out_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from training.metrics import Figures


def sweep_crop(
    model: Path, photos: Path, specs: Iterable[CropSpec], prior_exponent: float | None = None
) -> Iterator[str]:
    """Yield a line per geometry: how often the top label is right on each photo's largest face.

    Args:
        model: a .tflite emotion model.
        photos: pictures in `photos/<emotion>/`; other folders with pictures are named in a line.
        specs: the geometries to try.
        prior_exponent: replaces the model's own, 0 to what training kept out.

    Raises:
        RunError: the model cannot be used, the exponent is out of its range, no photo has a face,
            or one cannot be read.

    """
    specs = list(specs)
    pictures, ignored = _pictures(photos)
    try:
        classifier = EmotionClassifier(model, prior_exponent=prior_exponent)
        if prior_exponent is not None:
            kept_out = kept_out_by(classifier.metadata.training.get("run"))
            check_exponent("--prior-exponent", prior_exponent, kept_out)
        scores, truth = _score(classifier, pictures, specs)
    except (SerenBoxError, ValueError) as error:
        raise RunError(str(error)) from error
    if ignored:
        yield f"ignored, as their names are not among {', '.join(EMOTIONS)}: {', '.join(ignored)}"
    if not len(truth):
        msg = f"{photos} has no faces in folders named {', '.join(EMOTIONS)}"
        raise DataError(msg)
    yield f"{len(truth)} of {len(pictures)} photos with a face"
    for place, spec in enumerate(specs):
        yield _line(spec, measure(scores[:, place], truth, EMOTIONS))


def _pictures(photos: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """Return the pictures with their labels, and the other folders that hold pictures."""
    found, ignored = [], []
    for folder in sorted(photos.iterdir()) if photos.is_dir() else ():
        paths = [path for path in folder.glob("*") if path.name.lower().endswith(SUFFIXES)]
        name = folder.name.lower()
        if name in EMOTIONS:
            found += [(path, EMOTIONS.index(name)) for path in sorted(paths)]
        elif paths:
            ignored.append(folder.name)
    return sorted(found, key=lambda one: one[1]), ignored


def _score(
    classifier: EmotionClassifier, pictures: list[tuple[Path, int]], specs: list[CropSpec]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (n, specs, 7) scores and (n,) labels of the pictures with a face."""
    finder, found, truth = FaceFinder(), [], []
    for path, label in pictures:
        scores = _score_largest(classifier, finder, path, specs)
        if scores is not None:
            found.append(scores)
            truth.append(label)
    return np.array(found, np.float32), np.array(truth, np.int64)


def _score_largest(
    classifier: EmotionClassifier, finder: FaceFinder, path: Path, specs: list[CropSpec]
) -> list[NDArray[np.float32]] | None:
    """Return the scores of a picture's largest face in each geometry; None without a face.

    The picture itself is let go of: many large ones do not fit into memory.
    """
    image = read_image(path)
    locations = finder.find(image)
    if not locations:
        return None
    color, size = classifier.metadata.input.color, classifier.input_size
    crops = (crop_face(image, locations[0], spec, grey=color == "grey") for spec in specs)
    return [classifier.classify(face_to_input(crop, size, color)) for crop in crops]


def _line(spec: CropSpec, figures: Figures) -> str:
    agreed = ", ".join(
        f"{emotion} {row[place]} of {sum(row)}"
        for place, (emotion, row) in enumerate(zip(EMOTIONS, figures.confusion, strict=True))
        if any(row)
    )
    return (
        f"margin {spec.margin:.2f}, lift {spec.lift:+.2f}, resolution {spec.resolution}, "
        f"eyes {'level' if spec.level_eyes else 'as they are'}: accuracy "
        f"{figures.accuracy:.1%}, macro-recall {figures.macro_recall:.1%}, "
        f"macro-F1 {figures.macro_f1:.3f}; {agreed}"
    )
