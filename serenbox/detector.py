"""The whole pipeline from a picture to emotions: face finder, crop and classifier."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TypeAlias

import cv2
import numpy as np

from serenbox.classifier import EmotionClassifier, name_emotion
from serenbox.crop import crop_face, face_to_input, reduce_face
from serenbox.defaults import FACE_SCORE, PRIOR_EXPONENT
from serenbox.errors import ImageError
from serenbox.face_finder import FaceFinder
from serenbox.pixels import AnyPixels, Pixels
from serenbox.results import EMOTIONS, Box, Face, FaceLocation
from serenbox.runtime_names import Runtime  # noqa: TC001 - for `typing.get_type_hints`

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | AnyPixels | None
"""None, which OpenCV returns for a file that it cannot read, is refused like anything else that is
not a picture."""


class EmotionDetector:
    """Finds the faces in a picture and says which emotion each one shows.

    Use it from one thread at a time.

    Args:
        model: An emotion model; the shipped one if None.
        runtime: Which TensorFlow Lite runtime to use.
        threads: CPU threads for each model, 1 to 64.
        min_confidence: The score an emotion needs to be named, 0 to 1, instead of the model's own
            thresholds.
        prior_exponent: How much to expect common emotions: 0 treats all seven as equally likely,
            1 as likely as among the faces the model was trained on. It is capped at the model's
            own: the part of the prior that training left in the logits must not be put back twice.
        min_face_score: The minimum score of a face, above 0 and at most 1.
        tiles: Also look for small faces, as in a group photo, and for one that fills the picture
            while a small one is visible, too; slower on large pictures.

    Raises:
        ModelError: The model cannot be read, is damaged, or is not a model of the seven emotions.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.
        ValueError: An argument is out of its range.

    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        runtime: Runtime = "auto",
        threads: int = 1,
        min_confidence: float | None = None,
        prior_exponent: float = PRIOR_EXPONENT,
        min_face_score: float = FACE_SCORE,
        tiles: bool = True,
    ) -> None:
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence is {min_confidence}, and must be from 0 to 1")
        if not 0 <= prior_exponent <= 1:
            raise ValueError(f"prior_exponent is {prior_exponent}, and must be from 0 to 1")
        self.classifier = EmotionClassifier(model, threads=threads, runtime=runtime)
        """The emotion classifier."""
        own = self.classifier.metadata.scores.prior_exponent
        self.classifier.put_back(min(prior_exponent, own))
        thresholds = self.classifier.metadata.scores.thresholds
        if min_confidence is not None:
            thresholds = dict.fromkeys(EMOTIONS, min_confidence)
        self._thresholds = thresholds
        self._runtime: Runtime = runtime
        self._threads = threads
        if not 0 < min_face_score <= 1:
            raise ValueError(
                f"min_face_score is {min_face_score}, and must be above 0 and at most 1"
            )
        self._min_face_score = min_face_score
        self._tiles = tiles

    @cached_property
    def finder(self) -> FaceFinder:
        """The face finder, loaded on first use: cropped faces do not need it."""
        return FaceFinder(
            threads=self._threads, runtime=self._runtime, min_score=self._min_face_score
        )

    def detect(self, image: ImageSource) -> list[Face]:
        """Return the faces in a picture and their emotions, largest first.

        Args:
            image: A file, the bytes of one, or uint8 pixels, (height, width) or (height, width, 1)
                grey or (height, width, 3) BGR, upright.

        Raises:
            ImageError: The picture cannot be read.
            ModelError: The face finder's model is missing or damaged.

        """
        pixels = _pixels(image)
        locations = self.finder.find(pixels, tiles=self._tiles)
        return [self.classify(pixels, location) for location in locations]

    def classify(self, image: AnyPixels | None, location: FaceLocation) -> Face:
        """Return the emotion of a face that was found in a picture.

        Args:
            image: The picture's pixels, as for `detect`; not a file.
            location: Where the face finder found the face, in pixels of `image`.

        Raises:
            ImageError: `image` is not an array of such pixels.

        """
        metadata = self.classifier.metadata
        pixels = _checked(image)
        face = crop_face(pixels, location, metadata.crop, grey=metadata.input.color == "grey")
        return self._read(face, location.box, location)

    def classify_cropped(self, image: ImageSource) -> Face:
        """Return the emotion of a face that fills the picture; no face is searched for.

        Args and errors are those of `detect`. The result's box is the whole picture.
        """
        pixels = _pixels(image)
        face = reduce_face(pixels, self.classifier.metadata.crop.resolution)
        height, width = pixels.shape[:2]
        return self._read(face, Box(0, 0, width, height), None)

    def _read(self, face: Pixels, box: Box, location: FaceLocation | None) -> Face:
        color = self.classifier.metadata.input.color
        probabilities = self.classifier.classify(
            face_to_input(face, self.classifier.input_size, color)
        )
        scores = dict(zip(EMOTIONS, probabilities.tolist(), strict=True))
        emotion = name_emotion(scores, self._thresholds)
        return Face(box, emotion, max(scores.values()), scores, location)


def _pixels(image: ImageSource) -> Pixels:
    """Return the picture as BGR pixels."""
    if isinstance(image, (str, os.PathLike, bytes)):
        # Imported here: the service handles only frames, and starts faster without this.
        from serenbox.images import read_image

        return read_image(image)
    if image is not None and not isinstance(image, np.ndarray):
        raise ImageError(
            f"the picture is of the type {type(image).__name__}, and must be a path, the bytes of "
            "a file, or an array of pixels (of a picture from Pillow: "
            "np.asarray(picture.convert('RGB'))[:, :, ::-1])"
        )
    pixels = _checked(image)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    return pixels


def _checked(image: object) -> Pixels:
    """Check a caller's pixels; return them as (height, width) grey or (height, width, 3) BGR."""
    if image is None:
        raise ImageError(
            "the picture is None, which OpenCV gives when it cannot read one: check the file's "
            "name or the camera"
        )
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"the picture is of the type {type(image).__name__}, and must be an array of pixels"
        )
    grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    if image.dtype != np.uint8 or not image.size or not (grey or image.shape[2:] == (3,)):
        raise ImageError(
            f"the pixels are {image.dtype} of shape {image.shape}, and must be uint8 of shape "
            "(height, width) for grey or (height, width, 3) for BGR"
        )
    return image.reshape(image.shape[:2]) if grey else image
