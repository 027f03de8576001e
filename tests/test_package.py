from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import serenbox
from serenbox.models import EMOTION_MODEL, FACE_MODEL

ROOT = Path(__file__).parent.parent


def loaded_after(code: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize("name", serenbox.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(serenbox, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'EmotionGuesser'"):
        _ = serenbox.EmotionGuesser


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_after("import serenbox").isdisjoint({"numpy", "cv2", "ai_edge_litert"})


def test_importing_the_detector_imports_no_runtime_and_no_training_tools() -> None:
    loaded = loaded_after("from serenbox import EmotionDetector")

    heavy = {"ai_edge_litert", "tflite_runtime", "tensorflow", "keras", "PIL", "matplotlib"}
    assert loaded.isdisjoint(heavy)
    assert loaded.isdisjoint({"convert", "training"})


def test_shipped_models_are_in_the_package() -> None:
    folder = Path(serenbox.__file__).parent / "models"

    assert folder == EMOTION_MODEL.parent == FACE_MODEL.parent
    assert (folder / "NOTICE").exists()


def test_notice_names_the_face_model(face_model: Path) -> None:
    notice = (face_model.parent / "NOTICE").read_text("utf-8")

    assert face_model.name in notice
    assert "Apache License, Version 2.0" in notice
