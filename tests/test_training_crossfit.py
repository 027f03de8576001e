"""Networks that each judge the training faces that they were trained without."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from serenbox.results import EMOTIONS
from tests import fer2013
from training.crossfit import in_part, unseen_answers
from training.data import Faces, load_faces, training_faces
from training.errors import RunError
from training.fit import FitSettings, Run
from training.network import build_network
from training.predict import keras_logits, model_inputs
from training.record import write_model
from training.statistics import estimate_statistics

if TYPE_CHECKING:
    from pathlib import Path

PRIOR = np.array([0.4, *[0.1] * 6])


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    folder = fer2013.write_files(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        return load_faces(folder / "fer2013.csv", folder / "ferplus.csv")


@pytest.fixture(scope="module")
def images(faces: Faces) -> np.ndarray:
    return training_faces(faces, "ferplus").images


@pytest.fixture(scope="module")
def teachers(
    faces: Faces, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Models as two runs leave them, each of which knows another half of the faces."""
    folder = tmp_path_factory.mktemp("runs")
    pixels = model_inputs(images, 32).astype(np.float32)
    for part in (1, 2):
        keras.utils.set_random_seed(part)
        network = build_network(32, alpha=0.1)
        estimate_statistics(network, [pixels])  # without, it answers the same to every face
        write_model(network, folder / str(part) / "model.keras")
        record = {
            "settings": {"label_set": "ferplus", "leave_out": f"{part}/2"},
            "class_prior": dict(zip(EMOTIONS, PRIOR, strict=True)),
            "data_sha256": faces.sha256,
            "training_faces": len(images[part % 2 :: 2]),
            "seconds": 60,
        }
        (folder / str(part) / "run.json").write_text(json.dumps(record))
    return [folder / str(part) / "model.keras" for part in (1, 2)]


def ask(teachers: list[Path], images: np.ndarray, faces: Faces) -> np.ndarray:
    paths = [str(path) for path in teachers]
    return unseen_answers(paths, images, label_set="ferplus", data_sha256=faces.sha256)


def test_parts_are_apart_and_the_whole_together() -> None:
    parts = np.stack([in_part(10, (index, 3)) for index in range(3)])

    assert (parts.sum(axis=0) == 1).all()
    assert sorted(parts.sum(axis=1)) == [3, 3, 4]


def test_each_network_judges_the_faces_that_were_kept_from_it(
    teachers: list[Path], images: np.ndarray, faces: Faces
) -> None:
    answers = ask(teachers[::-1], images, faces)  # in any order

    for path, mine in zip(teachers, (slice(0, None, 2), slice(1, None, 2)), strict=True):
        network = keras.saving.load_model(path)
        expected = np.zeros((len(images[mine]), 7))
        for view in (images[mine], images[mine][:, :, ::-1]):
            shares = PRIOR * np.exp(keras_logits(network, view, 32))
            expected += shares / shares.sum(axis=1, keepdims=True) / 2
        np.testing.assert_allclose(answers[mine], expected, atol=1e-4)
    assert np.abs(answers[::2].mean(axis=0) - answers[1::2].mean(axis=0)).max() > 1e-3


SMALL = FitSettings(
    weights="none", alpha=0.1, size=32, small_epochs=0, epochs=1, batch_size=10, cross_share=0.25
)


def test_their_answers_are_a_share_of_the_targets(
    teachers: list[Path],
    images: np.ndarray,
    faces: Faces,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = Mock(side_effect=InterruptedError)  # nothing needs to be learnt here
    monkeypatch.setattr("training.fit.TrainingBatches", batches)
    paths = tuple(str(path) for path in teachers)
    run = Run(faces, replace(SMALL, cross_teacher=paths), tmp_path)
    run.start()
    with pytest.raises(InterruptedError):
        run.train(lambda _: None)

    votes = training_faces(faces, "ferplus").targets("ferplus")
    expected = 0.75 * votes + 0.25 * ask(teachers, images, faces)
    np.testing.assert_allclose(batches.call_args.args[1], expected, atol=1e-5)


def test_a_part_is_kept_from_the_network(faces: Faces, images: np.ndarray, tmp_path: Path) -> None:
    run = Run(faces, replace(SMALL, leave_out="2/3"), tmp_path)

    assert run.training_faces == len(images) - len(images[1::3])


@pytest.mark.parametrize("part", ["0/2", "3/2", "1/1", "1", "half"])
def test_what_is_no_part_is_refused(part: str) -> None:
    with pytest.raises(RunError, match=f"--leave-out is {part}, and must be one of several parts"):
        replace(SMALL, leave_out=part)


def test_whoever_knows_the_part_cannot_teach_a_run_that_shall_not() -> None:
    with pytest.raises(RunError, match="--leave-out is 1/2, and must be left out with"):
        replace(SMALL, leave_out="1/2", cross_teacher=("1.keras", "2.keras"))


def test_networks_that_do_not_fit_are_refused(
    teachers: list[Path], images: np.ndarray, faces: Faces, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="needs one network for each part"):
        ask(teachers[:1], images, faces)
    with pytest.raises(RunError, match="needs one network for each part"):
        ask([teachers[0], teachers[0]], images, faces)
    other = tmp_path / "other" / "model.keras"
    shutil.copytree(teachers[1].parent, other.parent)
    record = json.loads(other.with_name("run.json").read_text())
    for changed, message in (
        ({"settings": {"label_set": "fer2013", "leave_out": "2/2"}}, "with other labels"),
        ({"settings": {"label_set": "ferplus"}}, "was trained with all faces"),
        ({"data_sha256": {"fer2013": "0"}}, "with other data"),
        ({"training_faces": 1}, "with other faces"),
    ):
        other.with_name("run.json").write_text(json.dumps({**record, **changed}))
        with pytest.raises(RunError, match=message):
            ask([teachers[0], other], images, faces)
