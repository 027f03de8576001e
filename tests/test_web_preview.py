"""The live preview: what is taken, what is sent, and when it is over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.outputs.messages import mood_message
from serenbox.outputs.tap import Tap
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web import site
from serenbox.web.output import WebOutput
from serenbox.web.preview import VIEWERS, Preview, as_jpeg
from tests.mosquitto import wait_for
from tests.ports import free_port
from tests.web_client import Spectator, Viewer, ask, ask_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

SENSING = mood_message("box", 0.0, "sensing", None, 0.0)
PAUSED = mood_message("box", 0.0, "paused", None, 0.0)
LOST = mood_message("box", 0.0, "no_camera", None, 0.0)


def frame(grey: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), grey, np.uint8)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Taken:
    """A preview on a tap, with the number of times it woke its thread."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tap = Tap()
        self.woken = 0
        self.preview = Preview(self.tap, self._wake, clock=self.clock)

    def _wake(self) -> None:
        self.woken += 1


def decoded(part: bytes | None) -> npt.NDArray[np.uint8]:
    assert part is not None
    head, _, rest = part.partition(b"\r\n\r\n")
    assert head == b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d" % (len(rest) - 2)
    image = cv2.imdecode(np.frombuffer(rest, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def test_while_it_is_off_nothing_is_taken() -> None:
    taken = Taken()
    taken.tap.pass_on(frame(1))
    taken.preview.show(frame(1))  # as if it was turned off at this very moment
    assert taken.preview._newest is None
    assert taken.preview.picture() is None
    assert taken.tap.watcher is None


def test_the_newest_frame_is_shown_once() -> None:
    taken = Taken()
    taken.preview.turn_on()
    for grey in (10, 200):
        taken.tap.pass_on(frame(grey))
        taken.clock.now += 1
    assert decoded(taken.preview.picture()).mean() == pytest.approx(200, abs=2)
    assert taken.preview.picture() is None
    taken.tap.pass_on(frame(10))
    taken.preview.turn_off()
    assert taken.preview._newest is None
    assert taken.preview.picture() is None
    taken.preview.turn_on()
    assert taken.preview.picture() is None  # no frame from before


@pytest.mark.parametrize(("fps", "shown"), [(2, 20), (10, 50), (30, 50), (120, 50)])
def test_at_most_five_pictures_a_second(fps: int, shown: int) -> None:
    taken = Taken()
    taken.preview.turn_on()
    chance = np.random.default_rng(3)
    for number in range(10 * fps):
        taken.clock.now = 1000 + number / fps + 0.01 * chance.random() / fps
        taken.tap.pass_on(frame(0))
    assert taken.woken == pytest.approx(shown, abs=1)


def test_when_the_camera_is_closed_the_last_frame_is_forgotten() -> None:
    taken = Taken()
    taken.preview.turn_on()
    taken.tap.pass_on(frame(10))
    taken.tap.cut()
    assert taken.preview._newest is None
    assert not taken.preview.on
    taken.tap.pass_on(frame(20))
    assert taken.preview.picture() is None
    taken.tap.cut()  # again, with nobody there


def test_a_picture_that_the_closing_of_the_camera_overtakes_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = Taken()

    def encode_slowly(_: npt.NDArray[np.uint8]) -> bytes:
        taken.tap.cut()
        return b"too late"

    monkeypatch.setattr("serenbox.web.preview.as_jpeg", encode_slowly)
    taken.preview.turn_on()
    taken.tap.pass_on(frame(10))
    assert taken.preview.picture() is None


@pytest.mark.parametrize(
    ("given", "shown"),
    [((480, 640), (240, 320)), ((1080, 1920), (180, 320)), ((640, 480), (320, 240)), ((9, 9),) * 2],
)
def test_pictures_are_small(given: tuple[int, int], shown: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*given, 3), np.uint8)
    data = as_jpeg(image)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape[:2] == shown
    assert len(data) < 64_000  # noise, the worst there is
    assert b"Exif" not in data


class Box:
    """A page whose daemon senses, and its camera."""

    def __init__(self) -> None:
        self.port = free_port()
        self.tap = Tap()
        self.commands: list[str] = []
        web = WebSettings(enabled=True, port=self.port)
        self.output = WebOutput(Settings(web=web), self.commands.append, tap=self.tap)
        self.output.start()
        self.output.mood(SENSING)
        wait_for(lambda: self.output.health()["connected"], "the page")
        self._seeing = threading.Event()
        self._camera = threading.Thread(target=self._see)
        self._camera.start()

    def close(self) -> None:
        self._seeing.set()
        self._camera.join()
        self.output.close(5)

    def _see(self) -> None:
        noise = np.random.default_rng(0).integers(0, 64, (480, 640, 3), np.uint8)
        brightness = 0
        while not self._seeing.wait(0.02):
            brightness = (brightness + 1) % 192
            self.tap.pass_on(noise + np.uint8(brightness))


@pytest.fixture
def box() -> Iterator[Box]:
    running = Box()
    yield running
    running.close()


def test_it_is_on_as_long_as_somebody_watches(box: Box) -> None:
    with Viewer(box.port) as other:
        assert other.status() == 200
        assert other.wait("health")["previews"] == 0
        with Spectator(box.port) as spectator:
            assert spectator.status() == 200
            pictures = [spectator.picture() for _ in range(3)]
            assert {picture.shape for picture in pictures} == {(240, 320, 3)}
            assert len({round(picture.mean()) for picture in pictures}) > 1
            other.wait("health", previews=1)
            assert ask_json(box.port, "/api/health")["previews"] == 1
            assert box.output.health()["previews"] == 1
            wait_for(lambda: box.commands.count("stats") == 1, "all outputs to be told")
        other.wait("health", previews=0)
    wait_for(lambda: box.tap.watcher is None, "the preview to be off")
    wait_for(lambda: box.commands.count("stats") == 2, "all outputs to be told")


def test_so_many_watch_and_no_more(box: Box) -> None:
    spectators = [Spectator(box.port) for _ in range(VIEWERS)]
    assert [spectator.status() for spectator in spectators] == [200] * VIEWERS
    with Spectator(box.port) as another:
        assert another.status() == 503
    for spectator in spectators:
        spectator.picture()
        spectator.close()
    wait_for(lambda: box.output.health()["previews"] == 0, "all to have left")


@pytest.mark.parametrize("message", [PAUSED, LOST])
def test_it_ends_without_a_camera(box: Box, message: dict[str, object]) -> None:
    with Spectator(box.port) as spectator:
        assert spectator.status() == 200
        spectator.picture()
        box.output.mood(message)
        spectator.drain()
    wait_for(lambda: box.tap.watcher is None, "the preview to be off")
    with Spectator(box.port) as another:
        assert another.status() == 409
    assert box.tap.watcher is None


def test_it_ends_as_soon_as_the_camera_is_told_to_close(box: Box) -> None:
    with Spectator(box.port) as spectator:
        assert spectator.status() == 200
        spectator.picture()
        box.tap.cut()
        spectator.drain()
    wait_for(lambda: box.output.health()["previews"] == 0, "the preview to be off")


def test_it_ends_by_itself(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "LIMIT", 0.5)
    with Spectator(box.port) as spectator:
        assert spectator.status() == 200
        spectator.picture()
        spectator.drain()
    wait_for(lambda: box.tap.watcher is None, "the preview to be off")
    assert box.output.health()["connected"]


def test_who_does_not_read_holds_up_nobody_and_is_dropped(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serenbox.web import connection
    from serenbox.web.connection import Phase

    monkeypatch.setitem(connection._PATIENCE, Phase.STREAMING, 0.5)
    with Spectator(box.port) as idle, Spectator(box.port) as spectator:
        assert spectator.status() == 200
        wait_for(lambda: box.output.health()["previews"] == 2, "both")
        while box.output.health()["previews"] == 2:
            spectator.picture()
        assert idle.status() == 200
        spectator.picture()


def test_an_old_client_gets_it_without_chunks(box: Box) -> None:
    request = b"POST /api/preview HTTP/1.0\r\nHost: localhost\r\nX-SerenBox-Preview: on\r\n\r\n"
    closing = threading.Timer(0.3, box.tap.cut)
    closing.start()
    heard = say(box.port, request, half_close=False)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"multipart/x-mixed-replace" in head
    assert body.startswith(b"--picture\r\nContent-Type: image/jpeg\r\n")


@pytest.mark.parametrize(("tap", "allowed"), [(None, True), (Tap(), False)])
def test_without_a_tap_or_where_it_is_forbidden_there_is_none(
    tap: Tap | None, allowed: bool
) -> None:
    port = free_port()
    web = WebSettings(enabled=True, port=port, preview=allowed)
    output = WebOutput(Settings(web=web), print, tap=tap)
    output.start()
    output.mood(SENSING)
    wait_for(lambda: output.health()["connected"], "the page")
    with Spectator(port) as spectator:
        assert spectator.status() == 403
    assert ask(port, "/api/health")[0] == 200
    assert tap is None or tap.watcher is None
    output.close(5)


def test_the_end_of_the_page_ends_it(box: Box) -> None:
    with Spectator(box.port) as spectator:
        assert spectator.status() == 200
        spectator.picture()
        box.output.close(5)
    assert box.tap.watcher is None
