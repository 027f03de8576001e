"""What serenbox-detect finds in pictures: real processes, real files."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.results import EMOTIONS, UNCERTAIN
from tests.detect_process import Run, lines, results, runner, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


def test_json_of_a_photograph(run: Run, portrait: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "portrait.png"), portrait)
    process = run("--json", "portrait.png")
    assert (process.returncode, process.stderr) == (0, b"")
    (result,) = results(process)
    assert list(result) == ["image", "width", "height", "faces"]
    assert (result["image"], result["width"], result["height"]) == ("portrait.png", 512, 512)
    (face,) = result["faces"]
    assert list(face) == ["box", "emotion", "confidence", "scores"]
    x, y, width, height = face["box"]
    assert x < 224 < x + width
    assert y < 125 < y + height
    assert list(face["scores"]) == list(EMOTIONS)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert face["confidence"] == max(face["scores"].values())


def test_every_face_of_a_group(run: Run, portrait: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """Eight heads in a picture 1800 pixels wide, each with a face about 70 pixels wide."""
    head = cv2.resize(portrait[20:260, 100:360], (180, 166), interpolation=cv2.INTER_AREA)
    group = np.full((1200, 1800, 3), 170, np.uint8)
    corners = [(x, y) for y in (200, 800) for x in (100, 600, 1100, 1550)]
    for x, y in corners:
        group[y : y + 166, x : x + 180] = head
    cv2.imwrite(str(tmp_path / "group.jpg"), group)
    (result,) = results(run("--json", "group.jpg"))
    found = {(face["box"][0] // 500, face["box"][1] // 600) for face in result["faces"]}
    assert len(result["faces"]) == len(found) == len(corners)


def test_no_face_is_an_answer(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "wall.png")
    process = run("--json", "wall.png")
    assert (process.returncode, process.stderr) == (0, b"")
    assert results(process) == [{"image": "wall.png", "width": 80, "height": 60, "faces": []}]
    assert lines(run("wall.png").stdout) == [
        "wall.png  80 \N{MULTIPLICATION SIGN} 60, no face found"
    ]


def test_cropped_takes_the_whole_picture_as_a_face(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "bright.png", 250, (48, 48))
    save(tmp_path / "dark.png", 5, (60, 80))
    cv2.imwrite(str(tmp_path / "tiny.png"), np.full((1, 1), 250, np.uint8))
    process = run("--json", "--cropped", "bright.png", "dark.png", "tiny.png")
    assert (process.returncode, process.stderr) == (0, b"")
    bright, dark, tiny = (result["faces"] for result in results(process))
    assert [(face["emotion"], face["box"]) for face in bright] == [("happy", [0, 0, 48, 48])]
    assert [(face["emotion"], face["box"]) for face in dark] == [("sad", [0, 0, 80, 60])]
    assert [(face["emotion"], face["box"]) for face in tiny] == [("happy", [0, 0, 1, 1])]


def test_upright_by_exif(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "plain.jpg").read_bytes()
    body = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    turned = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    (result,) = results(run("--json", "turned.jpg"))
    assert (result["width"], result["height"]) == (60, 80)


def test_min_confidence(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "grey.png", 150)

    def emotion(*arguments: str) -> str:
        (result,) = results(run("--json", "--cropped", "grey.png", *arguments))
        return str(result["faces"][0]["emotion"])

    assert emotion("--min-confidence", "0") == "happy"
    assert emotion("--min-confidence", "1") == UNCERTAIN
    assert emotion() == UNCERTAIN, "the model's own threshold is 0.4"


def test_prior_exponent(run: Run, tmp_path: Path, portrait: npt.NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), portrait)

    def disgust(*arguments: str) -> float:
        (result,) = results(run("--json", "--cropped", "face.png", *arguments, model=False))
        return float(result["faces"][0]["scores"]["disgust"])

    own = disgust()
    assert disgust("--prior-exponent", "1") < own < disgust("--prior-exponent", "0.3")


def test_min_face_score(run: Run, tmp_path: Path, portrait: npt.NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), portrait)

    def faces(*arguments: str) -> int:
        (result,) = results(run("--json", "face.png", *arguments))
        return len(result["faces"])

    assert faces() == faces("--min-face-score", "0.85") == 1
    assert faces("--min-face-score", "1") == 0


def test_runtime_and_threads(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    process = run("--json", "--cropped", "a.png", "--runtime", "auto", "--threads", "2")
    assert results(process)[0]["faces"][0]["emotion"] == "happy"
