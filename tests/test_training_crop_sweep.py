"""Crop geometries as a user asks for them; the figures come from `training.metrics`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import cv2
import pytest

from serenbox.images import read_image
from serenbox.model_file import append_metadata
from training import crop_sweep
from training.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from serenbox.model_file import ModelMetadata


@pytest.mark.usefixtures("face_model")
def test_each_geometry_is_a_line(
    emotion_model: Path,
    portrait: npt.NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "one.png"), portrait)
    options = ["--photos", str(tmp_path), "--margins", "0", "0.1", "--lifts", "0.07"]

    assert main(["crop", str(emotion_model), *options]) == 0

    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "1 of 1 photos with a face"
    assert [line.partition(", resolution")[0] for line in lines] == [
        "margin 0.00, lift +0.07",
        "margin 0.10, lift +0.07",
    ]


@pytest.mark.usefixtures("face_model")
def test_folders_are_matched_without_case_and_others_are_named(
    emotion_model: Path,
    portrait: npt.NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder in ("Happy", "happy", "SAD", "happines"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "one.png"), portrait)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "one.txt").touch()

    assert main(["crop", str(emotion_model), "--photos", str(tmp_path), "--margins", "0"]) == 0

    ignored, count, line = capsys.readouterr().out.splitlines()
    assert ignored.startswith("ignored, as their names are not among angry, ")
    assert ignored.endswith(": happines")
    assert count == "3 of 3 photos with a face"
    assert " of 2, sad " in line


@pytest.mark.usefixtures("face_model")
def test_photographs_are_not_kept(
    emotion_model: Path,
    portrait: npt.NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "happy").mkdir()
    for name in ("1.png", "2.png", "3.png"):
        cv2.imwrite(str(tmp_path / "happy" / name), portrait)
    seen: list[weakref.ref[npt.NDArray[np.uint8]]] = []

    def read(path: Path) -> npt.NDArray[np.uint8]:
        assert all(earlier() is None for earlier in seen)
        image = read_image(path)
        seen.append(weakref.ref(image))
        return image

    monkeypatch.setattr(crop_sweep, "read_image", read)

    assert main(["crop", str(emotion_model), "--photos", str(tmp_path), "--margins", "0"]) == 0
    assert len(seen) == 3


@pytest.mark.usefixtures("face_model")
def test_no_more_of_the_prior_is_put_back_than_training_kept_out(
    small_tflite: bytes,
    metadata: ModelMetadata,
    portrait: npt.NDArray[np.uint8],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "one.png"), portrait)
    half = metadata._replace(training={"run": {"settings": {"balance": 0.5}}})
    model = tmp_path / "half.tflite"
    model.write_bytes(append_metadata(small_tflite, half))
    line = ["crop", str(model), "--photos", str(tmp_path), "--margins", "0", "--prior-exponent"]

    assert main([*line, "0.5"]) == 0
    assert main([*line, "0.6"]) == 1
    said = capsys.readouterr().err
    assert "--prior-exponent 0.6 is more of the class prior than training kept out" in said


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("--margins", "-3", "from 0 to 1"),
        ("--margins", "nan", "from 0 to 1"),
        ("--lifts", "7", "from -0.5 to 0.5"),
        ("--resolutions", "0", "from 8 to 1024"),
    ],
)
def test_impossible_geometries_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], option: str, value: str, wanted: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["crop", "model.tflite", "--photos", "photos", option, value])

    assert ended.value.code == 2
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "option", "default"),
    [
        ("crop", "margins", "0 0.05 0.1 0.15 0.2 0.25 0.3"),
        ("crop", "lifts", "0"),
        ("crop", "resolutions", "48"),
        ("crop", "eyes", "level"),
        ("prior", "exponents", "0 0.25 0.5 0.75 0.9 1"),
    ],
)
def test_help_tells_what_is_tried_by_itself(
    capsys: pytest.CaptureFixture[str], command: str, option: str, default: str
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    about = " ".join(capsys.readouterr().out.split()).rpartition(f"--{option} ")[2]
    assert about.partition("(default: ")[2].partition(")")[0] == default
