"""What a finished run leaves behind: the model, its history, its curves and how it was made."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from serenbox.cli.common import printable
from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.data import hash_source
from training.errors import RunError
from training.files import MODEL, RECORD, write_atomically
from training.fit_settings import OLDER_RUNS
from training.origin import MODEL_SHA256, is_class_prior, is_record_of

if TYPE_CHECKING:
    from training.data import Faces
    from training.fit import History, Run


def write_record(run: Run, faces: Faces) -> None:
    """Write model.keras, history.csv, curves.png and run.json into the run's folder.

    On several machines, each must call this; only the chief writes.

    Raises:
        RunError: it cannot be written.

    """
    from training.plots import draw_curves

    network = run.finished_network()
    if not run.cluster.chief:
        return
    content = model_content(network)
    # An earlier record beside this model would make the run look finished before all is written.
    (run.folder / RECORD).unlink(missing_ok=True)
    write_atomically(run.folder / MODEL, content)
    write_atomically(run.folder / "history.csv", history_csv(run.history).encode())
    write_atomically(run.folder / "curves.png", draw_curves(run.history))
    record = {
        "settings": _settings(run),
        **run.origin,
        "labels": list(EMOTIONS),
        "class_prior": dict(zip(EMOTIONS, run.prior.tolist(), strict=True)),
        "training_faces": run.training_faces,
        "data_sha256": faces.sha256,
        MODEL_SHA256: hashlib.sha256(content).hexdigest(),
        "versions": versions(),
        "machines": run.cluster.size,
        "commit": run.commit,
        "seconds": round(sum(row["seconds"] for row in run.history)),
    }
    write_atomically(run.folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def check_same_data(run: Path, data: Path, ferplus: Path | None) -> None:
    """Make sure that a finished run was trained with these faces.

    Raises:
        RunError: It was trained with others, or its record is missing or incomplete.
        DataError: The files cannot be read.

    """
    sha256 = {"fer2013": hash_source(data)}
    if ferplus is not None:
        sha256["ferplus"] = hash_source(ferplus)
    if read_record(run)["data_sha256"] != sha256:
        msg = (
            f"{run} holds a finished run that was not trained on the data given with --data and "
            "--ferplus; give --out another folder"
        )
        raise RunError(msg)


def read_record(run: Path) -> dict[str, Any]:
    """Read the record of how a finished run was made.

    Raises:
        RunError: The record is missing, incomplete or that of another model.

    """
    try:
        record: dict[str, Any] = json.loads((run / RECORD).read_text())
        record["settings"] = {**OLDER_RUNS, **record["settings"]}
        if not _is_whole(record):
            raise ValueError(record)  # noqa: TRY301 - reported like its other defects
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = (
            f"{run} is not the folder of a finished run: {RECORD} is missing or damaged: restore "
            "it, or name another folder"
        )
        raise RunError(msg) from error
    model = run / MODEL
    if model.exists() and not is_record_of(model, record):
        msg = (
            f"{run / RECORD} is not the record of the {MODEL} beside it: put the two files of one "
            "run there"
        )
        raise RunError(msg)
    return record


def _is_whole(record: dict[str, Any]) -> bool:
    """Return whether a record has what other commands need of it, and of the right kind."""
    return (
        isinstance(record["settings"].get("augmentation", {}), dict)
        and isinstance(record["data_sha256"], dict)
        and isinstance(record["seconds"], float | int)
        and is_class_prior(record["class_prior"])
    )


def _settings(run: Run) -> dict[str, Any]:
    """Return the settings, with files by name only: their paths are private."""
    settings = asdict(run.settings)
    settings["weights"] = printable(Path(run.settings.weights).name)
    settings["teacher"] = [printable(Path(teacher).name) for teacher in run.settings.teacher]
    return settings


def write_model(network: keras.Model, path: Path) -> None:
    """Write a network to a .keras file atomically.

    Raises:
        RunError: it cannot be written.

    """
    write_atomically(path, model_content(network))


def model_content(network: keras.Model) -> bytes:
    """Return the content of a network's .keras file, another one each time: it holds the time.

    Raises:
        RunError: it cannot be put together.

    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / MODEL
            network.save(temporary)
            return temporary.read_bytes()
    except OSError as error:
        msg = (
            f"the model cannot be put together in {tempfile.gettempdir()} ({reason_of(error)}): "
            "make room there, or name another folder with TMPDIR, and run the same command again, "
            "`fit` with --resume"
        )
        raise RunError(msg) from error


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": f"{backend} {__import__(backend).__version__}",
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def history_csv(history: History) -> str:
    """Return the history as CSV text, one row per epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
