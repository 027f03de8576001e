"""What SerenBox finds in a picture: where the faces are and which emotion each one shows."""

from __future__ import annotations

from typing import NamedTuple

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The seven emotions, in the order of every list of scores."""

UNCERTAIN = "uncertain"
"""What `Face.emotion` says when no score reaches its threshold."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright image, inside it but for `FaceLocation.uncut`.

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
            stands left in the image. A point may lie outside the image.
        score: How sure the face finder is, 0 to 1.
        uncut: The box of a face that the edge of the image cuts off, as it would be beyond that
            edge; None where it is all inside.

    """

    box: Box
    keypoints: tuple[tuple[float, float], ...]
    score: float
    uncut: Box | None = None

    @property
    def whole(self) -> Box:
        """The box with what the edge of the image cuts off."""
        return self.uncut or self.box


class Face(NamedTuple):
    """A face and the emotion it shows.

    Attributes:
        box: Where the face is.
        emotion: One of `EMOTIONS`, or `UNCERTAIN`.
        confidence: The highest of the scores, 0 to 1.
        scores: The probability of each emotion, in the order of `EMOTIONS`; they sum to 1.
        location: What the face finder saw; None where the caller gave a picture of a face only.

    """

    box: Box
    emotion: str
    confidence: float
    scores: dict[str, float]
    location: FaceLocation | None = None

    def as_dict(self) -> dict[str, object]:
        """Return box `[x, y, width, height]`, emotion, confidence and scores, ready for JSON.

        Probabilities are rounded to six digits.
        """
        return {
            "box": [self.box.x, self.box.y, self.box.width, self.box.height],
            "emotion": self.emotion,
            "confidence": round(self.confidence, 6),
            "scores": {label: round(score, 6) for label, score in self.scores.items()},
        }
