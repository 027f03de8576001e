"""How FER2013 and FER+ name the emotions and the splits."""

from __future__ import annotations

SPLITS: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest")

# FER2013 codes its emotions 0..6 in this order (README of the 2013 challenge), unlike `EMOTIONS`.
FER2013_CODES: tuple[str, ...] = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "sad",
    "surprise",
    "neutral",
)

# FER+'s ten vote columns and the label that each counts for (https://github.com/microsoft/FERPlus).
# Contempt, unknown and not-a-face are not among the seven.
FERPLUS_COLUMNS: dict[str, str | None] = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": None,
    "unknown": None,
    "NF": None,
}

FACE_SIZE = 48
"""Side of a FER2013 face in pixels."""
