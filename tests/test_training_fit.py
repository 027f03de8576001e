"""Training as a user starts it: real processes on a small data set."""

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
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import training.fit
from tests import fer2013
from training.checkpoint import check_same_run, save_checkpoint
from training.cli import main
from training.data import Faces, load_faces
from training.errors import RunError
from training.files import CHECKPOINT
from training.fit import FitSettings, Run
from training.fit_settings import OLDER_RUNS, Augmentation
from training.network import build_network
from training.predict import predict
from training.record import write_model, write_record
from training.results import tabulate
from training.sharpness import SharpnessAware

ROOT = Path(__file__).parent.parent
SMALL = [
    # Half the layers of the default: building them takes longer than training on so few faces.
    *("--backbone", "mobilenet_v1", "--weights", "none", "--alpha", "0.25", "--batch-size", "5"),
    *("--size", "32", "--small-size", "32", "--small-epochs", "1"),
    *("--learning-rate", "0.003", "--ema", "0.5", "--noise", "0.1"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fer2013.write_files(tmp_path_factory.mktemp("data"))


def command(data: Path, out: Path, *options: str) -> list[str]:
    files = ["--data", str(data / "fer2013.csv"), "--ferplus", str(data / "ferplus.csv")]
    return [sys.executable, "-m", "training", "fit", *files, "--out", str(out), *SMALL, *options]


def environment(data: Path, **changes: str) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(data / "cache"), **changes}


def fit(data: Path, out: Path, *options: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data, out, *options),
        cwd=ROOT,
        env=environment(data, **changes),
        capture_output=True,
        text=True,
        check=False,
    )


def fit_here(data: Path, out: Path, *options: str) -> int:
    """Call `fit` in this process, where TensorFlow is loaded already; return the exit code."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
            return main(command(data, out, *options)[3:])
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Compute every step at once: for a handful of them, TensorFlow's tracing takes longer."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not apply to tf.data functions")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


Refuse = Callable[..., str]


@pytest.fixture
def refuse(data: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Call `fit` and return its complaint."""

    def refused(out: Path, *options: str) -> str:
        assert fit_here(data, out, *options) == 1
        complaint = capsys.readouterr().err
        assert len(complaint.splitlines()) == 1
        return complaint

    return refused


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


def test_help_tells_the_default_of_every_setting() -> None:
    command = [sys.executable, "-m", "training", "fit", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    text = " ".join(said.split())

    for name, default in {**asdict(FitSettings()), **asdict(Augmentation())}.items():
        if isinstance(default, int | float):
            option = f"--{name.replace('_', '-')} {name.upper()} "
            told = text.partition(option)[2].partition("(default: ")[2].partition(")")[0]
            assert told == str(default), option


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


@pytest.fixture(scope="module")
def faces(data: Path) -> Faces:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
        return load_faces(data / "fer2013.csv", data / "ferplus.csv")


@pytest.fixture(scope="module")
def trained(faces: Faces, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of one epoch in this process."""
    settings = FitSettings(
        backbone="mobilenet_v1",
        weights="none",
        alpha=0.1,
        size=32,
        small_epochs=0,
        epochs=1,
        batch_size=10,
        ema=0.999,
    )
    run = Run(faces, settings, tmp_path_factory.mktemp("runs"))
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


def test_finished_run_is_not_overwritten(finished: Path, refuse: Refuse) -> None:
    assert "already holds a finished model" in refuse(finished, "--epochs", "3")


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


def test_killed_run_resumes_with_every_epoch_once(
    data: Path, finished: Path, ended: Ended, tmp_path: Path, refuse: Refuse
) -> None:
    out = shutil.copytree(ended.killed, tmp_path / "killed")
    assert not (out / "model.keras").exists()
    (out / "run.json").write_text("{}")  # left over from an earlier run, it finishes nothing

    assert "--resume" in refuse(out, "--epochs", "3")
    assert "epochs was 3, not 4" in refuse(out, "--epochs", "4", "--resume")

    assert fit_here(data, out, "--epochs", "3", "--resume=auto") == 0
    assert json.loads((out / "run.json").read_text())["settings"]["epochs"] == 3

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


def test_an_older_backbone_teaches_the_one_that_ships(
    trained: Run, faces: Faces, finished: Path, tmp_path: Path
) -> None:
    teacher = finished / "model.keras"
    ships = replace(
        trained.settings,
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
        (["--size", "50"], "--size is 50, and must be a multiple of 32"),
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
