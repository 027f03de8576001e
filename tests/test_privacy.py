"""No picture leaves the process: every byte that the real service writes is searched.

The service watches a face with a watermark beside it: random pixels that nothing else can resemble.
It runs under strace, which records all that it writes to files, pipes and sockets, and its history
is on. The same search finds every kind of picture that a leaking service lets out. A live preview,
which a visitor has to ask for, goes to that visitor alone and only while it is on.
"""

from __future__ import annotations

import base64
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from serenbox.daemon.control import ask_service
from tests.daemon_process import PROGRAM, QUICK, Daemon, wait_for, write_script
from tests.mosquitto import listening, required_program, running_mosquitto
from tests.ports import free_port
from tests.web_client import Spectator, Viewer, answers, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from tests.mosquitto import Mosquitto

    Image = npt.NDArray[np.uint8]

FRAMES = 40
ROWS = range(0, 480, 8)
"""The rows of the picture of which a part is searched for."""

PART = 24
"""The pixels of a row that are searched for: too many to match by chance."""

WRITING = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg"
"""What carries bytes out of a process, and shows them to strace."""

UNSEEN = (
    "sendfile,sendfile64,splice,tee,vmsplice,copy_file_range,process_vm_writev,io_uring_setup,"
    "io_uring_enter,io_submit,memfd_create,shmget"
)
"""What could carry bytes out without showing them: not to be used at all."""

HISTORY = "".join(f"\\x{byte:02x}" for byte in b"/state/history.db")
"""How strace writes the path of the history's database; the files beside it begin the same."""

SHARED = "".join(f"\\x{byte:02x}" for byte in b"-shm")

PICTURE_FILES = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG\r\n",
    "GIF": b"GIF8",
    "WebP": b"WEBPVP8",
    "Matroska": b"\x1a\x45\xdf\xa3",
    "AVI": b"AVI LIST",
    "array": b"\x93NUMPY",
}

LEAKING = """
import base64, os, socket, sys
import cv2
from serenbox.cameras import base
from serenbox.cli.main import main

read, count = base.CameraBase.read, 0

def leaking_read(self, timeout):
    global count
    frame, count = read(self, timeout), count + 1
    if frame is not None and count == 5:
        leak(frame.image)
    return frame

def leak(image):
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    folder = os.environ["STATE_DIRECTORY"]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "bgr"), "wb") as file:
        file.write(image.tobytes())
    os.unlink(os.path.join(folder, "bgr"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.sendto(image[:40, :, ::-1].tobytes()[:60000], ("127.0.0.1", 9))
    os.writev(2, [grey[::8].tobytes()])
    os.write(2, base64.b64encode(b"x" + image.tobytes()))
    cv2.imwrite(os.path.join(folder, "face.jpg"), image)
    os.write(2, cv2.imencode(".png", image)[1].tobytes())
    os.write(2, cv2.resize(grey, (48, 48)).tobytes())
    os.write(2, cv2.resize(image / 127.5 - 1, (128, 128)).astype("float32").tobytes())

base.CameraBase.read = leaking_read
sys.exit(main())
"""
"""The service, with a leak of every kind."""


@pytest.fixture
def watermarked(tmp_path: Path, portrait: Image) -> Image:
    """A face with random pixels to its left and right, beside the script of a camera."""
    image = np.random.default_rng(7).integers(0, 256, (480, 640, 3), np.uint8)
    image[:, 96:544] = cv2.resize(portrait, (480, 480))[:, 16:464]
    cv2.imwrite(str(tmp_path / "face.png"), image)
    return image


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with running_mosquitto(folder) as running:
        yield running


def test_no_picture_leaves(tmp_path: Path, watermarked: Image, broker: Mosquitto) -> None:
    with listening(broker) as listener:
        messages = watch(tmp_path, broker, PROGRAM)
        received = b"".join(message.payload for message in listener.of(""))
    trace = (tmp_path / "trace").read_text()
    pieces, history = pieces_written(trace), pieces_written(trace, to_history=True)
    written = b"\n".join(pieces)
    # The trace and the listener hold all that the service is known to have written.
    assert b'"mood":"happy"' in written
    assert b"serenbox/serenbox/event" in written
    assert b"info    service: the recording is over" in written
    assert "happy" in messages
    assert b"happy" in received
    # There is no picture in it.
    assert hidden_ways_out(trace) == []
    assert pictures_in(written, watermarked) == []
    assert pictures_in(received, watermarked) == []
    for path in files_of(tmp_path):
        assert pictures_in(path.read_bytes(), watermarked) == [], path
    assert [piece for piece in pieces if is_no_text(piece)] == []
    assert len(written) < watermarked.size / 10, "more than the messages need"
    # Nor in the history, which is binary.
    assert any(b"happy_ms INTEGER" in piece for piece in history)
    assert pictures_in(b"".join(history), watermarked) == []
    assert sum(map(len, history)) < watermarked.size / 5, "more than a minute needs"
    assert kinds_kept(tmp_path / "state" / "history.db") == {"integer"}


