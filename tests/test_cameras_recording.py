"""Videos and folders of pictures, on real files; FFV1 keeps every bit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cameras.films import natural_key
from serenbox.cameras.recording import Recording, open_recording
from serenbox.errors import CameraError, DamagedPictureError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from serenbox.cameras.base import Frame

FAST = CameraSettings(real_time=False, fps=10)


def pictures(count: int) -> list[npt.NDArray[np.uint8]]:
    """Pictures of noise; the first pixel of each is its number."""
    made = np.random.default_rng(1).integers(0, 256, (count, 48, 64, 3), np.uint8)
    made[:, 0, 0] = np.arange(count)[:, None]
    return list(made)


def write_video(path: Path, frames: list[npt.NDArray[np.uint8]], fps: float) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mkv", pictures(12), 25)


def number(frame: Frame | None) -> int:
    assert frame is not None
    return int(frame.image[0, 0, 0])


def test_as_fast_as_possible_gives_every_bit_of_every_frame(video: Path) -> None:
    camera = open_recording(video, FAST)
    assert not camera.live
    for position, expected in enumerate(pictures(12)):
        frame = camera.read(1)
        assert frame is not None
        assert np.array_equal(frame.image, expected)
        assert frame.time == pytest.approx(position / 25)
    assert camera.read(1) is None
    assert camera.read(1) is None
    camera.close()


def test_time_goes_on_when_a_video_begins_again(video: Path) -> None:
    camera = open_recording(video, replace(FAST, loop=True))
    frames = [camera.read(1) for _ in range(30)]
    assert [number(frame) for frame in frames] == [position % 12 for position in range(30)]
    assert [frame.time for frame in frames if frame] == pytest.approx(np.arange(30) / 25)
    camera.close()


def test_real_time_keeps_the_pace_of_the_file(video: Path) -> None:
    camera = open_recording(video, CameraSettings())
    assert camera.live
    begin = time.monotonic()
    frames = []
    while frame := camera.read(5):
        frames.append(frame)
    # Frame 11 is due after 11/25 s; how many before it are skipped depends on the machine.
    assert time.monotonic() - begin >= 11 / 25
    for frame in frames:
        assert frame.time - begin >= number(frame) / 25 - 1e-3
    camera.close()


def test_real_time_skips_what_is_late(video: Path) -> None:
    camera = open_recording(video, CameraSettings())
    assert number(camera.read(5)) == 0
    time.sleep(0.2)  # 5 frames
    assert number(camera.read(5)) >= 5
    camera.close()


def test_real_time_skips_over_the_end_of_a_loop(video: Path) -> None:
    camera = open_recording(video, CameraSettings(loop=True))
    camera.read(5)
    time.sleep(0.6)  # 15 frames of a film of 12
    assert camera.read(5) is not None
    assert camera._count > 12
    camera.close()


def test_a_folder_plays_in_natural_order(tmp_path: Path) -> None:
    for position, name in enumerate(["2.png", "10.PNG", "a1.png", "a12.png"]):
        cv2.imwrite(str(tmp_path / name), pictures(4)[position])
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    camera = open_recording(tmp_path, FAST)
    frames = [camera.read(1) for _ in range(4)]
    assert [number(frame) for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames if frame] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert camera.read(1) is None
    camera.close()


def test_pipes_and_folders_in_a_folder_are_left_out(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").mkdir()
    (tmp_path / "d.png").symlink_to("nothing")
    camera = open_recording(tmp_path, FAST)
    assert camera.read(1) is not None
    with pytest.raises(DamagedPictureError, match=r"d\.png"):
        camera.read(1)
    assert camera.read(1) is None
    camera.close()


def test_natural_order() -> None:
    names = ["img10", "Img2", "img1", "1", "b", "img2b"]
    assert sorted(names, key=natural_key) == ["1", "b", "img1", "Img2", "img2b", "img10"]


def test_a_damaged_picture_is_an_error_and_the_next_one_comes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), pictures(1)[0])
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "0.png").write_bytes(content[: len(content) // 2])
    camera = open_recording(tmp_path, FAST)
    with pytest.raises(CameraError, match=r"0\.png"):
        camera.read(1)
    assert number(camera.read(1)) == 0


def test_a_slow_slide_show_shows_its_picture_again(tmp_path: Path) -> None:
    for position in range(2):
        cv2.imwrite(str(tmp_path / f"{position}.png"), pictures(2)[position])
    camera = open_recording(tmp_path, CameraSettings(fps=0.1))
    begin = time.monotonic()
    frames = [camera.read(0.05) for _ in range(3)]
    assert [number(frame) for frame in frames] == [0, 0, 0]
    times = [frame.time for frame in frames if frame]
    assert begin <= times[0] < times[1] < times[2]
    camera.close()


def test_recordings_are_turned(video: Path) -> None:
    frame = open_recording(video, replace(FAST, rotate=90)).read(1)
    assert frame is not None
    assert np.array_equal(frame.image, np.rot90(pictures(1)[0], -1))


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(CameraError, match=r"text\.mp4: OpenCV cannot read this as a video"):
        open_recording(text, FAST)
    with pytest.raises(CameraError, match="there is no such video"):
        open_recording(tmp_path / "missing.mkv", FAST)
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(CameraError, match="no pictures in this folder"):
        open_recording(folder, FAST)


def test_a_film_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("root may read it whatever its permissions are")
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != str(film))
    with pytest.raises(CameraError, match=r"film\.mp4: it cannot be read \(Permission denied\)"):
        open_recording(film, FAST)


def test_a_film_that_goes_away_while_it_plays_is_called_missing(
    video: Path, tmp_path: Path
) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(video.read_bytes())
    camera = open_recording(film, replace(FAST, loop=True))
    for _ in range(12):
        assert camera.read(1)
    film.unlink()
    with pytest.raises(CameraError, match=r"film\.mkv: there is no such video"):
        camera.read(1)
    camera.close()


def test_a_folder_that_goes_away_is_not_taken_for_damaged_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for position, picture in enumerate(pictures(3)):
        cv2.imwrite(str(folder / f"{position}.png"), picture)
    camera = open_recording(folder, FAST)
    assert camera.read(1)
    shutil.rmtree(folder)
    with pytest.raises(CameraError, match="there is no such video, folder") as caught:
        camera.read(1)
    assert not isinstance(caught.value, DamagedPictureError)


def test_a_film_whose_name_is_not_utf8_is_refused(video: Path, tmp_path: Path) -> None:
    """In a process of its own: OpenCV crashes on such a name."""
    named = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mkv"))
    video.rename(named)
    tool = [sys.executable, "-m", "serenbox", "replay", str(named)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "caf\\udce9.mkv: there is something in this name that is not UTF-8" in done.stderr


def test_a_film_that_was_cut_off_says_so_once(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", pictures(60), 25).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    camera = open_recording(cut, FAST)
    frames: list[Frame | None] = []
    with pytest.raises(DamagedPictureError, match=r"it ends after [01]\.\d of 2\.4 s, so it was"):
        frames.extend(iter(lambda: camera.read(1), None))
    assert 10 < len(frames) < 40
    assert camera.read(1) is None
    camera.close()


def test_a_film_that_does_not_know_its_rate_is_not_said_to_be_cut_off(tmp_path: Path) -> None:
    camera = open_recording(write_video(tmp_path / "odd.mkv", pictures(60), 300), FAST)
    for _ in range(60):
        assert camera.read(1)
    assert camera.read(1) is None
    camera.close()


class Unending:
    """A film whose every step takes as long as three of its frames."""

    name, fps, pictures = "slow film", 100.0, 0.0

    def advance(self) -> bool:
        time.sleep(3 / self.fps)
        return True

    def image(self) -> object:
        return np.zeros((2, 2, 3), np.uint8)

    def position(self) -> float | None:
        return None

    def rewind(self) -> None:
        """It never ends."""

    def close(self) -> None:
        """Nothing is open."""


def test_a_machine_too_slow_for_a_film_still_plays_it() -> None:
    camera = Recording(Unending(), CameraSettings())
    frames = [camera.read(0.2) for _ in range(3)]
    assert all(frames)


class Uneven:
    """A film like a telephone's: many pictures a second in the light, few in the dark."""

    name = "uneven"
    fps = 30.0
    times: tuple[float, ...] = (0.0, 0.033, 0.067, 0.067, 0.3, 0.5)
    pictures = 16.0  # what Matroska reports: the duration times `fps`

    def __init__(self) -> None:
        self.at = -1

    def advance(self) -> bool:
        self.at += 1
        return self.at < len(self.times)

    def image(self) -> object:
        return np.zeros((2, 2, 3), np.uint8)

    def position(self) -> float | None:
        return self.times[self.at]

    def rewind(self) -> None:
        self.at = -1

    def close(self) -> None:
        """Nothing is open."""


