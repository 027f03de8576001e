"""The whole of `python -m convert`, on tiny models and made-up faces."""

import csv
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convert.__main__ import main
from convert.errors import RefusedError
from convert.opcheck import MAX_VERSIONS
from serenbox.classifier import EmotionClassifier
from serenbox.crop import face_to_input
from serenbox.model_file import ModelMetadata, ScoreSpec
from serenbox.results import EMOTIONS
from training.labels import FER2013_CODES, FERPLUS_COLUMNS

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

# numpy 2 warns about the way in which Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PRIOR = [share / 28 for share in (1, 2, 3, 4, 5, 6, 7)]
PERMUTED = ("sad", "happy", "fear", "angry", "surprise", "neutral", "disgust")


def face(emotion: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A dark "face": its emotion is the height of a bright stripe, over random columns."""
    image = rng.integers(0, 6, (48, 48)) + 54 * np.repeat(rng.permutation([0, 1] * 6), 4)
    top = 6 * EMOTIONS.index(emotion)
    image[top : top + 6] += 150
    return np.asarray(image, np.uint8)


def write_data(
    folder: Path, leave_out: tuple[str, str] | None = None, more_neutral: int = 0
) -> Path:
    """Write a FER2013 of seven stripes, but not the split's class in `leave_out`, and its FER+."""
    rng = np.random.default_rng(0)
    rows, votes = [], []
    for split, each in (("Training", 6), ("PublicTest", 4), ("PrivateTest", 1)):
        for emotion in (*EMOTIONS * each, *("neutral",) * more_neutral):
            if (split, emotion) == leave_out:
                continue
            pixels = " ".join(map(str, face(emotion, rng).ravel()))
            rows.append([FER2013_CODES.index(emotion), pixels, split])
            ballot = [10 * (name == emotion) for name in FERPLUS_COLUMNS.values()]
            votes.append([split, "", *ballot])
    for name, header, lines in (
        ("fer2013.csv", ["emotion", "pixels", "Usage"], rows),
        ("ferplus.csv", ["Usage", "Image name", *FERPLUS_COLUMNS], votes),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *lines])
    return folder / "fer2013.csv"


def save_network(
    folder: Path,
    *,
    channels: int = 1,
    activation: str | None = None,
    divisor: float = 1.0,
    labels: tuple[str, ...] = EMOTIONS,
    wrong: int = 0,
) -> Path:
    """Save a network that knows the stripes; the kernel of its first `wrong` labels is negated."""
    import keras

    kernel = np.zeros((8 * channels, 7), np.float32)
    for row, emotion in enumerate(EMOTIONS):
        kernel[row * channels, labels.index(emotion)] = divisor / 25
    kernel[:, :wrong] *= -1
    inputs = keras.Input((48, 48, channels))
    pooled = keras.layers.AveragePooling2D((6, 48))(inputs)
    dense = keras.layers.Dense(7, activation=activation)
    model = keras.Model(inputs, dense(keras.layers.Flatten()(pooled)))
    dense.set_weights([kernel, np.zeros(7, np.float32)])
    path = folder / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The made-up FER2013; the user's cache is left alone."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield write_data(folder)


def convert(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


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


def test_a_drop_too_large_after_fine_tuning_says_what_else_to_try() -> None:
    from convert.verify import check_drop, compare

    right = np.eye(7, dtype=np.float32)
    spec = ScoreSpec(1.0, (1 / 7,) * 7, 0.0, dict.fromkeys(EMOTIONS, 0.0))
    comparison = compare(right, right[::-1], np.arange(7), spec, EMOTIONS)
    with pytest.raises(RefusedError, match="try more steps than --fine-tune 100, or none, another"):
        check_drop(comparison, 1.0, 100)


@pytest.mark.parametrize("existing", [None, b"....TFL3, the old model"])
def test_a_drop_too_large_is_refused_and_nothing_changes(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], existing: bytes | None
) -> None:
    model = save_network(tmp_path)
    out = tmp_path / "emotion.tflite"
    if existing is not None:
        out.write_bytes(existing)
    before = sorted(tmp_path.iterdir())
    assert convert(model, out, "--data", data, "--max-drop", -100) == 1
    assert "python -m convert: error: int8 costs 0.00 percentage points" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    if existing is not None:
        assert out.read_bytes() == existing


