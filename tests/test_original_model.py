"""A model like the one that this project began with, converted and served."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.classifier import EmotionClassifier
from serenbox.results import EMOTIONS
from tests import fer2013
from tests.server_process import ROOT, form, serving

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

from convert.__main__ import main as convert

if TYPE_CHECKING:
    from pathlib import Path

# NumPy 2 warns about how Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LABELS = ("happy", "sad", "angry", "surprise", "neutral", "fear", "disgust")
"""In another order than SerenBox's, so the labels must travel with the model."""


def save_original(path: Path) -> None:
    """224x224 RGB in 0..1, MobileNetV2, Dense 128, Dense 64, softmax over seven emotions."""
    import keras

    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2(
        input_shape=(224, 224, 3), include_top=False, weights=None, pooling="avg"
    )
    # Statistics of real pixels, as training leaves them; without them, all features would be zero.
    pixels = np.stack([cv2.resize(image, (224, 224)) for _, image, _ in fer2013.faces()[:3]])
    normalizations = [one for one in backbone.layers if hasattr(one, "momentum")]
    for layer in normalizations:
        layer.momentum = 0.0
    backbone(np.repeat(pixels[..., np.newaxis] / np.float32(255), 3, axis=3), training=True)
    for layer in normalizations:
        layer.momentum = 0.999
    head = [keras.layers.Dense(units, activation="relu") for units in (128, 64)]
    keras.Sequential([backbone, *head, keras.layers.Dense(7, activation="softmax")]).save(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The converted model."""
    folder = tmp_path_factory.mktemp("original")
    model, data = folder / "original.keras", folder / "fer2013.csv"
    save_original(model)
    one_of_each = {(face[0], face[2]): fer2013.csv_row(*face) for face in fer2013.faces()}
    data.write_text("\n".join(["emotion,pixels,Usage", *one_of_each.values()]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        # It was never trained, so there is no accuracy to lose.
        options = f"--data {data} --scale 0..1 --calibration-images 7 --max-drop 100"
        code = convert([str(model), *options.split(), "--labels", ",".join(LABELS)])
    assert code == 0
    return folder / "original.tflite"


def test_it_is_converted_with_all_that_the_device_must_know(original: Path) -> None:
    classifier = EmotionClassifier(original)

    assert classifier.input_size == 224
    assert classifier.metadata.input.color == "rgb"
    assert classifier.metadata.labels == LABELS
    assert classifier.metadata.training["calibration"]["faces"] == 7


def test_it_is_served_like_any_other(original: Path, portrait_file: Path, tmp_path: Path) -> None:
    body, kind = form(portrait_file.read_bytes())
    with serving(tmp_path / "log", "--workers", "1", "--model", str(original)) as server:
        answer = server.ask("POST", "/predict", body, {"Content-Type": kind})
    command = [sys.executable, "-m", "serenbox.cli.detect", "--json", "--model", str(original)]
    command.append(str(portrait_file))
    said = subprocess.run(command, capture_output=True, check=True, cwd=ROOT)

    assert answer.status == 200
    assert set(answer.json) == set(EMOTIONS)
    assert sum(answer.json.values()) == pytest.approx(100, abs=0.1)
    scores = json.loads(said.stdout)["faces"][0]["scores"]
    assert answer.json == {label: round(100 * score, 4) for label, score in scores.items()}
    assert max(scores.values()) - min(scores.values()) > 0.005  # it looked at the face