def test_times_are_those_of_the_film_and_never_stand_still() -> None:
    camera = Recording(Uneven(), FAST)
    frames = list(iter(lambda: camera.read(1), None))
    times = [frame.time for frame in frames if frame is not None]
    assert times == pytest.approx([0.0, 0.033, 0.067, 0.1, 0.3, 0.5], abs=1e-3)


def test_times_go_on_when_the_film_begins_again() -> None:
    camera = Recording(Uneven(), replace(FAST, loop=True))
    frames = [camera.read(1) for _ in range(9)]
    times = [frame.time for frame in frames if frame is not None]
    assert times[5:] == pytest.approx([0.5, 0.533, 0.567, 0.6], abs=2e-3)


@pytest.mark.parametrize(("stated", "whole"), [(17.0, True), (21.0, False)])
def test_a_film_may_be_a_little_shorter_than_it_says(stated: float, whole: bool) -> None:
    film = Uneven()
    film.pictures = stated
    camera = Recording(film, FAST)
    for _ in film.times:
        assert camera.read(1)
    if not whole:
        with pytest.raises(DamagedPictureError, match="it was cut off"):
            camera.read(1)
    assert camera.read(1) is None


def test_a_film_whose_last_pictures_have_no_time_is_whole() -> None:
    """As in some MPEG programme streams: OpenCV gives 0 for them."""
    film = Uneven()
    film.times = (0.0, 0.033, 0.067, 0.1, 0.133, 0.0, 0.0)
    film.pictures = 7.0
    frames = list(iter(partial(Recording(film, FAST).read, 1), None))
    assert len(frames) == 7
