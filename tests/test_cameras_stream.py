"""Network cameras, played by a small MJPEG server on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.cameras.stream import StreamCamera, open_stream
from serenbox.errors import CameraError, CameraTimeoutError
from serenbox.settings.schema import CameraSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = CameraSettings(timeout=20)
PATIENCE = 20.0


class MjpegServer(ThreadingHTTPServer):
    """Shows grey pictures, each a little lighter, until told to hang or to hang up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.flowing = threading.Event()
        self.flowing.set()
        self.stopping = threading.Event()
        self.shown = 0

    @property
    def address(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.server_port}/video?token=secret"


class _Handler(BaseHTTPRequestHandler):
    server: MjpegServer

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while not self.server.stopping.wait(0.02):
                if self.server.flowing.is_set():
                    self._show()
        except OSError:  # the camera was closed
            return

    def _show(self) -> None:
        level = self.server.shown % 250
        jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        self.wfile.write(head.encode() + jpeg + b"\r\n")
        self.server.shown += 1


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with MjpegServer() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.stopping.set()
        running.shutdown()
        thread.join()


def read_on(camera: StreamCamera, timeout: float) -> None:
    """Read until it fails: pictures that were on their way still arrive."""
    while True:
        camera.read(timeout)


def stream_threads() -> int:
    return sum(thread.name == "stream" for thread in threading.enumerate())


def test_pictures_arrive_in_order_and_upright(server: MjpegServer) -> None:
    camera = open_stream(server.address, CameraSettings(timeout=20, rotate=90))
    begin = time.monotonic()
    frames = [frame for _ in range(5) if (frame := camera.read(PATIENCE))]
    assert [frame.image.shape for frame in frames] == [(64, 48, 3)] * 5
    levels = [int(frame.image[0, 0, 0]) for frame in frames]
    assert levels == sorted(set(levels))
    assert begin - PATIENCE < frames[0].time < frames[-1].time <= time.monotonic()
    camera.close()


def test_only_the_newest_picture_is_kept(server: MjpegServer) -> None:
    camera = open_stream(server.address, SETTINGS)
    camera.read(PATIENCE)
    before = server.shown
    deadline = time.monotonic() + 60
    while server.shown < before + 15 and time.monotonic() < deadline:
        time.sleep(0.05)
    frame = camera.read(PATIENCE)
    assert frame is not None
    # The 14 pictures sent in between are not queued in front of it.
    assert frame.image[0, 0, 0] > before + 5
    camera.close()


def test_a_silent_server_times_out_and_may_come_back(server: MjpegServer) -> None:
    camera = open_stream(server.address, SETTINGS)
    camera.read(PATIENCE)
    server.flowing.clear()
    with pytest.raises(CameraTimeoutError, match=r"within 0\.2 s"):
        read_on(camera, 0.2)
    server.flowing.set()
    assert camera.read(PATIENCE) is not None
    camera.close()


def test_a_server_silent_beyond_the_limit_is_given_up(server: MjpegServer) -> None:
    camera = open_stream(server.address, CameraSettings(timeout=0.5))
    server.flowing.clear()
    with pytest.raises(CameraError, match="opened again"):
        read_on(camera, PATIENCE)
    camera.close()


def test_a_server_that_hangs_up_is_an_error(server: MjpegServer) -> None:
    camera = open_stream(server.address, SETTINGS)
    server.stopping.set()
    with pytest.raises(CameraError, match="has ended") as raised:
        read_on(camera, PATIENCE)
    assert not isinstance(raised.value, CameraTimeoutError)
    camera.close()


def test_closing_leaves_no_thread(server: MjpegServer) -> None:
    camera = open_stream(server.address, CameraSettings(timeout=0.5))
    assert stream_threads() == 1
    server.flowing.clear()  # the thread is in the middle of a wait
    camera.close()
    camera.close()
    assert stream_threads() == 0
    with pytest.raises(CameraError, match="closed"):
        camera.read(1)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_nobody_there_is_told_without_secrets() -> None:
    port = closed_port()
    with pytest.raises(CameraError, match=f"http://127.0.0.1:{port}: no video") as raised:
        open_stream(f"http://user:secret@127.0.0.1:{port}/v?token=secret", SETTINGS)
    assert "secret" not in str(raised.value)


def test_neither_opencv_nor_ffmpeg_speaks_for_itself() -> None:
    code = f"""
from serenbox.cameras.stream import open_stream
from serenbox.settings.schema import CameraSettings
try:
    open_stream("http://127.0.0.1:{closed_port()}/v", CameraSettings())
except OSError:
    print("refused")
"""
    # In a process of its own, because FFmpeg reads its log level only once.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"refused\n", b"")


def test_the_name_holds_no_secrets(server: MjpegServer) -> None:
    camera = open_stream(server.address, SETTINGS)
    assert camera.name == f"stream http://127.0.0.1:{server.server_port}"
    camera.close()


def test_a_scheme_may_have_capital_letters(server: MjpegServer) -> None:
    camera = open_stream(server.address.replace("http:", "Http:"), SETTINGS)
    assert camera.read(PATIENCE) is not None
    camera.close()


@pytest.mark.parametrize("address", ["ftp://box/video", "file:///etc/passwd"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(CameraError, match="addresses of this kind"):
        open_stream(address, SETTINGS)