def test_a_real_drop_is_noticed(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from convert import pipeline, quantize
    from convert.source import FloatModel, load_float_model

    def converts_another_model(_: FloatModel, *arguments: Any) -> bytes:  # noqa: ANN401
        folder = tmp_path / "other"
        folder.mkdir()
        other = load_float_model(save_network(folder, wrong=2), "0..255", 7)
        return quantize.quantize(other, *arguments)

    monkeypatch.setattr(pipeline, "quantize", converts_another_model)
    assert convert(save_network(tmp_path), "--data", data) == 1
    said = capsys.readouterr().err
    assert "int8 costs 28.57 percentage points of accuracy (100.00% float, 71.43% int8)" in said
    assert "--fine-tune" not in said
    assert not (tmp_path / "model.tflite").exists()


def test_a_model_that_knows_nothing_is_doubted(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path)
    assert convert(model, "--data", data, "--labels", ",".join(PERMUTED)) == 0
    assert "are --scale and --labels those it was trained with?" in capsys.readouterr().err


def test_wrong_labels_are_doubted_although_a_shift_makes_the_most_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_data(tmp_path, more_neutral=30)
    files = ("--data", data, "--ferplus", tmp_path / "ferplus.csv")
    model = save_network(tmp_path)
    swapped = "angry,disgust,fear,happy,sad,neutral,surprise"

    assert convert(model, *files, "--labels", swapped) == 0

    printed = capsys.readouterr()
    assert "right on only 34.5% of the faces; are --scale and --labels" in printed.err
    assert float(printed.out.split("float  accuracy ")[1].split("%")[0]) > 40


def test_an_operation_too_new_is_refused(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MAX_VERSIONS, "FULLY_CONNECTED", 0)
    model = save_network(tmp_path)
    assert convert(model, "--data", data) == 1
    assert "FULLY_CONNECTED version" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


def test_a_file_that_answers_otherwise_when_read_back_is_refused(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from convert import pipeline

    monkeypatch.setattr(pipeline, "read_back", lambda *_: np.zeros((28, 7), np.float32))
    model = save_network(tmp_path)
    assert convert(model, "--data", data) == 1
    assert "does not answer as it did" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.parametrize("split", ["Training", "PublicTest"])
def test_data_without_a_class_are_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    split: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    incomplete = write_data(tmp_path, leave_out=(split, "fear"))
    model = save_network(tmp_path)
    assert convert(model, "--data", incomplete) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert split in said
    assert "fear" in said
    assert not (tmp_path / "model.tflite").exists()


def test_without_data_it_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.keras"
    model.write_bytes(b"")
    assert convert(model) == 2
    assert "python -m convert: error: without --data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "give a MODEL.keras"),
        (("missing.keras", "--data", "{data}"), "missing.keras does not exist"),
        (("{model}", "--data", "nowhere.csv"), "nowhere.csv does not exist"),
        ((300 * "x", "--data", "{data}"), "File name too long: check the paths"),
        (("{model}", "--data", "{data}", "--ferplus", "no.csv"), "no.csv does not exist"),
        (("{model}", "no/folder/m.tflite", "--data", "{data}"), "cannot be written"),
        (("{model}", "{model}", "--data", "{data}"), "is the model to convert"),
        (("{model}", "--data", "{data}"), "cannot be read as a Keras model"),
        (("{model}", "--data", "{data}", "--json"), "--json goes with --inspect"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    model = tmp_path / "model.keras"
    model.write_bytes(b"not a model")
    code = convert(*(part.format(model=model, data=data) for part in arguments))
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    last = said.err.splitlines()[-1]
    assert last.startswith("python -m convert: error: ")
    assert reason in last
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--labels", "angry,happy"), "must name each of"),
        (("--labels", "angry,angry,fear,happy,neutral,sad,surprise"), "must name each of"),
        (("--scale", "0..2"), "invalid choice"),
        (("--prior-exponent", "1.5"), "from 0 to 1"),
        (("--margin", "wide"), "from 0 to 1"),
        (("--lift", "1"), "from -0.5 to 0.5"),
        (("--max-drop", "nan"), "from -100 to 100"),
        (("--resolution", "4"), "from 8 to 1024"),
        (("--calibration-images", "0"), "from 1 to"),
        (("--name", " "), "empty"),
        (("--unknown",), "unrecognized arguments"),
    ],
)
def test_wrong_options_are_named(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        convert("model.keras", *arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "python -m convert: error: " in said
    assert reason in said
