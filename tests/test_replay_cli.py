from __future__ import annotations

import importlib.util
import json
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cli.assignments import parse_assignment
from serenbox.cli.common import UsageError
from serenbox.cli.replay import ReplayTool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clip(tmp_path: Path, portrait: npt.NDArray[np.uint8]) -> Path:
    """Two seconds of an empty room, four of a portrait, three of the room; 10 a second."""
    path = tmp_path / "clip.mkv"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (512, 480))
    empty = np.full((480, 512, 3), 90, np.uint8)
    for picture in [empty] * 20 + [portrait[:480]] * 40 + [empty] * 30:
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Cropped faces: to the small model, bright ones are happy and dark ones are sad."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for number in range(40):
        level = 255 if number < 20 else 0
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 48), level, np.uint8))
    return folder


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def replay(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = ReplayTool().main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_video_gives_its_moods(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = replay(capsys, clip, "--json")

    assert (status, err) == (0, "")
    result = json.loads(out)
    moods = [(span["mood"], span["start"], span["end"]) for span in result["moods"]]
    assert [mood for mood, _, _ in moods] == ["no_face", "happy", "no_face"]
    assert moods[0][1] == 0
    assert 2.0 <= moods[1][1] <= 3.0
    assert 7.5 <= moods[1][2] <= 8.5
    assert result["frames"] == 90
    assert result["seconds"] == 9.0
    assert result["changes"] == 2
    assert sum(result["totals"].values()) == pytest.approx(9.0)
    assert result["moods"][1]["confidence"] > 0.5


def test_a_film_that_was_cut_off_is_no_success(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    assert ReplayTool().main([str(clip), "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["frames"] > 10
    assert "of 9.0 s, so it was cut off" in told.err


def test_a_person_gets_a_table(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = replay(capsys, clip)

    lines = out.splitlines()
    assert status == 0
    assert lines[0] == f"{clip}: 90 frames, 9.0 s"
    assert [line.split()[2] for line in lines[3:6]] == ["no_face", "happy", "no_face"]
    assert lines[-1] == "2 changes of mood"


def test_settings_can_be_tried(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = replay(capsys, clip, "--json", "--set", "mood.no_face_after=60")

    assert [span["mood"] for span in json.loads(out)["moods"]] == ["no_face", "happy"]


def test_cropped_faces_of_a_folder(
    faces: Path, emotion_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--cropped", "--json", "--set", f"sensing.model={emotion_model}")

    status, out, err = replay(capsys, faces, *options, "--set", "camera.fps=5")

    assert (status, err) == (0, "")
    result = json.loads(out)
    assert [span["mood"] for span in result["moods"]] == ["happy", "sad"]
    assert 4.0 < result["moods"][1]["start"] < 6.0
    assert result["seconds"] == 8.0


def test_unreadable_pictures_are_named_and_passed_over(
    faces: Path, emotion_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (faces / "7.png").write_bytes(b"no picture")

    status, out, err = replay(
        capsys, faces, "--cropped", "--json", "--set", f"sensing.model={emotion_model}"
    )

    assert status == 1
    assert json.loads(out)["frames"] == 39
    assert err.count("serenbox replay: error:") == 1
    assert "7.png" in err


def test_photos_in_formats_that_are_not_read_are_named(
    faces: Path, emotion_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("IMG_1.HEIC", "IMG_2.avif", "IMG_3.DNG", ".hidden.heic", "notes.txt"):
        (faces / name).write_bytes(b"\0\0\0\x18ftypheic")

    status, out, err = replay(
        capsys, faces, "--cropped", "--json", "--set", f"sensing.model={emotion_model}"
    )

    assert status == 1
    assert json.loads(out)["frames"] == 40
    assert [line.split(": ")[2] for line in err.splitlines()] == [
        str(faces / name) for name in ("IMG_1.HEIC", "IMG_2.avif", "IMG_3.DNG")
    ]
    assert "IMG_1.HEIC: it is not played, as its name ends in .HEIC" in err


def test_the_plot_is_a_png(
    faces: Path, emotion_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib, which draws the plot, is not installed")
    faces = faces.rename(faces.with_name("$^$"))  # no formula, although it looks like one
    plot = tmp_path / "moods.png"
    options = ("--cropped", "--plot", plot, "--set", f"sensing.model={emotion_model}")

    status, _, err = replay(capsys, faces, *options)

    assert (status, err) == (0, "")
    image = cv2.imread(str(plot))
    assert image is not None
    # The band has the colours of happy and then of sad.
    happy, sad = (
        np.flatnonzero((image[-80:] == color).all(axis=2).any(axis=0))
        for color in ((66, 228, 240), (178, 114, 0))
    )
    assert happy.max() < sad.min()


def test_without_matplotlib_it_says_what_to_install(
    faces: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    status, _, err = replay(capsys, faces, "--plot", "moods.png")

    assert status == 2
    assert f"{sys.executable} -m pip install 'matplotlib>=3.9'" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.mp4"], "there is no such video or folder"),
        (["auto"], "there is no such video or folder"),
        (["{faces}", "--plot", "x.jpg"], "ends in .png"),
        (["{faces}", "--plot", "gone/x.png"], "there is no folder gone"),
        (["{faces}", "--set", "mood.smothing=1"], "did you mean smoothing?"),
        (["{faces}", "--set", "mood.smoothing"], "write it as TABLE.KEY=VALUE"),
        (["{faces}", "--set", "mood.smoothing=slow"], "mood.smoothing"),
        (["{empty}"], "there are no pictures in this folder"),
        (["{text}"], "OpenCV cannot read this as a video"),
        (["x" * 300], "check the"),
        (["{faces}", "--set", f"camera.width={'1' * 5000}"], "camera.width"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    arguments: list[str],
    words: str,
    faces: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"faces": faces, "empty": tmp_path / "empty", "text": tmp_path / "text.mp4"}
    places["empty"].mkdir()
    places["text"].write_text("not a video")

    status, out, err = replay(capsys, *(argument.format(**places) for argument in arguments))

    assert (status, out) == (2, "")
    assert err.startswith("serenbox replay: error: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mood.dwell=1.5", 1.5),
        ("mood.dwell = 2", 2),
        ("camera.loop=true", True),
        ("device.name=kitchen", "kitchen"),
        ('device.name="a=b"', "a=b"),
        ("device.name = 7", "7"),
        ("device.name='7'", "7"),
        ("camera.width=7", 7),
        ("nothing.like=7", 7),
        ("sensing.model=/a/b.tflite", "/a/b.tflite"),
    ],
)
def test_values_are_toml_or_plain_text(text: str, value: object) -> None:
    assert parse_assignment(text)[1] == value


def test_an_assignment_needs_a_sign() -> None:
    with pytest.raises(UsageError, match=r"write it as TABLE\.KEY=VALUE"):
        parse_assignment("mood.dwell")
