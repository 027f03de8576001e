"""The whole of `python -m convert`, on tiny models and made-up faces."""

import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convert.opcheck import MAX_VERSIONS
from serenbox.classifier import EmotionClassifier
from serenbox.crop import face_to_input
from serenbox.model_file import ModelMetadata
from serenbox.results import EMOTIONS
from tests.stripes import PERMUTED, convert, face, made_up_data, save_network

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

# numpy 2 warns about the way in which Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PRIOR = [share / 28 for share in (1, 2, 3, 4, 5, 6, 7)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made_up_data(tmp_path_factory.mktemp("data")) as path:
        yield path


def answers(path: Path) -> list[str]:
    """Return the emotions that the device sees in a new face of each emotion."""
    classifier = EmotionClassifier(path)
    rng = np.random.default_rng(9)
    inputs = (
        face_to_input(face(name, rng), classifier.input_size, classifier.metadata.input.color)
        for name in EMOTIONS
    )
    return [EMOTIONS[int(classifier.classify(one).argmax())] for one in inputs]


def check_metadata(metadata: ModelMetadata) -> None:
    """Compare with what the conversion below was given and must have measured."""
    assert (metadata.name, metadata.version, metadata.license) == ("stripes", "9.1", "MIT")
    assert metadata.labels == EMOTIONS
    assert metadata.input.color == "grey"
    crop = metadata.crop
    assert (crop.margin, crop.level_eyes, crop.resolution, crop.lift) == (0.2, False, 64, -0.1)
    assert metadata.scores.prior_exponent == 0.5
    assert metadata.scores.class_prior == pytest.approx(PRIOR)
    assert set(metadata.scores.thresholds) == set(EMOTIONS)
    assert sum(metadata.scores.shift) == pytest.approx(0, abs=1e-3)
    assert len(metadata.scores.shift) == 7
    public = metadata.accuracy["PublicTest"]
    assert public["truth"] == "FER+ majority"
    for kind in ("float", "int8"):
        assert public["raw"][kind]["accuracy"] == 1
        assert public["without_duplicates"][kind]["recall"]["fear"] == 1
    assert public["raw"]["faces"] == 28
    assert public["raw"]["agreement"] == 1
    assert public["named"]["accuracy"] == 1
    assert metadata.training["calibration"]["faces"] == 42
    assert set(metadata.training["data_sha256"]) == {"fer2013", "ferplus"}
    assert metadata.training["run"]["settings"]["weights"] == "private.h5"
    assert metadata.tensorflow.startswith("2.")
    assert metadata.created.endswith("Z")


def test_no_more_of_the_prior_is_put_back_than_was_kept_out(
    tmp_path: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = {"class_prior": dict.fromkeys(EMOTIONS, 1 / 7), "settings": {"balance": 0.0}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    model = tmp_path / "model.keras"
    model.touch()

    assert convert(model, tmp_path / "x.tflite", "--data", data, "--prior-exponent", 0.5) == 2
    assert (
        "--prior-exponent 0.5 is more of the class prior than training kept"
        in capfd.readouterr().err
    )


def test_a_converted_model_answers_and_tells_all_about_itself(
    tmp_path: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path)
    prior = dict(zip(EMOTIONS, PRIOR, strict=True))
    settings = {"weights": "/somewhere/private.h5", "label_set": "ferplus"}
    (tmp_path / "run.json").write_text(json.dumps({"class_prior": prior, "settings": settings}))
    out = tmp_path / "emotion.tflite"
    capfd.readouterr()
    code = convert(
        *(model, out, "--data", data, "--ferplus", data.parent / "ferplus.csv"),
        *(
            "--prior-exponent",
            0.5,
            "--margin",
            0.2,
            "--lift",
            -0.1,
            "--no-level-eyes",
            "--resolution",
            64,
        ),
        *("--name", "stripes", "--version", "9.1", "--license", "MIT"),
    )
    said = capfd.readouterr()
    assert code == 0, said.err
    assert answers(out) == list(EMOTIONS)
    check_metadata(EmotionClassifier(out).metadata)
    with zipfile.ZipFile(io.BytesIO(out.read_bytes())) as archive:
        assert archive.read("labels.txt").decode().split() == list(EMOTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("emotion.tflite", "model.keras", "run.json")
    ]
    # stderr has the progress and stdout the result, and neither has anything of TensorFlow's.
    assert all(line.startswith("convert: ") for line in said.err.splitlines())
    assert said.out.startswith(f"{out}: ")
    assert "TensorSpec" not in said.out


@pytest.mark.parametrize(
    ("scale", "divisor", "channels", "activation"),
    [("0..1", 255, 3, "softmax"), ("-1..1", 127.5, 1, None), ("0..1", 255, 1, "softmax")],
)
def test_a_foreign_model_with_its_own_scale_labels_and_softmax(
    tmp_path: Path,
    data: Path,
    capfd: pytest.CaptureFixture[str],
    scale: str,
    divisor: float,
    channels: int,
    activation: str | None,
) -> None:
    model = save_network(
        tmp_path, channels=channels, activation=activation, divisor=divisor, labels=PERMUTED
    )
    code = convert(model, "--data", data, "--scale", scale, "--labels", ",".join(PERMUTED))
    assert code == 0
    assert "no class prior is put back" in capfd.readouterr().err
    out = tmp_path / "model.tflite"
    assert answers(out) == list(EMOTIONS)
    metadata = EmotionClassifier(out).metadata
    assert metadata.labels == PERMUTED
    assert metadata.scores.prior_exponent == 0
    assert metadata.input.color == {1: "grey", 3: "rgb"}[channels]
    assert metadata.training["run"] is None
    assert metadata.accuracy["PublicTest"]["truth"] == "FER2013 labels"
    # Logits, not probabilities, come out.
    classifier = EmotionClassifier(out)
    pixels = np.full((48, 48, channels), 200, np.uint8)
    assert classifier.logits(pixels).sum() > 2


def test_inspecting_what_was_converted(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path)
    assert convert(model, "--data", data) == 0
    out = tmp_path / "model.tflite"
    capsys.readouterr()
    assert convert("--inspect", out) == 0
    shown = capsys.readouterr().out
    assert "input: " in shown
    assert "uint8 1x48x48x1, scale 1, zero point 0" in shown
    assert "FULLY_CONNECTED version" in shown
    assert "labels: angry, disgust, fear, happy, neutral, sad, surprise" in shown
    assert convert("--inspect", out, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["metadata"]["labels"] == list(EMOTIONS)
    assert facts["metadata_error"] is None
    assert all(one["version"] <= MAX_VERSIONS[one["name"]] for one in facts["operators"])
