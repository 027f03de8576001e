"""A network of mean votes, shifted to what most annotators say."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from convert.provenance import describe_run, read_run
from serenbox.results import EMOTIONS
from tests import fer2013
from training.cli import main
from training.data import load_faces, training_faces
from training.network import build_network
from training.predict import predict
from training.record import write_model

if TYPE_CHECKING:
    from pathlib import Path

PRIOR = (0.1, 0.1, 0.1, 0.2, 0.3, 0.1, 0.1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def files(data: Path) -> list[str]:
    return ["--data", str(data / "fer2013.csv"), "--ferplus", str(data / "ferplus.csv")]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, whose network is a chance one."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    keras.utils.set_random_seed(5)
    write_model(build_network(32, alpha=0.1), folder / "model.keras")
    record = {
        "settings": {"label_set": "ferplus", "balance": 1.0, "augmentation": {}},
        "class_prior": dict(zip(EMOTIONS, PRIOR, strict=True)),
        "data_sha256": load_faces(data / "fer2013.csv", data / "ferplus.csv").sha256,
        "seconds": 60,
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_the_shift_brings_the_likelihood_back() -> None:
    from training.majority import fit_shift

    rng = np.random.default_rng(0)
    shift = np.array([0.5, -0.2, 0.0, 0.1, -0.4, 0.3, -0.3])
    logits = rng.normal(0, 2, (20_000, 7))
    # Whoever is drawn with these chances is right by them; that is: by 1.5 * (logits + shift).
    chances = np.exp(1.5 * (logits + shift))
    chances /= chances.sum(axis=1, keepdims=True)
    truth = (chances.cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)

    np.testing.assert_allclose(fit_shift(logits, truth), shift, atol=0.05)


def test_logits_are_shifted_and_nothing_else(
    run: Path, data: Path, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shifted"

    assert main(["majority", str(run), *files, "--out", str(out)]) == 0

    record = json.loads((out / "run.json").read_text())
    shift = np.array([record["majority_shift"][emotion] for emotion in EMOTIONS])
    assert np.abs(shift).max() > 0.1
    assert f"angry {shift[0]:+.2f}, " in capsys.readouterr().out
    before = json.loads((run / "run.json").read_text())
    assert {name: record[name] for name in before} == before
    assert describe_run(read_run(out / "model.keras")) == {
        "settings": before["settings"],
        "majority_shift": record["majority_shift"],
    }
    train = training_faces(load_faces(data / "fer2013.csv", data / "ferplus.csv"), "ferplus")
    plain, shifted = (predict(each / "model.keras", train.images) for each in (run, out))
    moved = shifted.logits - plain.logits
    np.testing.assert_allclose(moved, np.broadcast_to(shift, moved.shape), atol=1e-3)
    # The classes come out as often as in the truth, which the chance network knows nothing of.
    counts = np.bincount(train.truth("ferplus"), minlength=7) / len(train)
    assert np.abs(shifted.scores.mean(axis=0) - counts).max() < 0.1
    assert np.abs(plain.scores.mean(axis=0) - counts).max() > 0.1


def test_what_has_no_majority_is_refused(
    run: Path, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(folder: Path, out: Path, message: str) -> None:
        assert main(["majority", str(folder), *files, "--out", str(out)]) == 1
        assert message in capsys.readouterr().err

    def changed(name: str, **members: object) -> Path:
        folder = tmp_path / name
        shutil.copytree(run, folder)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**record, **members}))
        return folder

    out = tmp_path / "out"
    refused(tmp_path, out, "is not the folder of a finished run")
    refused(changed("one-label", settings={"label_set": "fer2013"}), out, "one label of each face")
    refused(changed("other-data", data_sha256={"fer2013": "0"}), out, "was trained with other data")
    shifted = changed("shifted", majority_shift=dict.fromkeys(EMOTIONS, 0.0))
    refused(shifted, out, "was shifted already")
    refused(run, shifted, "already holds a finished model")
    assert not out.exists()

    assert main(["average", str(shifted), *files, "--out", str(out)]) == 1
    assert "average the runs as they were trained" in capsys.readouterr().err
