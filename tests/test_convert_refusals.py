"""What `python -m convert` doubts or refuses."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.errors import RefusedError
from convert.opcheck import MAX_VERSIONS
from serenbox.model_file import ScoreSpec
from serenbox.results import EMOTIONS
from tests.stripes import PERMUTED, convert, made_up_data, save_network, write_data

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

# numpy 2 warns about the way in which Keras 3.15 reads TensorFlow's variables.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made_up_data(tmp_path_factory.mktemp("data")) as path:
        yield path


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


def test_sigterm_leaves_no_half_made_file(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from convert import pipeline

    def unheeded(*_: object) -> None:
        pytest.fail("SIGTERM would have ended the process at once")

    monkeypatch.setattr(pipeline, "read_back", lambda *_: signal.raise_signal(signal.SIGTERM))
    model = save_network(tmp_path)
    before = signal.signal(signal.SIGTERM, unheeded)
    try:
        assert convert(model, "--data", data) == 143
        assert signal.getsignal(signal.SIGTERM) is unheeded
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "told to stop; nothing was written" in capsys.readouterr().err
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
        (("--version", os.fsdecode(b"1\xff")), "not UTF-8 text"),
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
