"""The shipped model, read by independent means and by both runtimes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from serenbox import EmotionDetector
from serenbox.models import EMOTION_MODEL
from tests import fer2013

ROOT = Path(__file__).parent.parent
LARGEST_FILE = 3_000_000


@pytest.fixture
def data(tmp_path: Path) -> tuple[list[str], list[str]]:
    """FER2013 if it is at hand, else a small stand-in: options, and PublicTest's pixels."""
    folder = Path(os.environ.get("SERENBOX_DATA", ROOT.parent / "shared" / "data"))
    path = folder / "fer2013.csv.xz"
    if path.is_file():
        from training.data import load_faces

        faces = load_faces(path).select("PublicTest")
        pixels = [" ".join(str(value) for value in image.ravel()) for image in faces.images]
        return ["--data", str(path)], pixels
    small = tmp_path / "fer2013.csv"
    small.write_text(fer2013.csv_text())
    rows = list(csv.reader(io.StringIO(small.read_text())))
    return ["--data", str(small)], [row[1] for row in rows if row[2] == "PublicTest"]


def raw_answers(pixels: list[str]) -> list[str]:
    """Answer with nothing but the runtime, OpenCV and what the file itself says."""
    content = EMOTION_MODEL.read_bytes()
    said = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("metadata.json"))
    model = Interpreter(model_content=content, num_threads=1)
    model.allocate_tensors()
    image, output = model.get_input_details()[0], model.get_output_details()[0]
    scale, zero = output["quantization"]
    prior = said["scores"]["prior_exponent"] * np.log(said["scores"]["class_prior"])
    prior += said["scores"].get("shift") or 0.0
    answers = []
    for text in pixels:
        face = np.array(text.split(), np.uint8).reshape(48, 48)
        side = int(image["shape"][1])
        enlarged = cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR_EXACT)
        model.set_tensor(image["index"], enlarged.reshape(image["shape"]))
        model.invoke()
        logits = (model.get_tensor(output["index"])[0].astype(np.float64) - zero) * scale
        answers.append(said["labels"][int(np.argmax(logits + prior))])
    return answers


def test_evaluation_agrees_with_a_raw_read_of_the_file(
    data: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    options, pixels = data
    command = [sys.executable, "-m", "training", "evaluate", str(EMOTION_MODEL), *options]
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, cwd=ROOT)

    with (tmp_path / "out" / "answers.csv").open() as file:
        answers = [row["answer"] for row in csv.DictReader(file)]
    assert answers == raw_answers(pixels)
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["model"]["sha256"] == hashlib.sha256(EMOTION_MODEL.read_bytes()).hexdigest()


def test_portrait_is_one_happy_face(portrait: np.ndarray) -> None:
    (face,) = EmotionDetector().detect(portrait)

    assert face.emotion == "happy"


def test_file_is_small_and_says_what_it_is() -> None:
    content = EMOTION_MODEL.read_bytes()

    assert len(content) <= LARGEST_FILE
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert {"labels.txt", "metadata.json"} <= set(names)


def test_documents_name_this_very_file() -> None:
    digest = hashlib.sha256(EMOTION_MODEL.read_bytes()).hexdigest()

    for document in ("README.md", "docs/model-card.md"):
        named = re.findall(r"\b[0-9a-f]{64}\b", (ROOT / document).read_text())
        assert digest in named, f"{document} speaks of another file"


TFLITE_RUNTIME = """
import json, sys
import cv2, numpy as np
from serenbox import EmotionDetector
detector = EmotionDetector(runtime="tflite-runtime")
assert detector.classifier.runtime == "tflite-runtime"
cropped = [detector.classify_cropped(face) for face in np.load(sys.argv[1])]
(face,) = detector.detect(cv2.imread(sys.argv[2]))
print(json.dumps([max(f.scores, key=f.scores.get) for f in cropped] + [face.as_dict()]))
"""


def _jittered(portrait: np.ndarray, count: int = 60) -> np.ndarray:
    """Cut the portrait's face out in many ways, covered and darkened: (count, 48, 48) grey."""
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    rng = np.random.default_rng(0)
    faces = []
    for _ in range(count):
        side, (left, top) = int(rng.integers(80, 130)), rng.integers((150, 50), (200, 100))
        face = cv2.resize(grey[top : top + side, left : left + side], (48, 48)) * rng.uniform(
            0.3, 1
        )
        row, column = rng.integers(0, 32, 2)
        face[row : row + 16, column : column + 16] = rng.uniform(0, 255)
        faces.append(face.astype(np.uint8))
    return np.stack(faces)


def test_both_runtimes_see_the_same(portrait: np.ndarray, tmp_path: Path) -> None:
    python = os.environ.get("SERENBOX_TFLITE_PYTHON")
    if not python:
        pytest.skip("no Python with tflite-runtime: SERENBOX_TFLITE_PYTHON names none")
    faces = _jittered(portrait)
    np.save(tmp_path / "faces.npy", faces)
    cv2.imwrite(str(tmp_path / "portrait.png"), portrait)

    arguments = [str(tmp_path / "faces.npy"), str(tmp_path / "portrait.png")]
    done = subprocess.run(
        [str(ROOT / python), "-c", TFLITE_RUNTIME, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    *answers, found = json.loads(done.stdout)
    detector = EmotionDetector(runtime="ai-edge-litert")
    own = [detector.classify_cropped(face) for face in faces]
    tops = [max(face.scores, key=lambda name: face.scores[name]) for face in own]
    same = np.mean([mine == its for mine, its in zip(tops, answers, strict=True)])
    assert same >= 0.95
    (expected,) = detector.detect(portrait)
    assert found["emotion"] == expected.emotion
    box = expected.box
    np.testing.assert_allclose(found["box"], [box.x, box.y, box.width, box.height], atol=1)
