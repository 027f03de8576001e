"""What an emotion model says about itself (`metadata.json`, schema 1).

Everything the device must know beyond the tensors' shapes is stored here and nowhere in code, so
any model with this metadata can be dropped in.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from serenbox.errors import ModelError

SCHEMA = 1
"""The version of `metadata.json` this program writes and reads."""

MOST_SHIFT = 100
"""Far beyond any use, and small enough for sums that stay finite."""

Color = Literal["grey", "rgb"]
"""The colour a model wants its input in."""


class InputSpec(NamedTuple):
    """What the model wants to see; size and data type come from its input tensor."""

    color: Color
    """One grey channel, or three in the order red, green, blue."""
    pixel_range: tuple[float, float]
    """The values of black and of white."""


class CropSpec(NamedTuple):
    """How a face is cut out of a picture; see `serenbox.crop.crop_face`."""

    margin: float
    """Space added on each side of the face, as a fraction of the face's longer side, 0 to 1."""
    level_eyes: bool
    """Whether the crop is turned so that the eyes are level."""
    resolution: int
    """Side of the crop in pixels: the sharpness of the faces the model was trained on."""
    lift: float = 0.0
    """How far the crop is moved towards the forehead, as a fraction of its side, -0.5 to 0.5."""


class ScoreSpec(NamedTuple):
    """How logits become scores and an emotion; see `serenbox.classifier.scores_from_logits`."""

    temperature: float
    """Divides the logits; above 1 it makes the scores less confident."""
    class_prior: tuple[float, ...]
    """How often each label occurred in training, in the order of the labels; sums to 1."""
    prior_exponent: float
    """How much of the prior is put back: 0 treats all labels alike, 1 as in training."""
    thresholds: Mapping[str, float]
    """The score each label needs to be named, 0 to 1."""
    shift: tuple[float, ...] = ()
    """Added to each logit, -100 to 100, in the order of the labels, so that the majority vote of
    the annotators comes first; empty for no shift."""


