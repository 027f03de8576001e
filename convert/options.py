"""The options of a conversion, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serenbox.model_file import CropSpec
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from training.data import LabelSet


SCALES: dict[str, tuple[float, float]] = {
    "0..255": (1.0, 0.0),
    "0..1": (1 / 255, 0.0),
    "-1..1": (1 / 127.5, -1.0),
}
"""The pixel values a model may expect, as factor and offset from raw pixels."""


DEFAULT_CROP = CropSpec(margin=0.0, level_eyes=True, resolution=48, lift=0.07)
"""Chosen on photographs; docs/model-card.md has the figures."""

USUAL_PART = 0.9
"""Share put back of the class prior that training kept out of the logits: accuracy is nearly the
best, and more rare emotions are found than with all of it; docs/model-card.md has the figures."""


@dataclass(frozen=True, slots=True)
class Options:
    """One conversion."""

    model: Path
    """The `.keras` file."""
    out: Path
    """Where the `.tflite` goes."""
    data: Path
    """FER2013: its CSV file or Kaggle's folder."""
    ferplus: Path | None = None
    """FER+'s votes, whose majority is then the truth; without them it is FER2013's label."""
    calibration_images: int = 1000
    """Faces of the Training split to calibrate on."""
    fine_tune: int = 0
    """Batches of 64 faces of the Training split to train on for int8; 0 for none."""
    network: Path | None = None
    """A finished .tflite, made from the same model, whose int8 network is taken as it is."""
    scale: str = "0..255"
    """The pixel values the model expects, a key of `SCALES`."""
    labels: tuple[str, ...] = EMOTIONS
    """The label of each output, in order."""
    crop: CropSpec = DEFAULT_CROP
    """How the device crops faces. 48 pixels is the resolution of FER2013."""
    prior_exponent: float | None = None
    """How much of the class prior is put back, 0 to 1; None for `USUAL_PART` of what training kept
    out of the logits according to its record, or 0 without a record."""
    target_precision: float = 0.9
    """How often a named emotion should be right, 0 to 1."""
    max_uncertain: float = 0.2
    """Largest share of a label's faces that may become uncertain for that precision, 0 to 1."""
    max_drop: float = 1.0
    """Largest loss of accuracy against the float model, percentage points."""
    name: str = "serenbox-emotion"
    version: str = "0.1.0"
    license: str = "Apache-2.0"
    """SPDX expression."""

    @property
    def label_set(self) -> LabelSet:
        """Whose labels are the truth."""
        return "ferplus" if self.ferplus else "fer2013"
