"""The engine's queue, memory and limits, with the real models."""

from __future__ import annotations

import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.server.engine import Engine
from serenbox.server.errors import BusyError, NotAnImageError, TooLargeError
from serenbox.server.metrics import Metrics
from serenbox.server.settings import ServerSettings
from tests.short_memory import short_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serenbox.pixels import Pixels
    from serenbox.results import Face


@pytest.fixture(scope="module")
def content(portrait_file: Path) -> bytes:
    return portrait_file.read_bytes()


class Gate:
    """Holds the detector's work until it is opened."""

    def __init__(
        self,
        engine: Engine,
        monkeypatch: pytest.MonkeyPatch,
        see: Callable[[Pixels], object] = lambda _: None,
    ) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        detect = engine._detector.detect

        def wait(image: Pixels) -> list[Face]:
            self.entered.set()
            assert self.open.wait(60)
            see(image)
            return detect(image)

        monkeypatch.setattr(engine._detector, "detect", wait)


def test_finds_the_face(content: bytes) -> None:
    engine = Engine(ServerSettings())

    image, faces = engine.detect(content)

    assert image.shape == (512, 512, 3)
    assert [face.emotion for face in faces] == ["happy"]
    assert engine.waiting == 0
    assert not engine.stuck


def test_refuses_what_exceeds_the_queue(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(ServerSettings(queue=0))
    gate = Gate(engine, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.detect, content)
        assert gate.entered.wait(60)
        try:
            with pytest.raises(BusyError):
                engine.check_room()
            with pytest.raises(BusyError):
                engine.detect(content)
        finally:
            gate.open.set()
        assert len(first.result(60)[1]) == 1
    engine.check_room()


def test_tells_at_once_how_many_requests_are_inside(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(ServerSettings())
    metrics = Metrics(engine)
    figures: list[float | None] = []

    def look(_: Pixels) -> list[Face]:
        with engine._guard:  # held until the request is counted
            figures.append(metrics._registry.get_sample_value("serenbox_waiting"))
        return []

    monkeypatch.setattr(engine._detector, "detect", look)
    engine.detect(content)
    look(np.zeros((1, 1, 3), np.uint8))

    assert figures == [1, 0]


def test_gives_up_waiting(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(ServerSettings(queue=3, wait_seconds=0.05, stuck_seconds=1e-3))
    gate = Gate(engine, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.detect, content)
        assert gate.entered.wait(60)
        try:
            with pytest.raises(BusyError):
                engine.detect(content)
            assert engine.stuck
        finally:
            gate.open.set()
        first.result(60)
    assert not engine.stuck


def test_what_was_given_up_takes_no_memory(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(ServerSettings(wait_seconds=0.01))
    gate = Gate(engine, monkeypatch)
    body = bytes(bytearray(content))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.detect, content)
        assert gate.entered.wait(60)
        before = sys.getrefcount(body)
        try:
            with pytest.raises(BusyError):
                engine.detect(body)
            gc.collect()
            assert sys.getrefcount(body) == before
        finally:
            gate.open.set()
        first.result(60)


def test_whoever_came_first_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, order = Engine(ServerSettings(queue=12)), list[int]()
    gate = Gate(engine, monkeypatch, lambda image: order.append(image.shape[1]))
    widths = list(range(40, 52))

    with ThreadPoolExecutor(len(widths)) as pool:
        try:
            for number, width in enumerate(widths, 1):
                content = cv2.imencode(".png", np.zeros((40, width), np.uint8))[1].tobytes()
                pool.submit(engine.detect, content)
                wait_until(engine, number)
        finally:
            gate.open.set()

    assert order == widths
    assert engine.waiting == 0


def wait_until(engine: Engine, waiting: int) -> None:
    deadline = time.monotonic() + 60
    while engine.waiting != waiting:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_holds_a_bounded_number_of_bytes() -> None:
    engine = Engine(ServerSettings(max_body_mb=1))

    with engine.memory() as one, engine.memory() as other, engine.memory() as third:
        one(3 * 2**20)
        other(2**20)
        with pytest.raises(BusyError):
            third(1)
    with engine.memory() as take:
        take(4 * 2**20)


def test_a_large_picture_is_refused_before_its_pixels_are_looked_at(content: bytes) -> None:
    engine = Engine(ServerSettings(max_megapixels=0.26))

    # The header says 512 x 512; nothing after it could be decoded.
    with pytest.raises(TooLargeError, match="512 x 512"):
        engine.detect(content[:100])


@pytest.mark.parametrize(
    "damaged", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"0" * 99]
)
def test_refuses_what_is_no_picture(damaged: bytes) -> None:
    with pytest.raises(NotAnImageError):
        Engine(ServerSettings()).detect(damaged)


def test_short_memory_is_no_fault_of_the_picture(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(ServerSettings(queue=0))
    large = cv2.imencode(".png", np.zeros((4000, 4000, 3), np.uint8))[1].tobytes()
    with short_memory(16_000_000), pytest.raises(BusyError):
        engine.detect(large)

    def fill_memory(image: Pixels) -> list[Face]:
        with short_memory(16_000_000):
            cv2.resize(image, (8000, 8000))
        return []

    with monkeypatch.context() as patch:
        patch.setattr(engine._detector, "detect", fill_memory)
        with pytest.raises(BusyError):
            engine.detect(content)

    assert len(engine.detect(content)[1]) == 1


def test_goes_on_after_a_damaged_picture(content: bytes) -> None:
    engine = Engine(ServerSettings(queue=0))

    with pytest.raises(NotAnImageError):
        engine.detect(content[:-1000])

    assert len(engine.detect(content)[1]) == 1
