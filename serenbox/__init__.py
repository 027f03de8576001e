"""SerenBox: reads which of seven emotions a face shows, on the device itself.

>>> from serenbox import EmotionDetector
>>> for face in EmotionDetector().detect("photo.jpg"):
...     print(face.emotion, face.confidence)
"""

from typing import TYPE_CHECKING

from serenbox.errors import ImageError, ModelError, RuntimeUnavailableError, SerenBoxError
from serenbox.results import EMOTIONS, UNCERTAIN, Box, Face, FaceLocation

if TYPE_CHECKING:
    from serenbox.detector import EmotionDetector

__all__ = [
    "EMOTIONS",
    "UNCERTAIN",
    "Box",
    "EmotionDetector",
    "Face",
    "FaceLocation",
    "ImageError",
    "ModelError",
    "RuntimeUnavailableError",
    "SerenBoxError",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # with `__getattr__`, a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Import the detector, and with it numpy and OpenCV, on first use."""
        if name == "EmotionDetector":
            from serenbox.detector import EmotionDetector

            return EmotionDetector
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
