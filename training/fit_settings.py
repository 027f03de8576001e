"""All settings of a training run, apart from the data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from training.errors import RunError

if TYPE_CHECKING:
    from training.data import LabelSet

Backbone = Literal["mobilenet_v2", "mobilenet_v1"]
"""The network before the logits: the one that ships, or an older one used only as its teacher."""
_SIZES = range(32, 1025, 32)
"""Sides in pixels that the backbones can take: they halve the picture five times."""
OLDER_RUNS: dict[str, str | float] = {"backbone": "mobilenet_v2", "sharpness": 0.0}
"""Settings that the records of older runs lack because they could not be chosen then."""


@dataclass(frozen=True)
class Augmentation:
    """How far and how often a training face is changed."""

    rotation: float = 15.0
    """Largest turn to either side, degrees."""
    scale: float = 0.18
    """Largest relative change of size."""
    shift: float = 0.08
    """Largest move along each axis, as a share of the side."""
    contrast: float = 0.3
    """Largest relative change of contrast."""
    brightness: float = 40.0
    """Largest change of brightness, grey levels."""
    blur: float = 0.2
    """Share of the faces that first lose resolution, by a factor of up to three."""
    noise: float = 0.15
    """Share of the faces that get noise, with a standard deviation of up to 16 grey levels."""
    occlusion: float = 0.25
    """Share of the faces with a covered patch, up to 40 % of the side."""
    mixup: float = 0.2
    """Share of the faces that are blended with another one of their batch, as are the targets
    (Zhang et al. 2018, arXiv 1710.09412)."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            RunError: a value is out of its range; the message names it.

        """
        for each in fields(self):
            value = getattr(self, each.name)
            largest = {"rotation": 180.0, "brightness": 255.0}.get(each.name, 1.0)
            if not 0 <= value <= largest or (each.name == "scale" and value == 1):
                limit = "below 1" if each.name == "scale" else f"{largest:g}"
                msg = f"--{each.name} is {value:g}, and must be from 0 to {limit}"
                raise RunError(msg)


@dataclass(frozen=True)
class FitSettings:
    """All settings of a run, apart from the data."""

    label_set: LabelSet = "ferplus"
    """Whose labels to learn."""
    size: int = 96
    """Side of the network's input, pixels; a multiple of 32."""
    backbone: Backbone = "mobilenet_v2"
    """The network before the logits."""
    alpha: float = 1.0
    """Width multiplier of the backbone."""
    weights: str = "imagenet"
    """Initial weights: `imagenet`, a .weights.h5 or .keras file, FaceRes's .json (for
    mobilenet_v1), or `none`."""
    teacher: tuple[str, ...] = ()
    """The .keras files whose averaged answers to the faces shown are blended into the targets."""
    teacher_share: float = 0.5
    """Share of these answers in the targets, 0 to 1."""
    epochs: int = 30
    """Passes over the training faces."""
    small_epochs: int = 8
    """How many of the first epochs run at `small_size`, which is cheaper."""
    small_size: int = 64
    """Side of the input in those epochs, pixels; a multiple of 32."""
    batch_size: int = 64
    """Faces per step."""
    learning_rate: float = 1e-3
    """Peak rate of AdamW, after one epoch of warm-up; a cosine takes it to zero."""
    weight_decay: float = 0.05
    """AdamW's weight decay, applied to kernels only."""
    ema: float = 0.998
    """Momentum of the moving average of the weights, which is validated and kept."""
    sharpness: float = 0.0
    """How far from the weights the gradient is taken (`training.sharpness`); 0 is at them."""
    dropout: float = 0.2
    """Share of features dropped before the logits."""
    balance: float = 1.0
    """Exponent of the class prior in the balanced loss: 0 leaves the classes as they are."""
    seed: int = 0
    """Seed of everything random."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How faces are augmented."""

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            RunError: a value is out of its range; the message names it.

        """
        for name, fits, wanted in (
            ("size", self.size in _SIZES, "a multiple of 32 up to 1024"),
            ("small-size", self.small_size in _SIZES, "a multiple of 32 up to 1024"),
            (
                "weights",
                self.backbone == "mobilenet_v1" or not self.weights.endswith(".json"),
                "another file with this --backbone: FaceRes is a mobilenet_v1",
            ),
            ("alpha", 0 < self.alpha <= 4, "above 0 and at most 4"),
            ("epochs", self.epochs >= 1, "1 or more"),
            ("small-epochs", 0 <= self.small_epochs <= self.epochs, "from 0 to --epochs"),
            ("batch-size", self.batch_size >= 2, "2 or more"),
            ("learning-rate", 0 < self.learning_rate <= 1000, "above 0 and at most 1000"),
            ("weight-decay", 0 <= self.weight_decay <= 1000, "from 0 to 1000"),
            ("ema", 0 < self.ema < 1, "between 0 and 1"),
            ("sharpness", 0 <= self.sharpness <= 1, "from 0 to 1"),
            ("dropout", 0 <= self.dropout < 1, "from 0 to below 1"),
            ("teacher-share", 0 <= self.teacher_share <= 1, "from 0 to 1"),
            ("balance", 0 <= self.balance <= 1, "from 0 to 1"),
            ("seed", 0 <= self.seed < 2**32, "from 0 to 4294967295"),
        ):
            if not fits:
                value = getattr(self, name.replace("-", "_"))
                msg = f"--{name} is {value}, and must be {wanted}"
                raise RunError(msg)
