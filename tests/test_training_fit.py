"""Training as a user starts it: what a run leaves, and how one that was ended goes on."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest

from tests import fer2013
from tests.fit_runs import (
    ROOT,
    SETTINGS,
    Refuse,
    command,
    environment,
    fit_here,
    read_faces,
    refuser,
    untraced,
)
from training.errors import RunError
from training.fit import Run
from training.fit_settings import Augmentation
from training.network import build_network
from training.predict import predict
from training.record import write_model
from training.results import tabulate

if TYPE_CHECKING:
    from pathlib import Path

    from training.data import Faces


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def faces(data: Path) -> Faces:
    return read_faces(data)


@pytest.fixture
def refuse(data: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Call `fit` and return its complaint."""
    return refuser(data, capsys)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "finished"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert fit_here(data, out, "--epochs", "3") == 0
    assert "PublicTest" in said.getvalue()
    return out


@dataclass(frozen=True)
class Ended:
    """A run that got SIGTERM in its second epoch."""

    killed: Path
    """A copy of its folder from just before: what a sudden death would have left."""
    folder: Path
    code: int
    complaint: str


@pytest.fixture(scope="module")
def ended(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folders = tmp_path_factory.mktemp("ended")
    folder, killed = folders / "model", folders / "killed"
    # As Vertex AI calls it: AIP_MODEL_DIR gives the folder.
    line = command(data, folder, "--epochs", "3", "--resume=auto")
    out = line.index("--out")
    process = subprocess.Popen(
        [*line[:out], *line[out + 2 :]],
        cwd=ROOT,
        env=environment(data, AIP_MODEL_DIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("epoch 1/"):
            break
    time.sleep(0.02)  # into the second epoch
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    shutil.copytree(folder, killed)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    _, complaint = process.communicate(timeout=60)
    return Ended(killed, folder, process.returncode, complaint)


def test_run_leaves_model_history_curves_and_record(finished: Path) -> None:
    model = keras.saving.load_model(finished / "model.keras")
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 7)
    assert not model.compiled
    logits = np.asarray(model(np.full((1, 32, 32, 1), 128.0, np.float32)))
    assert np.isfinite(logits).all()

    with (finished / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(rows[0])
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")

    record = json.loads((finished / "run.json").read_text())
    assert record["settings"]["epochs"] == 3
    assert record["settings"]["augmentation"] == {**asdict(Augmentation()), "noise": 0.1}
    assert sum(record["class_prior"].values()) == pytest.approx(1)
    assert set(record["data_sha256"]) == {"fer2013", "ferplus"}
    content = (finished / "model.keras").read_bytes()
    assert record["model_sha256"] == hashlib.sha256(content).hexdigest()


def test_finished_run_is_not_overwritten(finished: Path, refuse: Refuse) -> None:
    assert "already holds a finished model" in refuse(finished, "--epochs", "3")


def test_a_model_beside_the_record_of_another_is_not_measured(
    finished: Path, faces: Faces, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.copy(run / "model.keras", run / "renamed.keras")
    predict(run / "renamed.keras", faces.images[:1])
    write_model(build_network(32, alpha=0.1), run / "model.keras")

    with pytest.raises(RunError, match=r"is not the record of the model\.keras beside it"):
        tabulate(tmp_path / "results.csv", [run], faces)
    with pytest.raises(RunError, match=r"another model: keep model\.keras beside its own"):
        predict(run / "model.keras", faces.images[:1])


def test_a_finished_run_is_not_taken_for_one_with_other_faces(
    data: Path, finished: Path, tmp_path: Path, refuse: Refuse
) -> None:
    other = tmp_path / "other.csv"
    other.write_text((data / "fer2013.csv").read_text().rstrip("\n").rpartition("\n")[0] + "\n")
    options = ("--epochs", "3", "--resume=auto", "--data", str(other))

    assert "not trained on the data given with --data and --ferplus" in refuse(finished, *options)


def test_finished_runs_are_tabulated_once_each(
    finished: Path, faces: Faces, tmp_path: Path
) -> None:
    table = tmp_path / "results.csv"

    for _ in range(2):
        assert tabulate(table, [finished], faces) == ["finished"]
    (row,) = csv.DictReader(table.read_text().splitlines())
    model = (finished / "model.keras").read_bytes()
    assert (row["run"], row["epochs"], row["seed"]) == ("finished", "3", "0")
    assert row["sha256"] == hashlib.sha256(model).hexdigest()
    assert 0 <= float(row["ferplus_deduplicated"]) <= 1

    kept = table.read_bytes()
    others = replace(faces, sha256={**faces.sha256, "ferplus": "0"})
    with pytest.raises(RunError, match="finished was not trained on the data given with --data"):
        tabulate(table, [finished], others)
    without = shutil.copytree(finished, tmp_path / "without")
    record = json.loads((without / "run.json").read_text())
    del record["data_sha256"]["ferplus"]
    (without / "run.json").write_text(json.dumps(record))
    assert tabulate(tmp_path / "another.csv", [without], faces) == ["without"]
    with pytest.raises(RunError, match="is not the folder of a finished run"):
        tabulate(table, [tmp_path], faces)
    assert table.read_bytes() == kept
    table.write_bytes(kept.replace(row["sha256"].encode(), b"0"))
    with pytest.raises(RunError, match="another run named finished"):
        tabulate(table, [finished], faces)
    for wrong in (b"a,b\n1,2\n", kept.rstrip() + b",one more\n", kept.rpartition(b",")[0]):
        table.write_bytes(wrong)
        with pytest.raises(RunError, match="does not have the columns"):
            tabulate(table, [finished], faces)


def test_a_run_whose_name_is_not_utf_8_is_tabulated(
    finished: Path, faces: Faces, tmp_path: Path
) -> None:
    named = shutil.copytree(finished, tmp_path / os.fsdecode(b"a\xff"))

    for _ in range(2):
        assert tabulate(tmp_path / "results.csv", [named], faces) == ["a\\udcff"]
    (row,) = csv.DictReader((tmp_path / "results.csv").read_text().splitlines())
    assert row["run"] == "a\\udcff"


def test_killed_run_resumes_with_every_epoch_once(
    data: Path, finished: Path, ended: Ended, tmp_path: Path, refuse: Refuse
) -> None:
    out = shutil.copytree(ended.killed, tmp_path / "killed")
    assert not (out / "model.keras").exists()
    (out / "run.json").write_text("{}")  # left over from an earlier run, it finishes nothing
    (out / ".part-abcdefgh").mkdir()  # killed while it wrote
    (out / ".part-abcdefgh" / "checkpoint.npz").write_bytes(b"PK")

    assert "--resume" in refuse(out, "--epochs", "3")
    assert "epochs was 3, not 4" in refuse(out, "--epochs", "4", "--resume")

    assert fit_here(data, out, "--epochs", "3", "--resume=auto") == 0
    assert json.loads((out / "run.json").read_text())["settings"]["epochs"] == 3
    assert not list(out.glob(".part-*"))

    with (out / "history.csv").open() as file:
        killed = list(csv.DictReader(file))
    assert [row["epoch"] for row in killed] == ["1", "2", "3"]
    # The same schedule and the same faces: the curve is that of the run that was never killed,
    # up to the order of floating-point sums on several threads.
    with (finished / "history.csv").open() as file:
        whole = list(csv.DictReader(file))
    mine, its = ([float(row["loss"]) for row in rows] for rows in (killed, whole))
    np.testing.assert_allclose(mine, its, rtol=0.05)


def test_a_run_that_is_told_to_end_does_so_at_once(ended: Ended) -> None:
    assert ended.code == 143
    assert "told to stop; --resume goes on after the last whole epoch" in ended.complaint
    assert "Traceback" not in ended.complaint
    assert [path.name for path in ended.folder.iterdir()] == ["checkpoint.npz"]


def test_an_older_backbone_teaches_the_one_that_ships(
    faces: Faces, finished: Path, tmp_path: Path
) -> None:
    teacher = finished / "model.keras"
    ships = replace(
        SETTINGS,
        backbone="mobilenet_v2",
        alpha=0.35,
        batch_size=35,
        teacher=(str(teacher),),
    )

    run = Run(faces, ships, tmp_path)
    run.start()
    with untraced():
        run.train(lambda _: None)

    assert "conv_pw_13" in {layer.name for layer in keras.saving.load_model(teacher).layers}
    assert "block_16_project" in {layer.name for layer in run.finished_network().layers}
