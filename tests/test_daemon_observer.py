from __future__ import annotations

import logging
import math
import shutil
import time
from datetime import datetime
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import pytest

from serenbox.cameras.base import Frame
from serenbox.daemon.announcer import Announcer
from serenbox.daemon.capture import Captured
from serenbox.daemon.observer import Observer
from serenbox.daemon.pipeline import Look, Pipeline
from serenbox.detector import EmotionDetector
from serenbox.errors import ModelError, ServiceError
from serenbox.models import EMOTION_MODEL
from serenbox.mood.types import Mood
from serenbox.results import EMOTIONS
from serenbox.settings.schema import MoodSettings, SensingSettings, Settings
from tests.test_daemon_announcer import Recorder

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


class Script:
    """A pipeline that fails as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.seconds = {"find": 0.001}
        self.forgot = 0

    def look(self, frame: Frame) -> Look:
        if self.error:
            raise self.error
        scores = dict.fromkeys(EMOTIONS, 0.0) | {"happy": 1.0}
        return Look(Mood("happy", 1.0, scores, frame.time - 3), (), self.seconds)

    def forget(self) -> None:
        self.forgot += 1


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def announcer() -> Announcer:
    return Announcer("box", [])


@pytest.fixture
def observer(script: Script, announcer: Announcer) -> Observer:
    return Observer(cast("Pipeline", script), announcer)


def captured(opening: int = 1) -> Captured:
    now = time.monotonic()
    return Captured(Frame(np.full((48, 64, 3), 90, np.uint8), now), now, opening)


def test_a_frame_is_announced_and_counted(observer: Observer, announcer: Announcer) -> None:
    assert observer.take(captured())
    assert announcer.label == "happy"
    assert observer.stats.frames == 1
    assert set(observer.stats.latency_ms()) == {"capture", "find", "total"}


def test_the_age_of_a_mood_is_counted_from_its_beginning(script: Script) -> None:
    recorder = Recorder()
    observer = Observer(cast("Pipeline", script), Announcer("box", [recorder]))
    observer.take(captured())
    (message,) = recorder.moods
    time, since = (datetime.fromisoformat(message[key]) for key in ("time", "since"))
    assert (time - since).total_seconds() == pytest.approx(3, abs=0.002)


def test_that_a_frame_came_is_known_though_the_models_fail(
    observer: Observer, script: Script
) -> None:
    script.error = RuntimeError("invoke failed")
    before = time.monotonic()
    observer.take(captured())
    assert before <= observer.last_frame <= time.monotonic()


def test_waiting_for_the_main_thread_counts_as_latency(observer: Observer) -> None:
    frame, arrived, opening = captured()
    observer.take(Captured(frame, arrived - 5, opening))
    latency = observer.stats.latency_ms()
    assert latency["capture"]["p50"] >= 5000
    assert latency["total"]["p50"] >= 5000


def test_frames_that_no_model_saw_do_not_count_as_quick(observer: Observer, script: Script) -> None:
    script.seconds = {}
    observer.take(captured())
    assert set(observer.stats.latency_ms()) == {"capture"}


def test_after_another_opening_everybody_is_forgotten(observer: Observer, script: Script) -> None:
    for opening in (1, 1, 1, 2, 2, 5):
        observer.take(captured(opening))
    assert script.forgot == 3


def test_bad_frames_are_left_out_and_told_once(
    observer: Observer, script: Script, announcer: Announcer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    script.error = RuntimeError("invoke failed")
    assert not any(observer.take(captured()) for _ in range(9))
    script.error = None
    assert announcer.label == "no_camera"
    assert observer.take(captured())
    assert announcer.label == "happy"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "left out" in caplog.text
    assert "RuntimeError: invoke failed" in caplog.text
    assert "after 9 bad frames" in caplog.text
    script.error = RuntimeError("invoke failed")
    assert not any(observer.take(captured()) for _ in range(9)), "counted anew"


def test_too_many_bad_frames_end_the_service(observer: Observer, script: Script) -> None:
    script.error = ModelError("it is damaged")
    for _ in range(9):
        assert not observer.take(captured())
    with pytest.raises(ServiceError, match=r"10 frames in a row \(ModelError: it is damaged\)"):
        observer.take(captured())


@pytest.mark.usefixtures("face_model")
def test_the_real_models(portrait: npt.NDArray[np.uint8], announcer: Announcer) -> None:
    pipeline = Pipeline(Settings())
    pipeline.rehearse()
    observer = Observer(pipeline, announcer)
    assert observer.take(Captured(Frame(portrait, 1.0), time.monotonic(), 1))
    assert announcer.label == "happy"
    assert set(observer.stats.latency_ms()) == {"capture", "find", "classify", "total"}


@pytest.mark.usefixtures("face_model")
def test_what_a_model_never_left_out_is_not_put_back(emotion_model: Path) -> None:
    pipeline = Pipeline(Settings(sensing=SensingSettings(model=str(emotion_model))))
    assert pipeline._detector.classifier.metadata.scores.prior_exponent == 0


@pytest.mark.usefixtures("face_model")
@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_faces_and_mood_count_on_common_emotions_alike(
    portrait: npt.NDArray[np.uint8], exponent: float
) -> None:
    """The first mood has the scores of the first reading, except below the floor."""
    (expected, *_) = EmotionDetector(prior_exponent=exponent, tiles=False).detect(portrait)
    pipeline = Pipeline(Settings(mood=MoodSettings(prior_exponent=exponent, floor=1e-6)))
    look = pipeline.look(Frame(portrait, 1.0))
    assert look.faces[0].face.scores == pytest.approx(expected.scores, rel=0.01)
    assert look.mood.scores == pytest.approx(expected.scores, rel=0.01, abs=1e-5)


@pytest.mark.usefixtures("face_model")
def test_while_nothing_moves_and_nobody_is_there_no_model_runs() -> None:
    pipeline = Pipeline(Settings(sensing=SensingSettings(heartbeat=100)))
    empty = np.full((48, 64, 3), 90, np.uint8)
    looks = [pipeline.look(Frame(empty, number / 10)) for number in range(10)]
    assert looks[0].seconds
    assert not any(look.seconds for look in looks[1:])
    assert {look.mood.label for look in looks} == {"no_face"}


@pytest.mark.usefixtures("face_model")
def test_who_is_missed_in_a_few_frames_is_not_gone(portrait: npt.NDArray[np.uint8]) -> None:
    pipeline = Pipeline(Settings())
    room = np.full((480, 640, 3), 90, np.uint8)
    room[140:, 150:490] = cv2.resize(portrait, (340, 340))
    hidden = room.copy()  # too small a change to count as motion
    hidden[170:280, 240:350] = room[170:280, 240:350].mean(axis=(0, 1))
    looks = [
        pipeline.look(Frame(hidden if 30 <= number < 34 else room, number / 10))
        for number in range(60)
    ]
    assert not any(look.faces for look in looks[30:34])
    assert {look.mood.label for look in looks[20:]} == {"happy"}


@pytest.mark.usefixtures("face_model")
def test_who_has_just_come_and_sits_still_is_not_gone(portrait: npt.NDArray[np.uint8]) -> None:
    pipeline = Pipeline(Settings())
    empty = np.full((480, 640, 3), 90, np.uint8)
    room = empty.copy()
    room[140:, 150:490] = cv2.resize(portrait, (340, 340))
    hidden = room.copy()
    hidden[170:280, 240:350] = room[170:280, 240:350].mean(axis=(0, 1))
    pipeline.look(Frame(empty, 0.0))
    looks = [
        pipeline.look(Frame(room if number % 4 == 1 else hidden, number / 10))
        for number in range(1, 40)
    ]
    assert [number % 4 == 0 for number in range(39)] == [bool(look.faces) for look in looks]
    assert looks[-1].mood.label == "happy"


@pytest.mark.usefixtures("face_model")
def test_a_pipeline_that_replaces_another_goes_on_with_who_is_there(
    portrait: npt.NDArray[np.uint8],
) -> None:
    nobody = np.full_like(portrait, 90)
    first = Pipeline(Settings())
    for number in range(8):
        seen = first.look(Frame(portrait, number / 10))

    second = Pipeline(Settings())
    second.go_on(first)
    assert second.look(Frame(nobody, 0.8)).mood.label == seen.mood.label
    again = second.look(Frame(portrait, 0.9))
    assert [face.id for face in again.faces] == [face.id for face in seen.faces]

    for settings in (
        Settings(mood=MoodSettings(smoothing=2.0)),
        Settings(sensing=SensingSettings(max_faces=1)),
    ):
        other = Pipeline(settings)
        other.go_on(second)
        assert other.look(Frame(nobody, 1.0)).mood.label == "no_face"


@pytest.mark.usefixtures("face_model")
def test_a_model_that_replaces_another_in_its_file_is_used_and_its_scores_begin_anew(
    portrait: npt.NDArray[np.uint8], emotion_model: Path, tmp_path: Path
) -> None:
    nobody = np.full_like(portrait, 90)
    path = tmp_path / "model.tflite"
    settings = Settings(sensing=SensingSettings(model=str(path)))
    shutil.copy(EMOTION_MODEL, path)
    first = Pipeline(settings)
    first.look(Frame(portrait, 0.0))

    shutil.copy(emotion_model, path)
    second = Pipeline(settings)
    second.go_on(first)
    assert second.look(Frame(nobody, 0.1)).mood.label == "no_face"


@pytest.mark.usefixtures("face_model")
def test_a_pipeline_that_replaces_another_asks_its_own_models(
    portrait: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Pipeline(Settings()), Pipeline(Settings())
    first.look(Frame(portrait, 0.0))
    second.go_on(first)
    monkeypatch.setattr(first._detector.finder, "find", None)
    monkeypatch.setattr(first._detector.finder, "follow", None)
    assert second.look(Frame(portrait, 9.0)).faces


@pytest.mark.usefixtures("face_model")
def test_scores_that_are_no_numbers_are_refused(
    portrait: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.classifier._row_scores", lambda *_: [math.nan] * 7)
    pipeline = Pipeline(Settings())
    for number in range(3):  # still, but not to be taken for an empty room
        with pytest.raises(ModelError, match="not numbers"):
            pipeline.look(Frame(portrait, number / 10))
    with pytest.raises(ModelError, match="not numbers"):
        pipeline.rehearse()