class ModelMetadata(NamedTuple):
    """Everything an emotion model says about itself."""

    name: str
    version: str
    license: str
    """SPDX expression."""
    description: str
    labels: tuple[str, ...]
    """The label of each output, in order."""
    input: InputSpec
    crop: CropSpec
    scores: ScoreSpec
    training: Mapping[str, Any]
    """What the model was trained on: data set, label set, split, checksums of the data."""
    accuracy: Mapping[str, Any]
    """Figures by split, of the float model and of this one."""
    tensorflow: str
    """Version that converted the model."""
    commit: str | None
    """Git commit of the code that made it, if known."""
    created: str
    """RFC 3339, UTC."""
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `metadata.json`."""
        parts = {name: getattr(self, name)._asdict() for name in ("input", "crop", "scores")}
        return deepcopy({**self._asdict(), **parts})


def parse_metadata(content: object) -> ModelMetadata:
    """Check the content of a `metadata.json` and return it.

    Unknown keys are ignored, so that a later version may add some.

    Raises:
        ModelError: A key is missing or its value is invalid; the message names it.

    """
    data = _Section(content, "")
    schema = data.value("schema")
    if schema != SCHEMA:
        raise ModelError(
            f"metadata.json has schema {schema!r}, and this version of SerenBox reads schema "
            f"{SCHEMA} only: use a model made for it, or another version of SerenBox"
        )
    labels = _labels(data)
    return ModelMetadata(
        name=data.text("name"),
        version=data.text("version"),
        license=data.text("license"),
        description=data.text("description"),
        labels=labels,
        input=_input(data.section("input")),
        crop=_crop(data.section("crop")),
        scores=_scores(data.section("scores"), labels),
        training=data.section("training").content,
        accuracy=data.section("accuracy").content,
        tensorflow=data.text("tensorflow"),
        commit=None if data.value("commit") is None else data.text("commit"),
        created=_created(data),
    )


def _labels(data: _Section) -> tuple[str, ...]:
    labels = data.value("labels")
    if (
        not isinstance(labels, (list, tuple))
        or len(labels) < 2
        or not all(isinstance(label, str) and label.strip() == label != "" for label in labels)
        or any("\n" in label for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise data.wrong("labels", labels, "two or more different names")
    return tuple(labels)


def _input(data: _Section) -> InputSpec:
    color, pixels = data.value("color"), data.value("pixel_range")
    if color not in ("grey", "rgb"):
        raise data.wrong("color", color, '"grey" or "rgb"')
    if (
        not isinstance(pixels, (list, tuple))
        or not all(_is_number(pixel) for pixel in pixels)
        or len(pixels) != 2
        or not pixels[0] < pixels[1]
    ):
        raise data.wrong("pixel_range", pixels, "two numbers, black and white, such as [0, 255]")
    return InputSpec(cast("Color", color), (pixels[0], pixels[1]))


def _crop(data: _Section) -> CropSpec:
    level, resolution = data.value("level_eyes"), data.value("resolution")
    if not isinstance(level, bool):
        raise data.wrong("level_eyes", level, "true or false")
    if type(resolution) is not int or not 8 <= resolution <= 1024:
        raise data.wrong("resolution", resolution, "a whole number of pixels from 8 to 1024")
    lift = data.number("lift", -0.5, 0.5) if "lift" in data.content else 0.0
    return CropSpec(data.number("margin", 0, 1), level, resolution, lift)


def _scores(data: _Section, labels: tuple[str, ...]) -> ScoreSpec:
    prior = data.value("class_prior")
    if (
        not isinstance(prior, (list, tuple))
        or len(prior) != len(labels)
        or not all(_is_number(share) and share > 0 for share in prior)
        or not math.isclose(sum(prior), 1, abs_tol=1e-3)
    ):
        wanted = f"{len(labels)} numbers above 0, one for each label, that sum to 1"
        raise data.wrong("class_prior", prior, wanted)
    thresholds = data.section("thresholds")
    if set(thresholds.content) != set(labels):
        raise data.wrong("thresholds", thresholds.content, "one number for each label")
    shift = data.content.get("shift", ())
    if (
        not isinstance(shift, (list, tuple))
        or len(shift) not in (0, len(labels))
        or not all(_is_number(each) and abs(each) <= MOST_SHIFT for each in shift)
    ):
        wanted = f"{len(labels)} numbers from {-MOST_SHIFT} to {MOST_SHIFT}, one for each label"
        raise data.wrong("shift", shift, wanted)
    return ScoreSpec(
        temperature=data.number("temperature", 1e-3, 1e3),
        class_prior=tuple(float(share) for share in prior),
        prior_exponent=data.number("prior_exponent", 0, 1),
        thresholds={label: thresholds.number(label, 0, 1) for label in labels},
        shift=tuple(float(each) for each in shift),
    )


def _created(data: _Section) -> str:
    created = data.text("created")
    try:
        offset = datetime.fromisoformat(created).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise data.wrong("created", created, "a time in UTC such as 2026-01-31T12:00:00Z")
    return created


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max  # false for infinity and NaN, too


class _Section:
    """A JSON object whose values are looked up, and reported if wrong, by name."""

    def __init__(self, content: object, name: str) -> None:
        if not isinstance(content, Mapping):
            where = f"{name!r} in metadata.json" if name else "metadata.json"
            raise ModelError(f"{where} must be a JSON object, not {content!r:.60}")
        self.content: dict[str, Any] = dict(content)
        self._name = name

    def value(self, key: str) -> Any:  # noqa: ANN401 - JSON: its caller checks what it is
        if key not in self.content:
            raise ModelError(
                f"metadata.json has no {self._path(key)!r}: make the model file again with "
                "`python -m convert`"
            )
        return self.content[key]

    def section(self, key: str) -> _Section:
        return _Section(self.value(key), self._path(key))

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, value, "a text")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.value(key)
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def wrong(self, key: str, value: object, wanted: str) -> ModelError:
        return ModelError(
            f"metadata.json: {self._path(key)!r} is {value!r:.80}, and must be {wanted}"
        )

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key
