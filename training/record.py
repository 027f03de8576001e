"""What a finished run leaves behind: the model, its history, its curves and how it was made."""

from __future__ import annotations

import csv
import io
import json
import platform
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from training.checkpoint import write_atomically
from training.labels import LABELS

if TYPE_CHECKING:
    from training.data import Faces
    from training.fit import History, Run


def write_record(run: Run, faces: Faces) -> None:
    """Write model.keras, history.csv, curves.png and run.json into the run's folder."""
    _write_model(run.finished_network(), run.folder / "model.keras")
    write_atomically(run.folder / "history.csv", history_csv(run.history).encode())
    write_atomically(run.folder / "curves.png", draw_curves(run.history))
    record = {
        "settings": asdict(run.settings),
        "labels": list(LABELS),
        "class_prior": dict(zip(LABELS, run.prior.tolist(), strict=True)),
        "training_faces": run.training_faces,
        "data_sha256": faces.sha256,
        "versions": versions(),
        "commit": run.commit,
        "seconds": round(sum(row["seconds"] for row in run.history)),
    }
    write_atomically(run.folder / "run.json", (json.dumps(record, indent=2) + "\n").encode())


def _write_model(network: keras.Model, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        network.save(temporary)
        temporary.replace(path)


def versions() -> dict[str, str]:
    """Name the versions that a result depends on."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": f"{backend} {__import__(backend).__version__}",
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def git_commit() -> str | None:
    """Name the commit of the checkout, with `-dirty` where files differ; None outside git."""
    folder = Path(__file__).parent
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def history_csv(history: History) -> str:
    """Write the history as CSV text, one row per epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def draw_curves(history: History) -> bytes:
    """Draw loss and accuracy of training and PublicTest over the epochs; gives a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, title in ((quantity, "Training (augmented)"), (f"val_{quantity}", "PublicTest")):
            axes.plot(epochs, [row[name] for row in history], label=title)
        axes.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axes.grid(alpha=0.3)
        axes.legend()
    return figure_png(figure)


def figure_png(figure: Any) -> bytes:
    """Render a matplotlib figure as the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()
