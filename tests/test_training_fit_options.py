"""What `fit` is told: its options, its engines, and a folder that is not empty."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests import fer2013
from tests.fit_runs import ROOT, Refuse, command, fit, refuser
from training.cli import main
from training.files import CHECKPOINT
from training.fit import FitSettings
from training.fit_settings import Augmentation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


@pytest.fixture
def refuse(data: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Call `fit` and return its complaint."""
    return refuser(data, capsys)


def test_help_tells_the_default_of_every_setting() -> None:
    command = [sys.executable, "-m", "training", "fit", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    text = " ".join(said.split())

    for name, default in {**asdict(FitSettings()), **asdict(Augmentation())}.items():
        if isinstance(default, int | float):
            option = f"--{name.replace('_', '-')} {name.upper()} "
            told = text.partition(option)[2].partition("(default: ")[2].partition(")")[0]
            assert told == str(default), option


@pytest.mark.parametrize(
    ("options", "small_epochs"),
    [([], 8), (["--epochs", "5"], 5), (["--epochs", "5", "--small-epochs", "2"], 2)],
)
def test_no_more_small_epochs_than_epochs_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], small_epochs: int
) -> None:
    class SeenError(Exception):
        """The settings are known."""

    seen: list[FitSettings] = []

    def see(_: object, settings: FitSettings, *__: object) -> None:
        seen.append(settings)
        raise SeenError

    monkeypatch.setattr("training.fit_command.load_faces", lambda *_: None)
    monkeypatch.setattr("training.fit_command.describe", lambda _: [])
    monkeypatch.setattr("training.fit.Run", see)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SeenError):
        main(["fit", "--data", "x.csv", "--out", str(tmp_path / "run"), *options])

    assert [settings.small_epochs for settings in seen] == [small_epochs]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--epochs", "5", "--small-epochs", "8"], "--small-epochs is 8, and must be from 0 to"),
        (["--size", "50"], "--size is 50, and must be a multiple of 32 up to 1024"),
        (["--size", "3200000"], "--size is 3200000, and must be a multiple of 32 up to 1024"),
        (["--alpha", "inf"], "--alpha is inf, and must be above 0 and at most 4"),
        (
            ["--learning-rate", "inf"],
            "--learning-rate is inf, and must be above 0 and at most 1000",
        ),
        (["--seed", "4294967296"], "--seed is 4294967296, and must be from 0 to 4294967295"),
        (["--sharpness", "inf"], "--sharpness is inf, and must be from 0 to 1"),
        (["--noise", "2"], "--noise is 2, and must be from 0 to 1"),
        (["--weights", "nowhere.h5"], "nowhere.h5: no such file"),
        (["--backbone", "mobilenet_v2", "--weights", "faceres.json"], "FaceRes is a mobilenet_v1"),
        (["--teacher-share", "0.8"], "--teacher-share needs --teacher: give both"),
        (["--resume"], "no checkpoint"),
    ],
)
def test_wrong_settings_are_one_sentence(
    tmp_path: Path, refuse: Refuse, options: list[str], named: str
) -> None:
    assert named in refuse(tmp_path / "run", *options)


def test_a_file_in_a_bucket_is_wrong_usage(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(command(data, tmp_path, "--weights", "gs://a-bucket/model.keras")[3:])

    assert end.value.code == 2
    assert "Cloud Storage, which is mounted at /gcs on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "m.keras", "--data", "x.csv", "--out"),
        ("robustness", "m.keras", "--data", "x.csv", "--out"),
        ("average", "run", "--data", "x.csv", "--out"),
        ("tabulate", "run", "--data", "x.csv", "--table"),
        ("fit", "--data", "x.csv", "--out"),
        ("evaluate", "m.keras", "--data"),
    ],
)
def test_paths_that_would_mean_another_folder_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    for path, reason in (("", "the name is empty"), ("gs://a-bucket/x", "Cloud Storage, which is")):
        with pytest.raises(SystemExit) as end:
            main([*arguments, path])

        assert end.value.code == 2
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", ["evaluate", "robustness"])
def test_an_output_that_cannot_be_written_is_told_before_the_work(
    data: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    files = ["--data", str(data / "fer2013.csv"), "--out", "/proc/results"]
    assert main([name, "missing.tflite", *files]) == 1
    assert "/proc/results cannot be written: " in capsys.readouterr().err


def test_a_folder_that_nothing_can_be_written_into_is_told_before_training(refuse: Refuse) -> None:
    assert "/proc cannot be written: " in refuse(Path("/proc"), "--epochs", "1")


def test_a_run_that_ended_before_its_record_goes_on(tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / CHECKPOINT).touch()
    (tmp_path / "model.keras").touch()

    assert "holds an unfinished run; go on with --resume" in refuse(tmp_path)


def test_the_record_of_another_run_is_not_taken_for_a_finished_one(
    tmp_path: Path, refuse: Refuse
) -> None:
    (tmp_path / "run.json").write_text("{}")

    for options in ((), ("--resume=auto",)):
        assert "holds the run.json of another run, without its" in refuse(tmp_path, *options)
    assert (tmp_path / "run.json").read_text() == "{}"


# JAX trains in tests/test_training_cluster.py.
def test_torch_trains_too(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")

    done = fit(data, tmp_path / "run", "--epochs", "1", KERAS_BACKEND="torch")

    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["versions"]["backend"].startswith("torch")


def test_sharpness_is_refused_on_another_engine(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")

    done = fit(data, tmp_path / "run", "--sharpness", "0.1", KERAS_BACKEND="jax")

    assert done.returncode == 1
    assert "--sharpness needs TensorFlow: set KERAS_BACKEND=tensorflow" in done.stderr
    assert "Traceback" not in done.stderr
