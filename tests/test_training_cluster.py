"""Several machines that train together: real processes on this one, which talk over loopback."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import fer2013
from tests.ports import free_port
from training.augment import TrainingBatches
from training.cluster import ALONE, choose_engine, read_cluster
from training.errors import RunError
from training.fit_settings import Augmentation

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
"""Seconds within which something must happen; two processes compile on a busy machine."""
EPOCHS = 2


def tf_config(kind: str, index: int, **cluster: list[str]) -> dict[str, str]:
    """What a scheduler sets on one of the machines."""
    task = {"type": kind, "index": index, "cloud": "a1b2"}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task, "environment": "cloud"})}


def test_the_machines_are_those_of_tf_config() -> None:
    cluster = {"worker": ["two:2222", "three:2222"], "chief": ["one:2222"], "ps": []}

    machines = [read_cluster(tf_config("chief", 0, **cluster))]
    machines += [read_cluster(tf_config("worker", number, **cluster)) for number in (0, 1)]

    assert {one.addresses for one in machines} == {("one:2222", "two:2222", "three:2222")}
    assert [one.index for one in machines] == [0, 1, 2]
    assert [one.chief for one in machines] == [True, False, False]


def test_without_a_chief_the_first_worker_is_it() -> None:
    cluster = read_cluster(tf_config("worker", 0, worker=["one:1", "two:1"]))

    assert cluster.chief
    assert cluster.size == 2


def test_the_machines_are_those_of_cluster_spec() -> None:
    text = json.dumps(
        {
            "cluster": {"workerpool0": ["one:2222"], "workerpool1": ["two:2222"]},
            "task": {"type": "workerpool1", "index": 0, "trial": ""},
            "environment": "cloud",
        }
    )

    cluster = read_cluster({"CLUSTER_SPEC": text, "TF_CONFIG": ""})

    assert (cluster.addresses, cluster.index) == (("one:2222", "two:2222"), 1)


@pytest.mark.parametrize(
    "environment",
    [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, tf_config("chief", 0, chief=["a:1"])],
)
def test_one_machine_is_no_cluster(environment: dict[str, str]) -> None:
    assert read_cluster(environment) == ALONE


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG cannot be understood"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG cannot be understood"),
        ({"CLUSTER_SPEC": '{"cluster": 1}'}, "CLUSTER_SPEC cannot be understood"),
        (tf_config("worker", 1, chief=["a:1"], worker=["b:1"]), "calls this machine worker 1"),
        (tf_config("chief", 0, chief=["a:1"], ps=["b:1"]), "of the kind ps"),
        (tf_config("chief", 0, chief=["a"], worker=["b:1"]), "'a', which is not HOST:PORT"),
    ],
)
def test_what_is_no_cluster_is_told(environment: dict[str, str], message: str) -> None:
    with pytest.raises(RunError, match=message):
        read_cluster(environment)


def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")

    choose_engine(ALONE)
    with pytest.raises(RunError, match="KERAS_BACKEND is torch"):
        choose_engine(read_cluster(tf_config("chief", 0, chief=["a:1"], worker=["b:1"])))


def test_the_parts_of_a_batch_are_the_batch() -> None:
    rng = np.random.default_rng(1)
    images = np.stack([fer2013.pattern(i % 7, rng) for i in range(24)])
    targets = np.eye(7, dtype=np.float32)[np.arange(24) % 7]

    def batch(part: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        return TrainingBatches(
            images,
            targets,
            size=32,
            batch_size=12,
            augmentation=Augmentation(),
            seed=5,
            epoch=1,
            part=part,
        )[1]

    for whole, *parts in zip(batch((0, 1)), *(batch((i, 3)) for i in range(3)), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, and what the engine compiles, which all processes here share.

    TensorFlow is hidden from them: they do not need it, and loading it takes time.
    """
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "without").mkdir()
    (folder / "without" / "tensorflow.py").write_text("raise ImportError('it is not installed')\n")
    (folder / "fer2013.csv").write_text(fer2013.csv_text())
    return folder


def command(folder: Path, out: Path, *options: str) -> list[str]:
    # Adam's first steps follow the sign of the gradient, which is that of a rounding error if the
    # gradient is almost 0: a low rate keeps such steps from growing into another curve.
    small = "--backbone mobilenet_v1 --weights none --alpha 0.1 --batch-size 14 --size 32"
    small += " --small-size 32 --small-epochs 1 --learning-rate 0.00003 --resume=auto"
    files = ["--data", str(folder / "fer2013.csv"), "--out", str(out), "--epochs", str(EPOCHS)]
    return [sys.executable, "-m", "training", "fit", *files, *small.split(), *options]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": str(folder / "without"),
        # To save time: compile once, and do not optimize the result.
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }


class Machine:
    """One of the processes, with what it says."""

    def __init__(self, folder: Path, out: Path, variables: dict[str, str]) -> None:
        self._files = [folder / f"{id(self)}.{name}" for name in ("out", "err")]
        with contextlib.ExitStack() as stack:
            said, complained = (stack.enter_context(path.open("wb")) for path in self._files)
            self.process = subprocess.Popen(
                command(folder, out),
                cwd=ROOT,
                env=environment(folder) | variables,
                stdout=said,
                stderr=complained,
            )

    @property
    def said(self) -> str:
        return self._files[0].read_text()

    @property
    def complained(self) -> str:
        return self._files[1].read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert self.process.poll() is None, self.complained
            assert time.monotonic() < deadline, self.said + self.complained
            time.sleep(0.02)


@contextlib.contextmanager
def two_machines(folder: Path, out: Path) -> Iterator[dict[str, Machine]]:
    """Start a chief and a worker; none outlives the block."""
    cluster = {"chief": [f"127.0.0.1:{free_port()}"], "worker": ["127.0.0.1:1"]}
    machines = {kind: Machine(folder, out, tf_config(kind, 0, **cluster)) for kind in cluster}
    started = list(machines.values())
    try:
        yield machines
    finally:
        for machine in started:
            machine.process.kill()
            machine.process.wait()


def losses(out: Path) -> list[float]:
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch + 1) for epoch in range(EPOCHS)]
    return [float(row["loss"]) for row in rows]


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[float]:
    """The losses of the same run on one machine."""
    out = folder / "alone"
    done = subprocess.run(
        command(folder, out),
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "run.json").read_text())["versions"]["backend"].startswith("jax")
    return losses(out)


def test_two_machines_train_as_one_and_go_on_after_a_loss(folder: Path, alone: list[float]) -> None:
    out = folder / "two"
    with two_machines(folder, out) as machines:
        chief, worker = machines.values()
        chief.wait_for("epoch 1/")
        worker.process.send_signal(signal.SIGKILL)
        assert chief.process.wait(PATIENCE) == 1
        assert "another" in chief.complained
        assert "start all of them again, with --resume=auto" in chief.complained
        assert "Traceback" not in chief.complained
    assert [path.name for path in out.iterdir()] == ["checkpoint.npz"]

    with two_machines(folder, out) as machines:
        for machine in machines.values():
            assert machine.process.wait(PATIENCE) == 0, machine.complained
        assert "epoch" not in machines["worker"].said

    assert json.loads((out / "run.json").read_text())["machines"] == 2
    # One machine adds the same numbers in another order than two do, and Adam magnifies that.
    # The losses were measured to differ by up to 0.008 %; the tolerance is 25 times that.
    np.testing.assert_allclose(losses(out), alone, rtol=2e-3)
