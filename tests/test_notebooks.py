"""The notebooks as Jupyter runs them, on FER2013 if it is there, otherwise on a small stand-in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from serenbox.models import EMOTION_MODEL
from tests import fer2013

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "training").glob("*.ipynb"))
DATA = Path(os.environ.get("SERENBOX_DATA", ROOT.parent / "shared" / "data"))
PATIENCE = 300
"""Maximum seconds of a cell, with room for a busy machine."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables that say where the faces are, and that one in `EVERY` is taken."""
    if (DATA / "fer2013.csv.xz").is_file():
        files = {"FER2013": DATA / "fer2013.csv.xz", "FERPLUS": DATA / "ferplus.csv"}
        every = "60"
    else:
        folder = tmp_path_factory.mktemp("data")
        files = {"FER2013": folder / "fer2013.csv", "FERPLUS": folder / "ferplus.csv"}
        files["FER2013"].write_text(fer2013.csv_text(), "utf-8")
        files["FERPLUS"].write_text(fer2013.ferplus_text(), "utf-8")
        every = "1"
    return {name: str(path) for name, path in files.items()} | {"EVERY": every}


def ran(name: str, variables: dict[str, str]) -> NotebookNode:
    """Run a notebook in its own folder, as Jupyter does; an error in it is raised here."""
    notebook = nbformat.read(ROOT / "training" / f"{name}.ipynb", as_version=4)
    place = {"metadata": {"path": str(ROOT / "training")}}
    client = NotebookClient(notebook, timeout=PATIENCE, resources=place)
    client.execute(env=os.environ | variables)
    return notebook


def printed(notebook: NotebookNode) -> str:
    return "".join(one.get("text", "") for one in outputs(notebook))


def pictures(notebook: NotebookNode) -> int:
    return sum("image/png" in one.get("data", {}) for one in outputs(notebook))


def outputs(notebook: NotebookNode) -> list[Any]:
    return [one for cell in notebook.cells for one in cell.get("outputs", [])]


def test_evaluate(data: dict[str, str], portrait_file: Path) -> None:
    from training.data import load_faces
    from training.evaluate import evaluate, summary
    from training.predict import predict

    notebook = ran("evaluate", data | {"PHOTO": str(portrait_file)})

    everything = load_faces(data["FER2013"], data["FERPLUS"])
    faces, shown = everything.select("PublicTest"), everything.shown_in_training("PublicTest")
    figures = summary(evaluate(faces, predict(EMOTION_MODEL, faces.images), shown))
    assert figures in printed(notebook)
    assert "happy 100%" in printed(notebook)
    assert pictures(notebook) == 6  # faces, answers, confusion, calibration, mistakes, photo


def test_task(data: dict[str, str], tmp_path: Path) -> None:
    small = {"EPOCHS": "2", "ALPHA": "0.35", "WEIGHTS": "none"}
    notebook = ran("task", data | small | {"RUN": str(tmp_path / "run")})

    assert "epoch 2/2" in printed(notebook)
    assert "FER+ majority, raw" in printed(notebook)
    assert pictures(notebook) == 5  # faces, targets, variations, curves, confusion
    assert (tmp_path / "run" / "model.keras").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_holds_nothing_of_the_data(path: Path) -> None:
    """A picture that a notebook showed would be committed with it."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)

    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert not cell.get("attachments")


def test_both_are_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["evaluate", "task"]
