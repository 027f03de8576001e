"""Scores fitted anew to the int8 network of a finished file."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serenbox.classifier import EmotionClassifier
from serenbox.results import EMOTIONS
from tests.stripes import PERMUTED, convert, made_up_data, save_network

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

# numpy 2 warns about the way in which Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made_up_data(tmp_path_factory.mktemp("data")) as path:
        yield path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    record = {"class_prior": dict.fromkeys(EMOTIONS, 1 / 7), "settings": {"balance": 1.0}}
    (folder / "run.json").write_text(json.dumps(record))
    return save_network(folder)


@pytest.fixture(scope="module")
def finished(data: Path, model: Path) -> Path:
    out = model.parent / "finished.tflite"
    assert convert(model, out, "--data", data, "--calibration-images", 7) == 0
    return out


def test_the_network_stays_and_the_scores_are_new(
    tmp_path: Path, data: Path, model: Path, finished: Path
) -> None:
    out = tmp_path / "again.tflite"
    arguments = ("--data", data, "--ferplus", data.parent / "ferplus.csv", "--version", "2")
    assert convert(model, out, *arguments, "--prior-exponent", 0.5, "--network", finished) == 0

    old, new = EmotionClassifier(finished), EmotionClassifier(out)
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 48, 1), np.uint8)
    assert all((old.logits(one) == new.logits(one)).all() for one in noise)
    assert (old.metadata.scores.shift, old.metadata.scores.prior_exponent) == ((), 0.9)
    assert (len(new.metadata.scores.shift), new.metadata.scores.prior_exponent) == (7, 0.5)
    assert new.metadata.version == "2"
    made = new.metadata.training
    assert made["calibration"]["faces"] == 7
    assert made["fine_tuning"]["steps"] == 0
    assert made["scores_fitted"]["truth"] == "FER+ majority"


def test_it_may_replace_the_file_that_the_network_comes_from(
    tmp_path: Path, data: Path, model: Path, finished: Path
) -> None:
    out = tmp_path / "model.tflite"
    out.write_bytes(finished.read_bytes())
    assert convert(model, out, "--data", data, "--prior-exponent", 0.5, "--network", out) == 0
    assert EmotionClassifier(out).metadata.scores.prior_exponent == 0.5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--labels", ",".join(PERMUTED)), "was made with the labels angry,disgust"),
        (("--scale", "0..1"), "was made with the scale 0..255, and"),
        (("--fine-tune", "3"), "--fine-tune would train it: leave one out"),
    ],
)
def test_options_that_do_not_fit_the_network(
    tmp_path: Path,
    data: Path,
    model: Path,
    finished: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    out = tmp_path / "again.tflite"
    assert convert(model, out, "--data", data, "--network", finished, *arguments) == 2
    assert reason in capsys.readouterr().err
    assert not out.exists()


def test_what_is_no_finished_file(
    tmp_path: Path, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for network, reason in (
        (tmp_path / "none.tflite", "No such file or directory"),
        (model, "this is not a TensorFlow Lite model"),
    ):
        assert convert(model, tmp_path / "x.tflite", "--data", data, "--network", network) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("python -m convert: error: --network: ")
        assert reason in said


def test_the_network_of_another_model(
    tmp_path: Path, data: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.tflite"
    other = save_network(tmp_path, wrong=1)
    assert convert(other, out, "--data", data, "--network", finished) == 1
    said = capsys.readouterr().err
    assert "the same answer on only 85.7% of the faces, so it was made from another model" in said
    assert not out.exists()

    for channels, size, reason in ((3, 48, "colour grey"), (1, 96, "size 48")):
        other = save_network(tmp_path, channels=channels, size=size)
        assert convert(other, out, "--data", data, "--network", finished) == 2
        assert f"was made with the {reason}, and" in capsys.readouterr().err