def test_the_search_finds_leaks(tmp_path: Path, watermarked: Image, broker: Mosquitto) -> None:
    (tmp_path / "leaking.py").write_text(LEAKING)
    watch(tmp_path, broker, (sys.executable, str(tmp_path / "leaking.py")))
    pieces = pieces_written((tmp_path / "trace").read_text())
    found = pictures_in(b"\n".join(pieces), watermarked)
    assert {"BGR", "RGB", "grey", "BGR in base64", "JPEG", "PNG"} <= {*found}
    assert {48 * 48, 128 * 128 * 3 * 4} <= {len(piece) for piece in pieces if is_no_text(piece)}
    assert any(pictures_in(path.read_bytes(), watermarked) for path in files_of(tmp_path))


def test_a_live_preview_goes_to_who_asked_for_it_and_while_it_is_on(
    tmp_path: Path, watermarked: Image, broker: Mosquitto
) -> None:
    port = free_port()
    camera = write_script(tmp_path / "script.json", [{"frames": "face.png", "count": 1_000_000}])
    with traced(tmp_path, camera, broker, f"[web]\nenabled = true\nport = {port}\n") as daemon:
        daemon.wait_until(lambda: answers(port), "the page")
        daemon.wait_mood("happy")
        with Viewer(port) as other:
            assert other.status() == 200
            other.wait("mood", mood="happy")
            for asked in ("/", "/static/app.js", "/api/health", "/api/history", "/metrics"):
                assert ask(port, asked)[0] == 200
            assert ask(port, "/api/preview")[0] == 405
            assert ask(port, "/api/preview", "POST")[0] == 403
            watched_from = [watch_live(port, watermarked, daemon, end) for end in (leave, pause)]
            assert other.wait("mood", mood="paused")
            assert ask(port, "/api/resume", "POST")[0] == 202
            other.wait("mood", mood="happy")
            with Spectator(port, Origin="http://evil.example") as foreign:
                assert foreign.status() == 403
        assert daemon.end() == 0
        wait_for_trace(daemon)

    written = [
        (destination(line), piece)
        for line in (tmp_path / "trace").read_text().splitlines()
        if writes(line)
        for piece in pieces_written(line)
    ]
    visitors = {f"TCP:[127.0.0.1:{port}->127.0.0.1:{theirs}]" for theirs in watched_from}
    shown = [
        number
        for number, (_, piece) in enumerate(written)
        if is_no_text(piece) or pictures_in(piece, watermarked)
    ]
    assert {written[number][0] for number in shown} == visitors
    # From the first preview's head on, and before everybody is told that the camera is closed.
    heads = [n for n, (_, piece) in enumerate(written) if b"multipart/x-mixed-replace" in piece]
    paused = next(n for n, (_, piece) in enumerate(written) if b'"mood":"paused"' in piece)
    assert len(heads) == 2
    assert heads[0] <= shown[0]
    assert shown[-1] < paused
    for path in files_of(tmp_path):
        assert pictures_in(path.read_bytes(), watermarked) == [], path


def watch_live(port: int, image: Image, daemon: Daemon, end: Callable[[Spectator], None]) -> int:
    """Watch a few pictures, end the preview and wait until it is off; return the visitor's port."""
    control = [daemon.folder / "run" / "control"]
    with Spectator(port) as spectator:
        assert spectator.status() == 200
        small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA).astype(float)
        for _ in range(3):
            # Almost a third of the picture is noise, which a JPEG of this size blurs.
            assert np.abs(spectator.picture() - small).mean() < 12
        assert ask_service("status", control)["outputs"]["web"]["previews"] == 1
        end(spectator)
    wait_for(lambda: not ask_service("status", control)["outputs"]["web"]["previews"], "its end")
    return spectator.address[1]


def leave(spectator: Spectator) -> None:
    spectator.close()


def pause(spectator: Spectator) -> None:
    assert ask(spectator.port, "/api/pause", "POST")[0] == 202
    spectator.drain()


def watch(folder: Path, broker: Mosquitto, program: Sequence[str]) -> set[str]:
    """Run the service under strace until its recording is over; return the moods it reported."""
    camera = write_script(
        folder / "script.json",
        [{"frames": "face.png", "count": FRAMES}, {"black": 3}, {"error": "gone"}, {"end": True}],
    )
    history = folder / "state" / "history.db"
    with traced(folder, camera, broker, "[history]\nenabled = true\n", program=program) as daemon:
        shared = history.with_name(f"{history.name}-shm")
        daemon.wait_until(shared.exists, "the history")
        with closing(sqlite3.connect(history)) as reader:
            # As long as this connection is open, SQLite does not delete its shared-memory file.
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            assert daemon.wait() == 0
            shutil.copy(shared, folder / "shared")
        wait_for_trace(daemon)
        return {message["mood"] for message in daemon.messages}


