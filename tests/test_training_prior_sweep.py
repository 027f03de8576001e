from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from serenbox.classifier import scores_from_logits
from serenbox.model_metadata import ScoreSpec
from serenbox.results import EMOTIONS
from tests.fer2013 import write_files
from training.cli import main
from training.data import load_faces
from training.errors import DataError, RunError
from training.options import EXPONENTS
from training.predict import Prediction, predict
from training.prior_sweep import sweep_prior

if TYPE_CHECKING:
    from training.data import Faces

ROOT = Path(__file__).parent.parent

SPEC = ScoreSpec(
    temperature=1.0,
    class_prior=(0.7, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05),
    prior_exponent=1.0,
    thresholds=dict.fromkeys(EMOTIONS, 0.5),
)


@pytest.fixture
def faces(tmp_path: Path) -> Faces:
    folder = write_files(tmp_path)
    return load_faces(folder / "fer2013.csv").select("PublicTest")


def prediction(faces: Faces, strength: float) -> Prediction:
    """Return the prediction of a model that is always right; `strength` is how sure it is."""
    logits = strength * np.eye(len(EMOTIONS), dtype=np.float32)[faces.labels]
    scores = scores_from_logits(logits, SPEC)
    return Prediction(logits=logits, scores=scores, spec=SPEC, model={})


def test_the_prior_takes_faces_from_rare_emotions(faces: Faces) -> None:
    lines = list(sweep_prior(faces, prediction(faces, 2.0), "fer2013", [0.0, 1.0]))

    assert lines[0].startswith("exponent 0.00: accuracy 100.00%, macro-recall 100.00%")
    assert lines[1].startswith("  named 100.0%, right of those 100.0%: angry 100% of 4, disgust")
    assert lines[2].startswith("exponent 1.00: accuracy 14.29%")
    assert "angry 100%, disgust 0%" in lines[2]
    assert lines[3] == "  named 100.0%, right of those 14.3%: angry 14% of 28"


def test_who_is_unsure_names_nobody(faces: Faces) -> None:
    *_, named = sweep_prior(faces, prediction(faces, 0.1), "fer2013", [0.0])

    assert named == "  no face is named"


def test_an_impossible_exponent(faces: Faces) -> None:
    with pytest.raises(RunError, match=r"--exponents has 2, and each must be from 0 to 1"):
        list(sweep_prior(faces, prediction(faces, 1.0), "fer2013", [0.5, 2.0]))


def test_a_full_disk_under_the_output_is_one_sentence(
    emotion_model: Path, faces: Faces, tmp_path: Path
) -> None:
    data = ("--data", str(tmp_path / "fer2013.csv"))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            (sys.executable, "-m", "training", "prior", str(emotion_model), *data),
            cwd=ROOT,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert len(faces)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("python -m training: error: No space left on device: check")
    assert "Traceback" not in done.stderr


def test_no_more_of_the_prior_is_tried_than_training_kept_out(faces: Faces) -> None:
    half = replace(prediction(faces, 2.0), kept_out=0.6)

    lines = list(sweep_prior(faces, half, "fer2013"))

    assert [line[9:13] for line in lines[::2]] == ["0.00", "0.25", "0.50", "0.60"]
    with pytest.raises(RunError, match=r"--exponents 0\.7 is more .*--balance 0\.6\): give 0\.6"):
        list(sweep_prior(faces, half, "fer2013", [0.5, 0.7]))
    whole = list(sweep_prior(faces, prediction(faces, 2.0), "fer2013"))
    tried = [float(line[9:13]) for line in whole[::2]]
    assert tried == list(EXPONENTS)


def test_faces_without_an_emotion_are_told(faces: Faces) -> None:
    nobody = replace(faces, ballots=np.full((len(faces), 10), [0] * 7 + [10, 0, 0]))

    with pytest.raises(DataError, match="saw none of the seven emotions in any face"):
        list(sweep_prior(nobody, prediction(faces, 2.0), "ferplus"))


def save_network(folder: Path, record: dict[str, object] | None = None) -> Path:
    """Save a network that `fit` might have made, perhaps with the record of its run."""
    layers = [keras.layers.Rescaling(1 / 32), keras.layers.Flatten(), keras.layers.Dense(7)]
    keras.Sequential([keras.Input((32, 32, 1)), *layers]).save(folder / "model.keras")
    if record is not None:
        (folder / "run.json").write_text(json.dumps(record))
    return folder / "model.keras"


def test_a_network_gets_back_at_most_what_its_training_kept_out(
    faces: Faces, tmp_path: Path
) -> None:
    prior = dict(zip(EMOTIONS, SPEC.class_prior, strict=True))
    model = save_network(tmp_path, {"class_prior": prior, "settings": {"balance": 0.5}})

    usual = predict(model, faces.images)

    assert (usual.spec.prior_exponent, usual.kept_out) == (0.5, 0.5)
    less = predict(model, faces.images, prior_exponent=0.25)
    assert less.spec == usual.spec._replace(prior_exponent=0.25)
    with pytest.raises(RunError, match=r"--prior-exponent 0\.6 is more .*: give 0\.5 or less"):
        predict(model, faces.images, prior_exponent=0.6)


@pytest.mark.parametrize(
    "changed",
    [
        {"settings": None},
        {"settings": {"balance": math.nan}},
        {"settings": {"balance": 5}},
        {"class_prior": {**dict.fromkeys(EMOTIONS, 0.1), "sad": 0}},
        {"class_prior": {**dict.fromkeys(EMOTIONS, 0.1), "sad": math.inf}},
    ],
)
def test_a_damaged_record_is_told(faces: Faces, tmp_path: Path, changed: dict[str, object]) -> None:
    prior = dict(zip(EMOTIONS, SPEC.class_prior, strict=True))
    model = save_network(tmp_path, {"class_prior": prior, "settings": {}, **changed})

    with pytest.raises(RunError, match=r"run\.json does not give the class prior: restore it"):
        predict(model, faces.images)


def test_a_network_with_a_weight_that_is_no_number_is_told(
    faces: Faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path)
    network = keras.saving.load_model(model)
    network.set_weights([part + np.nan for part in network.get_weights()])
    network.save(model)
    assert len(faces)
    options = ["--data", str(tmp_path / "fer2013.csv"), "--prior-exponent", "0"]

    assert main(["evaluate", str(model), *options]) == 1
    assert "error: the model's output is not finite" in capsys.readouterr().err


def test_a_record_is_needed_only_if_some_prior_is_put_back(faces: Faces, tmp_path: Path) -> None:
    model = save_network(tmp_path)

    bare = predict(model, faces.images, prior_exponent=0)

    logits = bare.logits.astype(np.float64)
    plain = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    np.testing.assert_allclose(bare.scores, plain, atol=1e-5)
    with pytest.raises(RunError, match=r"run\.json does not give the class prior") as refused:
        predict(model, faces.images)
    assert "--scores-as" not in str(refused.value)  # `prior` has no such option
