from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import serenbox
from serenbox.models import EMOTION_MODEL, FACE_MODEL
from tests.missing import missing

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
        _ = serenbox.EmotionGuesser  # type: ignore[attr-defined]


def test_every_public_name_is_listed_before_it_is_used() -> None:
    code = "import serenbox; print(*dir(serenbox))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    names = result.stdout.split()

    assert set(serenbox.__all__) <= set(names)
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", ["__init__", "detect", "classify", "classify_cropped"])
def test_annotations_can_be_read_at_run_time(name: str) -> None:
    method = getattr(serenbox.EmotionDetector, name)

    hints = typing.get_type_hints(method)
    signature = inspect.signature(method, eval_str=True)

    assert set(hints) == {*signature.parameters, "return"} - {"self"}
    assert signature.return_annotation == (None if name == "__init__" else hints["return"])


PROGRAM = """
import cv2
import numpy as np
import numpy.typing as npt
from pathlib import Path

import serenbox
from serenbox import Box, EmotionDetector, Face, FaceLocation, ImageError

detector = EmotionDetector("model.tflite", runtime="auto", threads=2, min_confidence=0.5)
camera = cv2.VideoCapture(0)
pixels: npt.NDArray[np.uint8] = np.zeros((9, 9, 3), np.uint8)
faces: list[Face] = detector.detect(cv2.imread("photo.jpg"))
faces += detector.detect(camera.read()[1])
faces += detector.detect(pixels) + detector.detect("photo.jpg") + detector.detect(Path("photo.jpg"))
faces += detector.detect(Path("photo.jpg").read_bytes())
location = FaceLocation(Box(0, 0, 9, 9), ((0.0, 0.0),) * 6, 1.0)
face: Face = detector.classify(camera.read()[1], location)
face = detector.classify_cropped(cv2.imread("face.jpg", cv2.IMREAD_GRAYSCALE))
try:
    print(faces[0].emotion, face.scores["happy"], serenbox.EMOTIONS)
except ImageError as error:
    print(error.problems)
"""

MISTAKES = """
import serenbox
from serenbox import EmotionDetector

serenbox.EmotionDetectr()  # attr-defined
EmotionDetector(threads="2")  # arg-type
EmotionDetector(runtime="torch")  # arg-type
EmotionDetector().detect(5)  # arg-type
"""


@pytest.mark.parametrize("program", [PROGRAM, MISTAKES], ids=["right", "wrong"])
def test_what_a_type_checker_says_of_a_program(
    program: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if importlib.util.find_spec("mypy") is None:
        missing("mypy, which checks the programs, is not installed")
    (tmp_path / "program.py").write_text(program, "utf-8")
    cache = pytestconfig.cache.mkdir("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    command += ["--no-color-output"]

    result = subprocess.run(
        [*command, f"--cache-dir={cache}", "--follow-imports=silent", "program.py"],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )

    lines = program.splitlines()
    wanted = [
        (number, text.partition("# ")[2]) for number, text in enumerate(lines, 1) if "# " in text
    ]
    said = [re.fullmatch(r"program\.py:(\d+): error: .* \[(.*)\]", line) for line in errors(result)]
    assert [(int(match[1]), match[2]) for match in said if match] == wanted, result.stdout
    assert all(said), result.stdout
    assert not result.stderr


def errors(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stdout.splitlines() if ": note: " not in line]


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
