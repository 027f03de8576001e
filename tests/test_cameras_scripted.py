"""The scripted camera: every fault that a real one can have."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from serenbox.cameras.scripted import ScriptedCamera, open_scripted
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.cameras.base import Frame

FAST = CameraSettings(real_time=False, width=64, height=48)


def script(folder: Path, *steps: dict[str, Any], **more: object) -> Path:
    for name, level in (("light.png", 200), ("dark.png", 50)):
        cv2.imwrite(str(folder / name), np.full((24, 32, 3), level, np.uint8))
    path = folder / "script.json"
    path.write_text(json.dumps({"steps": steps, **more}))
    return path


def level(frame: Frame | None) -> int:
    assert frame is not None
    return int(frame.image[0, 0, 0])


def opened(path: Path, settings: CameraSettings = FAST) -> ScriptedCamera:
    return open_scripted(path, settings)


def test_pictures_come_as_often_as_said(tmp_path: Path) -> None:
    path = script(
        tmp_path, {"frames": "light.png", "count": 2}, {"frames": "dark.png"}, {"black": 2}, fps=4
    )
    camera = opened(path)
    frames = [camera.read(1) for _ in range(5)]
    assert [level(frame) for frame in frames] == [200, 200, 50, 0, 0]
    assert [frame.time for frame in frames if frame] == [0, 0.25, 0.5, 0.75, 1.0]
    assert frames[3] is not None
    assert frames[3].image.shape == (48, 64, 3)
    assert camera.read(1) is None


def test_it_begins_again(tmp_path: Path) -> None:
    path = script(tmp_path, {"frames": "light.png"}, {"black": 1}, loop=True, fps=10)
    camera = opened(path)
    frames = [camera.read(1) for _ in range(4)]
    assert [level(frame) for frame in frames] == [200, 0, 200, 0]
    assert [frame.time for frame in frames if frame] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_end_ends_even_a_loop(tmp_path: Path) -> None:
    camera = opened(script(tmp_path, {"black": 1}, {"end": True}, loop=True))
    assert camera.read(1) is not None
    assert camera.read(1) is None
    assert camera.read(1) is None


def test_garbage_is_refused_read_by_read(tmp_path: Path) -> None:
    camera = opened(script(tmp_path, {"garbage": 5}, {"black": 1}))
    for _ in range(5):
        with pytest.raises(CameraError, match="instead of a colour picture"):
            camera.read(1)
    assert level(camera.read(1)) == 0


def test_a_stall_times_out_and_passes(tmp_path: Path) -> None:
    camera = opened(script(tmp_path, {"stall": 0.3}, {"black": 1}))
    begin = time.monotonic()
    with pytest.raises(CameraTimeoutError):
        camera.read(0.1)
    assert time.monotonic() - begin >= 0.1
    assert level(camera.read(30)) == 0
    assert 0.3 <= time.monotonic() - begin < 30


def test_a_stall_lasts_over_a_reopening(tmp_path: Path) -> None:
    path = script(tmp_path, {"stall": 3600}, {"black": 1})
    for _ in range(2):
        camera = opened(path)
        with pytest.raises(CameraTimeoutError):
            camera.read(0.01)
        camera.close()


def test_a_dead_camera_stays_dead_until_it_is_opened_again(tmp_path: Path) -> None:
    path = script(tmp_path, {"black": 1}, {"error": "gone"}, {"frames": "light.png"}, fps=10)
    camera = opened(path)
    camera.read(1)
    for _ in range(3):
        with pytest.raises(CameraError, match="gone"):
            camera.read(1)
    camera.close()
    frame = opened(path).read(1)
    assert level(frame) == 200
    assert frame is not None
    assert frame.time == pytest.approx(0.1)  # its time goes on too


def test_opening_fails_as_often_as_said(tmp_path: Path) -> None:
    path = script(
        tmp_path, {"black": 1}, {"open_error": "not there", "count": 2}, {"frames": "light.png"}
    )
    camera = opened(path)
    camera.read(1)
    for _ in range(2):
        with pytest.raises(CameraError, match="not there"):
            camera.read(1)
    for _ in range(2):
        with pytest.raises(CameraError, match="not there"):
            opened(path)
    assert level(opened(path).read(1)) == 200


def test_real_time_keeps_the_pace(tmp_path: Path) -> None:
    begin = time.monotonic()
    camera = opened(script(tmp_path, {"black": 6}, fps=50), CameraSettings())
    assert camera.live
    frames = [camera.read(5) for _ in range(6)]
    assert time.monotonic() - begin >= 5 / 50 - 1e-3
    times = [frame.time for frame in frames if frame]
    assert times == sorted(times)
    assert times[0] >= begin


@pytest.mark.parametrize(
    "step",
    [
        {"frame": "light.png"},
        {"black": 0},
        {"black": "3"},
        {"frames": "light.png", "count": -1},
        {"frames": "light.png", "black": 1},
        {"stall": "long"},
        "black",
        {},
    ],
)
def test_an_unknown_step_is_told(tmp_path: Path, step: dict[str, Any]) -> None:
    with pytest.raises(CameraError, match="step 2 is"):
        opened(script(tmp_path, {"black": 1}, step))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"steps": []}', '{"steps": [], "fps": "x"}'])
def test_a_broken_script_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(CameraError, match="script"):
        opened(path)


def test_a_missing_script_or_picture_is_told(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="cannot be read"):
        opened(tmp_path / "missing.json")
    with pytest.raises(CameraError, match=r"missing\.png"):
        opened(script(tmp_path, {"frames": "missing.png"})).read(1)