def traced(
    folder: Path,
    camera: str,
    broker: Mosquitto,
    more: str = "",
    *,
    program: Sequence[str] = PROGRAM,
) -> Daemon:
    """Return the service under strace, which writes a file called trace."""
    strace = required_program("strace")
    calls = f"trace={WRITING},{UNSEEN},mmap"
    options = ("-D", "-f", "-q", "-yy", "-xx", "-s", "100000000", "-e", "signal=none", "-e", calls)
    mqtt = f"\n[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = {broker.port}\n"
    return Daemon(
        folder,
        camera,
        configuration=f"{QUICK}{mqtt}[service]\nstats_interval = 1\n{more}",
        program=(strace, *options, "-o", str(folder / "trace"), *program),
        environment={"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder / "tmp")},
    )


def wait_for_trace(daemon: Daemon) -> None:
    """Wait until strace, which ends after the service, has written its last lines."""
    ended = re.compile(rf"^{daemon.pid} +\+\+\+ exited with 0", re.MULTILINE)
    wait_for(lambda: ended.search((daemon.folder / "trace").read_text()), "the end of the trace")


def kinds_kept(path: Path) -> set[str]:
    """Return the kinds of values in the only table of a database."""
    with closing(sqlite3.connect(path)) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master").fetchall()
        assert table == ("minutes",)
        columns = connection.execute("SELECT name FROM pragma_table_info('minutes')").fetchall()
        kinds = ", ".join(f"typeof({column})" for (column,) in columns)
        return {*chain(*connection.execute(f"SELECT {kinds} FROM minutes"))}  # noqa: S608


def pieces_written(trace: str, *, to_history: bool = False) -> list[bytes]:
    """Return the pieces that the traced process wrote: to the history only, or all the others."""
    called = (line for line in trace.splitlines() if writes(line))
    lines = (line for line in called if (HISTORY in line.partition(",")[0]) is to_history)
    texts = chain.from_iterable(re.findall(r'"((?:\\x..)*)"', line) for line in lines)
    return [bytes.fromhex(text.replace(r"\x", "")) for text in texts]


def destination(line: str) -> str:
    """Return what a call writes to."""
    found = re.match(r"\d+ +\w+\(\d+<(.*?)>, ", line)
    assert found, line[:200]
    return found[1]


def writes(line: str) -> bool:
    return re.match(rf"\d+ +({'|'.join(WRITING.split(','))})\(", line) is not None


def hidden_ways_out(trace: str) -> list[str]:
    """Return the calls that could carry out what strace does not show."""
    called = [line for line in trace.splitlines() if re.match(r"\d+ +\w+\(", line)]
    names = UNSEEN.split(",")
    hidden = [line for line in called if line.split()[1].partition("(")[0] in names]
    # The memory that SQLite shares with other processes is searched as a file.
    mapped = (
        line
        for line in called
        if "mmap(" in line and "MAP_SHARED" in line and f"{HISTORY}{SHARED}>" not in line
    )
    return hidden + [line for line in mapped if "PROT_WRITE" in line and "ANONYMOUS" not in line]


def pictures_in(content: bytes, image: Image) -> list[str]:
    """Return the kinds of pictures that are in there: parts of the image, and any picture file."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    rows: dict[str, list[Image]] = {
        "BGR": [image[row, :PART] for row in ROWS],
        "RGB": [image[row, :PART, ::-1] for row in ROWS],
        "grey": [grey[row, :PART] for row in ROWS],
    }
    parts = {name: [row.tobytes() for row in some] for name, some in rows.items()}
    parts |= {
        f"{name} in base64": [text for row in some for text in in_base64(row)]
        for name, some in parts.items()
    }
    parts |= {f"{name} in hex": [row.hex().encode() for row in parts[name]] for name in rows}
    found = [name for name, some in parts.items() if any(part in content for part in some)]
    return found + [name for name, start in PICTURE_FILES.items() if start in content]


def is_no_text(piece: bytes) -> bool:
    """Return whether this could be pixels of any size and kind: long and hardly readable.

    MQTT packets are mostly text, and of random bytes about three in eight are printable.
    """
    readable = sum(32 <= byte < 127 for byte in piece)
    return len(piece) >= 64 and readable < 0.6 * len(piece)


def in_base64(row: bytes) -> Iterator[bytes]:
    """Yield what the bytes look like in base64 at each of the three possible offsets."""
    for shift in range(3):
        # The characters at both ends also hold bits of the neighbouring bytes.
        yield base64.b64encode(bytes(shift) + row)[4:-4]


def files_of(folder: Path) -> Iterator[Path]:
    """Yield every file below the folder except the picture, the trace and the leaking program."""
    given = {folder / name for name in ("face.png", "trace", "leaking.py")}
    yield from (path for path in folder.rglob("*") if path.is_file() and path not in given)
