"""A run by itself, in this process: when it goes on, and when it refuses to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import training.fit
from tests import fer2013
from tests.fit_runs import SETTINGS, read_faces, untraced
from training.checkpoint import check_same_run, save_checkpoint
from training.errors import RunError
from training.files import CHECKPOINT
from training.fit import FitSettings, Run
from training.fit_settings import OLDER_RUNS
from training.network import build_network
from training.record import write_model, write_record
from training.sharpness import SharpnessAware

if TYPE_CHECKING:
    from training.data import Faces


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def faces(data: Path) -> Faces:
    return read_faces(data)


@pytest.fixture(scope="module")
def trained(faces: Faces, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one epoch in this process."""
    run = Run(faces, SETTINGS, tmp_path_factory.mktemp("runs"))
    run.start()
    with untraced():
        run.train(lambda _: None)
    return run


def test_training_goes_on_from_trained_weights_not_from_averaged_ones(trained: Run) -> None:
    last = [np.array(variable) for variable in trained.network.trainable_variables]
    trained.average()
    averaged = [np.array(variable) for variable in trained.network.trainable_variables]
    assert not any(np.array_equal(one, other) for one, other in zip(last, averaged, strict=True))


def test_all_is_built_before_the_first_step_is_traced(trained: Run, faces: Faces) -> None:
    """What is built during tracing makes TensorFlow trace the step again, which takes seconds."""
    network = Run(faces, trained.settings, trained.folder).network

    assert len(network.metrics_variables) == len(trained.network.metrics_variables)


def test_a_loss_that_is_no_number_ends_the_run(
    trained: Run, faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(faces, trained.settings, tmp_path)
    monkeypatch.setattr(run, "_epoch", lambda _: {"loss": float("nan")})
    with pytest.raises(RunError, match="the loss of epoch 1 is no longer a number: start again"):
        run.train(print)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_run_does_not_go_on_with_other_faces(trained: Run, faces: Faces) -> None:
    again = Run(faces, trained.settings, trained.folder)
    again.resume()
    assert again.history == trained.history

    other = Run(faces[np.arange(1, len(faces))], trained.settings, trained.folder)
    with pytest.raises(RunError, match=r"other settings: data was \w{64}, not \w{64};"):
        other.resume()


def test_a_checkpoint_of_another_version_is_told(
    trained: Run, faces: Faces, tmp_path: Path
) -> None:
    with np.load(trained.folder / CHECKPOINT) as archive:
        arrays = dict(archive)
    reshaped = {**arrays, "weight_0": arrays["weight_0"][..., :1]}
    del arrays["optimizer_3"]
    for other in (arrays, reshaped):
        np.savez(tmp_path / CHECKPOINT, **other)
        with pytest.raises(RunError, match="another version of Keras or of this code wrote it"):
            Run(faces, trained.settings, tmp_path).resume()


def test_a_run_does_not_go_on_with_another_start_or_teacher(
    trained: Run, faces: Faces, tmp_path: Path
) -> None:
    start = tmp_path / "start.keras"
    settings = replace(trained.settings, weights=str(start), teacher=(str(start),))

    def write_start() -> None:
        write_model(build_network(32, backbone="mobilenet_v1", alpha=0.1), start)

    def run() -> Run:
        return Run(faces, settings, tmp_path / "run")

    write_start()
    begun = run()
    sha256 = hashlib.sha256(start.read_bytes()).hexdigest()
    assert begun.origin == {"weights_sha256": sha256, "teacher_sha256": [sha256]}
    begun.start()
    begun.network.optimizer.build(begun.network.trainable_variables)
    save_checkpoint(begun.folder, begun.network, trained.history, begun._beginning)
    run().resume()
    kept = start.read_bytes()
    start.unlink()  # a missing file cannot be compared, and does not stop the run
    gone = run()
    gone.resume()
    assert gone.origin == begun.origin
    write_start()
    assert start.read_bytes() != kept
    with pytest.raises(RunError, match=r"weights_sha256 was \w+, not \w+; teacher_sha256 was"):
        run().resume()


def test_machines_compare_the_files_they_start_from(
    trained: Run, faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AgreedError(Exception):
        """Ends the run before it trains."""

    compared: list[dict[str, object]] = []

    def agree(_: object, facts: dict[str, object]) -> None:
        compared.append(facts)
        raise AgreedError

    monkeypatch.setattr(training.fit, "agree", agree)
    settings = replace(trained.settings, weights="start.keras", teacher=("start.keras",))
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
        monkeypatch.chdir(tmp_path / machine)
        write_model(build_network(32, backbone="mobilenet_v1", alpha=0.1), Path("start.keras"))
        run = Run(faces, settings, tmp_path / "run")
        run.start()
        with pytest.raises(AgreedError):
            run.train(print)

    one, two = compared
    assert [name for name in one if one[name] != two[name]] == [
        "the files of --weights and --teacher"
    ]


@pytest.mark.parametrize(("name", "value"), [("label_set", "fer2013"), ("balance", 0.5)])
def test_a_teacher_that_was_trained_otherwise_is_refused(
    trained: Run, faces: Faces, tmp_path: Path, name: str, value: object
) -> None:
    settings = replace(trained.settings, teacher=(str(tmp_path / "model.keras"),))
    Run(faces, settings, tmp_path)  # nothing is known of a network without a record
    record = {"settings": {"label_set": "ferplus", "balance": 1.0, name: value}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match=f"was trained with --(labels|balance) {value}, and this"):
        Run(faces, settings, tmp_path)
    # Nor is anything known of one beside the record of another.
    (tmp_path / "run.json").write_text(json.dumps({**record, "model_sha256": "0"}))
    Run(faces, settings, tmp_path)


def test_an_interruption_before_the_record_leaves_no_earlier_one(
    trained: Run, faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "folder", tmp_path)
    monkeypatch.setattr("training.plots.draw_curves", interrupt)
    (tmp_path / "run.json").write_text("{}")

    with pytest.raises(KeyboardInterrupt):
        write_record(trained, faces)

    assert (tmp_path / "model.keras").exists()
    assert not (tmp_path / "run.json").exists()


def test_a_run_looks_for_flat_ground_and_goes_on(
    trained: Run, faces: Faces, tmp_path: Path
) -> None:
    run = Run(faces, replace(trained.settings, sharpness=0.5), tmp_path)
    run.start()
    run.train(lambda _: None)
    again = Run(faces, run.settings, tmp_path)
    again.resume()

    assert isinstance(run.network, SharpnessAware)
    assert again.history == run.history
    assert run.finished_network().output_shape == (None, 7)


def test_a_run_begun_when_there_was_one_backbone_goes_on(tmp_path: Path) -> None:
    settings = asdict(FitSettings())
    older = {name: value for name, value in settings.items() if name not in OLDER_RUNS}
    np.savez(tmp_path / CHECKPOINT, settings=np.array(json.dumps(older)), history=np.array("[]"))

    check_same_run(tmp_path, settings)
    with pytest.raises(RunError, match="backbone was mobilenet_v2, not mobilenet_v1"):
        check_same_run(tmp_path, {**settings, "backbone": "mobilenet_v1"})
