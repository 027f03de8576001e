"""The models that come with SerenBox, and where they are."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent

EMOTION_MODEL = _FOLDER / "emotion.tflite"
"""The emotion classifier; it explains itself (see `serenbox.model_file`)."""

FACE_MODEL = _FOLDER / "face_detection_short_range.tflite"
"""The face finder, MediaPipe's BlazeFace short range; `setup.py` brings it (see `NOTICE`)."""

FACE_MODEL_SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"
"""Its checksum: tflite-runtime crashes on a damaged file instead of refusing it."""
