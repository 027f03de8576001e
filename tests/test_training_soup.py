"""One network made of several runs, and statistics of batch normalization that suit it."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from serenbox.results import EMOTIONS
from tests import fer2013
from training import soup
from training.augment import TrainingBatches
from training.cli import main
from training.commit import git_commit
from training.data import Faces, load_faces, training_faces
from training.errors import RunError
from training.files import write_atomically
from training.fit_settings import Augmentation
from training.network import build_network
from training.record import versions, write_model
from training.soup import average_runs
from training.statistics import estimate_statistics

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def faces(data: Path) -> Faces:
    return load_faces(data / "fer2013.csv", data / "ferplus.csv")


@pytest.fixture(scope="module")
def runs(faces: Faces, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of two short runs with different seeds; the first lacks later settings."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (3, 4):
        keras.utils.set_random_seed(seed)
        write_model(build_network(32, alpha=0.1), folder / str(seed) / "model.keras")
        record = {
            "settings": {
                "label_set": "ferplus",
                "size": 32,
                "alpha": 0.1,
                "batch_size": 10,
                "seed": seed,
                "augmentation": {"blur": 0.1, "noise": seed / 10},
                **({"backbone": "mobilenet_v2", "sharpness": 0.0} if seed == 4 else {}),
            },
            "class_prior": dict.fromkeys(EMOTIONS, 1 / 7),
            "training_faces": 70,
            "data_sha256": faces.sha256,
            "seconds": 60,
        }
        (folder / str(seed) / "run.json").write_text(json.dumps(record))
    return [folder / "3", folder / "4"]


def kernels(network: keras.Model) -> list[np.ndarray]:
    return [np.array(variable) for variable in network.trainable_variables]


def test_weights_are_the_mean_and_the_record_tells_of_whom(
    runs: list[Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = ["--data", str(data / "fer2013.csv"), "--ferplus", str(data / "ferplus.csv")]

    assert main(["average", *map(str, runs), *files, "--out", str(tmp_path / "mean")]) == 0

    one, other, mean = (
        kernels(keras.saving.load_model(folder / "model.keras", compile=False))
        for folder in (*runs, tmp_path / "mean")
    )
    for a, b, middle in zip(one, other, mean, strict=True):
        np.testing.assert_allclose(middle, (a + b) / 2, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(one, other, strict=True))
    record, last = (
        json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "mean", runs[1])
    )
    varied = {"blur": 0.1, "noise": [0.3, 0.4]}
    assert record["settings"] == {**last["settings"], "seed": [3, 4], "augmentation": varied}
    assert len(set(record["averaged"])) == 2
    assert record["class_prior"] == pytest.approx(last["class_prior"])
    assert record["seconds"] == 120
    assert record["commit"] == git_commit()
    assert record["versions"] == versions()
    content = (tmp_path / "mean" / "model.keras").read_bytes()
    assert record["model_sha256"] == hashlib.sha256(content).hexdigest()


def test_runs_with_a_few_faces_more_have_a_mean_and_a_mean_prior(
    runs: list[Path], faces: Faces, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    shutil.copytree(runs[1], more)
    record = json.loads((more / "run.json").read_text())
    fear = record["class_prior"]["fear"]
    record["class_prior"]["fear"] = 1.08 * fear
    few = record["training_faces"]
    record["training_faces"] = few + 5
    (more / "run.json").write_text(json.dumps(record))

    average_runs([runs[0], more], faces, tmp_path / "mean")

    mean = json.loads((tmp_path / "mean" / "run.json").read_text())
    assert mean["class_prior"] == pytest.approx({**record["class_prior"], "fear": 1.04 * fear})
    assert mean["training_faces"] == [few, few + 5]


def test_other_runs_are_refused(runs: list[Path], faces: Faces, tmp_path: Path) -> None:
    another = tmp_path / "another"
    shutil.copytree(runs[1], another)
    record = json.loads((another / "run.json").read_text())
    record["settings"]["size"] = 64
    (another / "run.json").write_text(json.dumps(record))

    with pytest.raises(RunError, match="differ in their size"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    record["settings"].update(size=32, backbone="mobilenet_v1")
    (another / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="differ in their backbone"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    for name, other in (("label_set", "fer2013"), ("alpha", 0.2)):
        changed = {**record["settings"], "backbone": "mobilenet_v2", name: other}
        (another / "run.json").write_text(json.dumps({**record, "settings": changed}))
        with pytest.raises(RunError, match=f"differ in their {name}"):
            average_runs([runs[0], another], faces, tmp_path / "mean")
    record["settings"].update(backbone="mobilenet_v2", balance=0.5)
    (another / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="differ in their balance"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    del record["settings"]["balance"]
    record["class_prior"]["fear"] *= 1.2
    (another / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="differ in their class prior"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    record["class_prior"]["fear"] /= 1.2
    (another / "run.json").write_text(json.dumps({**record, "data_sha256": {"fer2013": "0"}}))
    with pytest.raises(RunError, match="differ in their data"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    (another / "run.json").write_text(json.dumps({**record, "averaged": ["0"]}))
    with pytest.raises(RunError, match="another is itself a mean"):
        average_runs([runs[0], another], faces, tmp_path / "mean")
    with pytest.raises(RunError, match="is not the folder of a finished run"):
        average_runs([runs[0], tmp_path], faces, tmp_path / "mean")
    others = Faces(
        faces.images, faces.labels, faces.splits, faces.duplicate, faces.ballots, {"fer2013": "0"}
    )
    with pytest.raises(RunError, match="was not trained on the data"):
        average_runs(runs, others, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    (lonely / "model.keras").write_bytes(b"somebody's")
    with pytest.raises(RunError, match="already holds another model"):
        average_runs(runs, faces, lonely)
    assert (lonely / "model.keras").read_bytes() == b"somebody's"
    with pytest.raises(RunError, match="already holds another model"):
        average_runs(runs, faces, runs[0])


def test_a_mean_that_is_there_already_stays_unless_a_run_is_another_one_by_now(
    runs: list[Path], faces: Faces, tmp_path: Path
) -> None:
    copies = [shutil.copytree(run, tmp_path / run.name) for run in runs]
    mean = tmp_path / "mean"
    average_runs(copies, faces, mean)
    made = (mean / "model.keras").stat()

    average_runs(copies, faces, mean)
    now = (mean / "model.keras").stat()
    assert (now.st_ino, now.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    shutil.copy(copies[1] / "model.keras", copies[0] / "model.keras")
    with pytest.raises(RunError, match="already holds another model"):
        average_runs(copies, faces, mean)


def test_a_mean_is_not_put_into_the_folder_of_a_run(
    runs: list[Path], faces: Faces, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.npz").touch()
    with pytest.raises(RunError, match="holds a run of `fit`; give --out another folder"):
        average_runs(runs, faces, tmp_path)
    (tmp_path / "checkpoint.npz").rename(tmp_path / "run.json")
    with pytest.raises(RunError, match=r"already holds another model or its run\.json"):
        average_runs(runs, faces, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_mean_that_was_interrupted_is_made_again(
    runs: list[Path], faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_or_stop(path: Path, content: bytes) -> None:
        if list(tmp_path.iterdir()):
            raise KeyboardInterrupt
        write_atomically(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(soup, "write_atomically", write_or_stop)
        with pytest.raises(KeyboardInterrupt):
            average_runs(runs, faces, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1

    average_runs(runs, faces, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    content = (tmp_path / "model.keras").read_bytes()
    assert record["model_sha256"] == hashlib.sha256(content).hexdigest()


def test_a_run_with_the_record_of_another_has_no_mean(
    runs: list[Path], faces: Faces, tmp_path: Path
) -> None:
    other = shutil.copytree(runs[1], tmp_path / "other")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "model_sha256": "0" * 64}))

    with pytest.raises(RunError, match=r"is not the record of the model\.keras beside it"):
        average_runs([runs[0], other], faces, tmp_path / "mean")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("settings", ["size"]),
        ("seconds", "60"),
        ("data_sha256", None),
        ("class_prior", list(EMOTIONS)),
        ("class_prior", {**dict.fromkeys(EMOTIONS, 0.1), "sad": "much"}),
        ("augmentation", [0.1]),
        ("augmentation", {"blurr": 0.1}),
        ("batch_size", -1),
        ("batch_size", "10"),
    ],
)
def test_a_run_with_a_damaged_record_has_no_mean(
    runs: list[Path], faces: Faces, tmp_path: Path, key: str, value: object
) -> None:
    damaged = shutil.copytree(runs[1], tmp_path / "damaged")
    record = json.loads((damaged / "run.json").read_text())
    (record["settings"] if key in record["settings"] else record)[key] = value
    (damaged / "run.json").write_text(json.dumps(record))

    with pytest.raises(RunError, match=r"damaged.*run\.json .*: restore it"):
        average_runs([damaged], faces, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_statistics_are_estimated_on_all_faces_varied_as_in_the_last_run(
    runs: list[Path], faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(soup, "estimate_statistics", lambda _, batches: seen.extend(batches))

    average_runs(runs, faces, tmp_path / "mean")

    train = training_faces(faces, "ferplus")
    expected = TrainingBatches(
        train.images,
        train.targets("ferplus"),
        size=32,
        batch_size=10,
        augmentation=Augmentation(blur=0.1, noise=0.4),
        seed=0,
        epoch=0,
    )
    assert len(seen) == len(expected) > 1
    for index, pixels in enumerate(seen):
        np.testing.assert_array_equal(pixels, expected[index][0])


def test_statistics_are_those_of_the_batches() -> None:
    network = build_network(32, alpha=0.1)
    pixels = np.random.default_rng(0).uniform(0, 255, (40, 32, 32, 1)).astype(np.float32)

    estimate_statistics(network, [pixels[:20], pixels[20:]])

    seen = keras.Model(network.input, network.get_layer("Conv1").output)
    expected = np.asarray(seen(pixels)).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(network.get_layer("bn_Conv1").moving_mean, expected, atol=1e-3)
    assert network.get_layer("bn_Conv1").momentum == pytest.approx(0.999)
