"""The table of experiments: one row per finished run, with its figures on PublicTest."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.cli.common import printable
from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.checkpoint import ORIGIN
from training.errors import RunError
from training.files import MODEL, check_writable, write_atomically
from training.metrics import measure
from training.predict import predict
from training.record import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from training.data import Faces

SETTINGS = (
    "label_set",
    "size",
    "backbone",
    "alpha",
    "weights",
    "teacher",
    "teacher_share",
    "cross_teacher",
    "cross_share",
    "leave_out",
    "epochs",
    "small_epochs",
    "small_size",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "ema",
    "sharpness",
    "dropout",
    "balance",
    "seed",
)
"""The settings of a run that the table shows; the augmentation is shown in one further column.
`cross_teacher`, `cross_share` and `leave_out` belong to runs made when `fit` had them."""

FIGURES = (
    "ferplus_accuracy",
    "ferplus_macro_recall",
    "ferplus_deduplicated",
    "fer2013_raw",
    "fer2013_deduplicated",
)
"""On PublicTest, with the class prior of the training faces put back."""

COLUMNS = ("run", *SETTINGS, "augmentation", *ORIGIN, "commit", "minutes", "sha256", *FIGURES)


def tabulate(table: Path, runs: list[Path], faces: Faces) -> list[str]:
    """Measure finished runs and put a row for each into the table, once.

    Args:
        table: A CSV file, created if missing.
        runs: Folders of runs, with model.keras and run.json.
        faces: All faces, with FER+ votes; PublicTest is selected from them.

    Returns:
        The names of the runs, which are those of their folders.

    Raises:
        RunError: A run is not finished or was trained on other data, another one has its name, or
            the table cannot be read or written or has other columns.
        DataError: There are no votes.

    """
    rows = {row["run"]: row for row in _read(table)}
    check_writable(table.parent)
    public = faces.select("PublicTest")
    names = [printable(run.resolve().name) for run in runs]
    for name, run in zip(names, runs, strict=True):
        row = {"run": name, **_row(run, public)}
        if name in rows and rows[name]["sha256"] != row["sha256"]:
            msg = f"{table} has another run named {name}; rename the folder {run}"
            raise RunError(msg)
        rows[name] = row
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_atomically(table, text.getvalue().encode())
    return names


def _read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            # A row with too many fields has the key None, and one with too few the value None.
            if tuple(reader.fieldnames or ()) == COLUMNS and not any(
                None in row or None in row.values() for row in rows
            ):
                return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{table} cannot be read ({reason_of(error)}); give --table another file"
        raise RunError(msg) from error
    msg = f"{table} does not have the columns that this program writes; give --table another file"
    raise RunError(msg)


def _row(run: Path, public: Faces) -> dict[str, str]:
    record = read_record(run)
    _check_data(run, record["data_sha256"], public.sha256)
    settings = record["settings"]
    prediction = predict(run / MODEL, public.images)
    shown = {name: _text(settings.get(name, "")) for name in SETTINGS}
    augmentation = settings.get("augmentation", {})
    return {
        **shown,
        "augmentation": " ".join(
            f"{name}={_text(value, 'g').replace(' ', '/')}" for name, value in augmentation.items()
        ),
        **{name: _text(record.get(name)) for name in ORIGIN},
        "commit": str(record.get("commit") or ""),
        "minutes": f"{record.get('seconds', 0) / 60:.0f}",
        "sha256": prediction.model["sha256"],
        **_figures(public, prediction.scores),
    }


def _check_data(run: Path, trained_on: dict[str, str], given: dict[str, str]) -> None:
    """Refuse to measure a run on other data; it may have been trained without FER+."""
    if any(given.get(role) != sha256 for role, sha256 in trained_on.items()):
        msg = (
            f"{run} was not trained on the data given with --data and --ferplus, so its figures "
            "could not be compared: give the same files"
        )
        raise RunError(msg)


def _text(value: object, form: str = "") -> str:
    """Format a setting; a mean of runs has a list of values where the runs differ."""
    if isinstance(value, list):
        return " ".join(_text(each, form) for each in value)
    return "" if value is None else format(value, form)


def _figures(public: Faces, scores: Any) -> dict[str, str]:
    unique = ~public.duplicate
    everything = np.ones(len(public), np.bool_)

    def against(label_set: Any, mask: Any) -> Any:
        return measure(scores[mask], public.truth(label_set)[mask], EMOTIONS)

    usable = against("ferplus", public.usable)
    values = (
        usable.accuracy,
        usable.macro_recall,
        against("ferplus", public.usable & unique).accuracy,
        against("fer2013", everything).accuracy,
        against("fer2013", unique).accuracy,
    )
    return {name: f"{value:.4f}" for name, value in zip(FIGURES, values, strict=True)}
