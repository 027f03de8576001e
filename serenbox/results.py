"""What SerenBox finds in a picture: where the faces are and which emotion each one shows."""

from __future__ import annotations

from typing import NamedTuple

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The seven emotions, in the order of every list of scores."""

UNCERTAIN = "uncertain"
"""The value of `Face.emotion` when the highest score is below its threshold."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright image, inside it except in `FaceLocation.uncut`.

    It covers the columns `x` to `x + width - 1` and the rows `y` to `y + height - 1`.
    """

    x: int
    y: int
    width: int
    height: int


class FaceLocation(NamedTuple):
    """A face found in a picture.

    Attributes:
        box: The face from the brows to the chin.
        keypoints: Six points (x, y) in image pixels, where the top left corner of the image is
            (0, 0) and the centre of the first pixel is (0.5, 0.5): right eye, left eye, nose tip,
            mouth centre, right ear, left ear. "Right" is the person's right, so the right eye
            is on the left of the image. A point may lie outside the image.
        score: How sure the face finder is, 0 to 1.
        uncut: The whole box, including the part beyond the edge, of a face that the edge of the
            image cuts off; None if the face is entirely inside.

    """

    box: Box
    keypoints: tuple[tuple[float, float], ...]
    score: float
    uncut: Box | None = None

    @property
    def whole(self) -> Box:
        """The box including what the edge of the image cuts off."""
        return self.uncut or self.box


class Face(NamedTuple):
    """A face and the emotion it shows.

    Attributes:
        box: Where the face is.
        emotion: One of `EMOTIONS`, or `UNCERTAIN`.
        confidence: The highest of the scores, 0 to 1.
        scores: The probability of each emotion, in the order of `EMOTIONS`; they sum to 1.
        location: Where the face finder found it; None if the caller gave an already cropped face.

    """

    box: Box
    emotion: str
    confidence: float
    scores: dict[str, float]
    location: FaceLocation | None = None

    def as_dict(self) -> dict[str, object]:
        """Return box `[x, y, width, height]`, emotion, confidence and scores, ready for JSON.

        Probabilities are rounded to six decimal places.
        """
        return {
            "box": [self.box.x, self.box.y, self.box.width, self.box.height],
            "emotion": self.emotion,
            "confidence": round(self.confidence, 6),
            "scores": {label: round(score, 6) for label, score in self.scores.items()},
        }
