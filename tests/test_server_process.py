"""`serenbox serve` as it is in use: gunicorn, its workers, and clients of every kind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gunicorn.workers import gthread

from serenbox.cli.serve import ServeTool
from serenbox.server.process import usable_cores
from serenbox.server.worker import PatientWorker
from tests.ports import free_port
from tests.server_process import (
    ROOT,
    Server,
    form,
    memory_of,
    read_all,
    serving,
    workers_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_GET_DUMPABLE = 3
"""Of <sys/prctl.h>."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers with a short time limit, so that the tests need not wait long."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "--workers", "2", "--receive-seconds", "1", "--queue", "4") as running:
        yield running
        text = log.read_text("utf-8")
        assert "Traceback" not in text, text


@pytest.fixture(scope="module")
def patient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that wait long enough for much to arrive, also on a busy machine."""
    log = tmp_path_factory.mktemp("patient") / "log"
    with serving(log, "--workers", "2", "--receive-seconds", "60", "--queue", "4") as running:
        yield running
        text = log.read_text("utf-8")
        assert "Traceback" not in text, text


@pytest.fixture(scope="module")
def portrait_bytes(portrait_file: Path) -> bytes:
    return portrait_file.read_bytes()


def test_answers_like_serenbox_detect(
    server: Server, portrait_bytes: bytes, portrait_file: Path
) -> None:
    command = [sys.executable, "-m", "serenbox.cli.detect", "--json", str(portrait_file)]
    said = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    body, kind = form(portrait_bytes)

    answer = server.ask("POST", "/predict", body, {"Content-Type": kind})

    assert answer.status == 200
    scores = json.loads(said)["faces"][0]["scores"]
    percentages = {label: round(100 * score, 4) for label, score in scores.items()}
    assert json.loads(answer.body) == percentages


def test_the_client_check(server: Server, portrait_file: Path, tmp_path: Path) -> None:
    script = ROOT / "deploy" / "test.sh"
    address = f"http://127.0.0.1:{server.port}"
    wrong = tmp_path / "text.jpg"
    wrong.write_text("no picture", "utf-8")

    good = subprocess.run(
        [script, address, portrait_file], capture_output=True, text=True, check=False
    )
    bad = subprocess.run(
        [script, address, wrong, portrait_file], capture_output=True, text=True, check=False
    )
    called_wrong = subprocess.run([script], capture_output=True, text=True, check=False)

    assert (good.returncode, good.stderr) == (0, ""), good.stderr
    assert "happy 100.0" in good.stdout
    assert bad.returncode == 1
    assert "415" in bad.stderr
    assert called_wrong.returncode == 2


def test_the_client_check_on_photographs(server: Server, photos: list[Path]) -> None:
    chosen = photos[:: max(1, len(photos) // 10)][:10]
    command = [sys.executable, "-m", "serenbox.cli.detect", "--json", *map(str, chosen)]
    said = subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout
    address = f"http://127.0.0.1:{server.port}"
    script = [str(ROOT / "deploy" / "test.sh"), address, *map(str, chosen)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line[line.index("{") :]) for line in done.stdout.splitlines()]
    scores = [json.loads(line)["faces"][0]["scores"] for line in said.splitlines()]
    assert len(answers) == 10
    assert all(sum(answer.values()) == pytest.approx(100, abs=0.1) for answer in answers)
    assert answers == [
        {label: round(100 * score, 4) for label, score in one.items()} for one in scores
    ]


def test_the_figures_are_those_of_all_workers(server: Server) -> None:
    for _ in range(8):
        server.ask("GET", "/nowhere")

    figures = server.ask("GET", "/metrics").body.decode()

    counted = [line for line in figures.splitlines() if 'code="404",path="other"' in line]
    assert sum(float(line.split()[-1]) for line in counted) >= 8


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nSCRIPT_NAME: /x\r\nConnection: close\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: strange\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_in_json(server: Server, head: bytes) -> None:
    answer = server.raw(head + b"\r\n" * 2)
    first, _, _ = answer.partition(b"\r\n")

    code = int(first.split()[1])
    assert 400 <= code < 500 or (code == 200 and b"SCRIPT_NAME" in head), answer
    assert b"<html" not in answer
    assert b"Traceback" not in answer


def test_no_header_moves_a_request_to_another_address(server: Server) -> None:
    """A proxy on this machine may let only some addresses through."""
    answer = server.raw(b"GET /x/metrics HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /x\r\n\r\n")
    assert b" 404 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("head", "status", "error", "word"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 400, "bad_request", "not valid HTTP"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long", "address"),
        (b"GET / HTTP/1.1\r\nExpect: miracles\r\n\r\n", 417, "expectation_failed", "Expect"),
        (
            b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
            431,
            "request_header_fields_too_large",
            "headers",
        ),
    ],
)
def test_what_is_wrong_with_a_head_is_told(
    server: Server, head: bytes, status: int, error: str, word: str
) -> None:
    answer = json.loads(server.raw(head).partition(b"\r\n\r\n")[2])

    assert (answer["status"], answer["error"]) == (status, error)
    assert word in answer["message"]


def test_a_body_that_stops_is_answered_in_time(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"

    assert b" 408 " in server.raw(head + b"only this").split(b"\r\n")[0]


def test_a_body_that_ends_early_is_refused(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b'"broken_body"' in answer


@pytest.mark.parametrize(("path", "status"), [("/predict", 413), ("/nowhere", 404)])
def test_a_body_that_is_far_too_large_is_told_so(
    patient_server: Server, path: str, status: int
) -> None:
    """A client that is still sending does not read: the answer must wait until all is sent."""
    assert patient_server.ask("POST", path, bytes(40 * 2**20)).status == status


def test_a_head_that_never_ends_is_given_up(server: Server) -> None:
    assert server.raw(b"GET / HTTP/1.1\r\nX-Slow: ") == b""


def test_a_chunked_body_is_taken(server: Server, portrait_bytes: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(portrait_bytes), 50_000):
            part = portrait_bytes[start : start + 50_000]
            yield b"%x\r\n%b\r\n" % (len(part), part)
        yield b"0\r\n\r\n"

    head = b"POST /predict HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert b" 200 " in server.raw(head + b"".join(chunks())).split(b"\r\n")[0]


def test_silent_and_slow_clients_do_not_keep_others_out(
    server: Server, portrait_bytes: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(120):
            connection = stack.enter_context(server.connect())
            if number % 4 == 0:
                connection.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 9\r\n\r\n")

        assert server.ask("POST", "/predict", portrait_bytes).status == 200


def test_clients_that_neither_ask_nor_leave_keep_nobody_waiting(tmp_path: Path) -> None:
    """One worker has fewer threads than there are clients of each kind."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    kinds = {
        "half a head": head,
        "half a second head": head + b"\r\n" + head,
        "answered": head + b"Connection: close\r\n\r\n",
        "refused": b"GET / HTTP/9.9\r\n\r\n",
    }
    with (
        serving(tmp_path / "log", "--workers", "1", "--receive-seconds", "600") as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(40):
            for said in kinds.values():
                stack.enter_context(running.connect()).sendall(said)

        assert running.ask("GET", "/healthz").status == 200


def test_bodies_that_stall_keep_only_other_bodies_waiting(tmp_path: Path) -> None:
    """One worker has fewer threads than there are clients of each kind."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
    kinds = (b"content-length: 9\r\n", b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n")
    with (
        serving(tmp_path / "log", "--workers", "1", "--receive-seconds", "600") as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(40):
            for said in kinds:
                stack.enter_context(running.connect()).sendall(head + said + b"\r\n")

        assert running.ask("GET", "/healthz").status == 200


def test_requests_that_come_before_their_turn_take_up_little_memory(tmp_path: Path) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, 8000 * b"x") for number in range(3))
    request = b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"
    with serving(tmp_path / "log", "--workers", "1") as running, running.connect() as connection:
        (worker,) = workers_of(running, 1)
        before, _ = memory_of(worker)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(connection.sendall, 400 * request)
            answers = b""
            while answers.count(b"HTTP/1.1 200 OK") < 400:
                answers += connection.recv(65536) or pytest.fail("the connection ended")
        _, most = memory_of(worker)

    assert most - before < 5 * 2**20


def test_a_head_in_pieces_is_put_together(server: Server, portrait_bytes: bytes) -> None:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(portrait_bytes)}\r\n"
    whole = head.encode() + b"\r\n" + portrait_bytes
    last = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (*(whole[at : at + 1] for at in range(100)), whole[100:] + last[:9]):
            connection.sendall(piece)
            server.ask("GET", "/")  # so that the pieces before it are read on their own
        connection.sendall(last[9:])
        answers = read_all(connection)

    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b'"status": "ok"' in answers


@pytest.mark.parametrize("piece", [b"x", b"X-A: b\r\n" * 1000])
def test_a_head_that_trickles_for_ever_is_given_up(server: Server, piece: bytes) -> None:
    """Its sender is not waited for longer than one that sends nothing more."""
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while not select.select([connection], [], [], 0.1)[0]:
                connection.sendall(piece)
        answer = read_all(connection)

    assert answer[:13] in (b"", b"HTTP/1.1 431 ")


def test_who_promises_much_and_sends_little_keeps_nobody_out(
    server: Server, portrait_bytes: bytes
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 16777216\r\n\r\n."
    with contextlib.ExitStack() as stack:
        for _ in range(12):  # more bodies than both workers could hold
            stack.enter_context(server.connect()).sendall(head)

        assert server.ask("POST", "/predict", portrait_bytes).status == 200


def test_bodies_that_come_slowly_keep_nobody_waiting(
    patient_server: Server, portrait_bytes: bytes
) -> None:
    """They may take a minute; the two workers have threads to spare for them."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n."
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(patient_server.connect()).sendall(head)

        assert patient_server.ask("POST", "/predict", portrait_bytes).status == 200


def test_overload_is_answered_and_nothing_is_lost(
    patient_server: Server, portrait_bytes: bytes
) -> None:
    before = workers_of(patient_server, 2)
    with ThreadPoolExecutor(60) as pool:
        answers = list(
            pool.map(lambda _: patient_server.ask("POST", "/predict", portrait_bytes), range(120))
        )

    codes = {answer.status for answer in answers}
    assert codes <= {200, 503}, codes
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 503)
    assert workers_of(patient_server) == before


def test_random_bytes_on_the_wire_harm_nobody(server: Server, portrait_bytes: bytes) -> None:
    before = workers_of(server, 2)
    chance = random.Random(66)  # noqa: S311 - to be repeatable
    body, kind = form(portrait_bytes[:2000])
    whole = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body

    for _ in range(60):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(250)] = chance.randrange(256)
        with server.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(changed)
                connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)
        assert not answer or 200 <= int(answer.split(b" ")[1]) < 500, (bytes(changed[:300]), answer)
        assert b"Traceback" not in answer

    assert workers_of(server) == before


def test_memory_is_given_back(tmp_path: Path) -> None:
    """Otherwise every thread that reads a body would keep the memory it needed for it."""
    body, kind = form(bytes(15 * 2**20))
    with serving(tmp_path / "log", "--workers", "1") as running, ThreadPoolExecutor(12) as pool:
        (worker,) = workers_of(running)
        start, _ = memory_of(worker)
        for _ in range(3):
            asked = [
                pool.submit(running.ask, "POST", "/predict", body, {"Content-Type": kind})
                for _ in range(12)
            ]
            assert {one.result().status for one in asked} <= {415, 503}
        now, _ = memory_of(worker)

    assert now - start < 40 * 2**20


def test_stops_gracefully(tmp_path: Path, portrait_bytes: bytes) -> None:
    """A request whose body has half arrived when the server is told to stop is still answered."""
    with serving(tmp_path / "log", "--workers", "1") as running, running.connect() as connection:
        length = len(portrait_bytes)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        connection.sendall(head + portrait_bytes[: length // 2])
        wait_for_metric(running)
        running.process.send_signal(signal.SIGTERM)
        connection.sendall(portrait_bytes[length // 2 :])
        connection.shutdown(socket.SHUT_WR)

        assert b" 200 " in read_all(connection).split(b"\r\n")[0]
        assert running.process.wait(60) == 0


def wait_for_metric(server: Server) -> None:
    """Wait until the server has accepted the earlier connection: it does so in order."""
    assert server.ask("GET", "/metrics").status == 200


def replaced(server: Server, worker: int) -> int:
    """Wait until another worker has taken the place of the only one; return it."""
    deadline = time.monotonic() + 60
    while (now := workers_of(server)) in ({worker}, set()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return next(iter(now))


def test_a_worker_that_dies_is_replaced(tmp_path: Path, portrait_bytes: bytes) -> None:
    with serving(tmp_path / "log", "--workers", "1") as running:
        (first,) = workers_of(running)
        os.kill(first, signal.SIGKILL)
        replaced(running, first)

        assert running.ask("POST", "/predict", portrait_bytes).status == 200


def test_the_folder_of_figures_lasts_as_long_as_the_server(tmp_path: Path) -> None:
    """What a dead worker was busy with must not be counted for ever."""
    with serving(tmp_path / "log", "--workers", "1") as running:
        (first,) = workers_of(running)
        found = re.search(r"/\S+/serenbox-[^/\s]+", Path(f"/proc/{first}/maps").read_text("utf-8"))
        assert found
        folder = Path(found[0])
        os.kill(first, signal.SIGTERM)
        second = replaced(running, first)
        assert running.ask("GET", "/metrics").status == 200
        assert list(folder.glob(f"gauge_live*_{second}.db"))
        os.kill(second, signal.SIGKILL)
        replaced(running, second)
        assert running.ask("GET", "/metrics").status == 200
        assert not list(folder.glob(f"gauge_live*_{second}.db"))
        assert running.stop() == 0
        assert not folder.exists()


def test_requests_are_logged_where_wanted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for options, count in (((), 0), (("--access-log",), 1)):
        with serving(log, "--workers", "1", *options) as running:
            assert running.ask("GET", "/nowhere").status == 404
        assert log.read_text("utf-8").count("GET /nowhere") == count


def test_who_has_left_makes_room_for_others(tmp_path: Path) -> None:
    """A worker holds a thousand connections at a time."""
    question = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(tmp_path / "log", "--workers", "1") as running:
        for _ in range(1050):
            assert running.raw(question)


def test_a_worker_that_crashes_leaves_no_dump_of_its_memory() -> None:
    script = (
        "import ctypes; from serenbox.server import create_app; create_app(); "
        f"print(ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    told = subprocess.check_output([sys.executable, "-c", script], text=True, env=environment)
    assert told == "0\n"


def test_the_factory_works_with_plain_gunicorn(tmp_path: Path, portrait_bytes: bytes) -> None:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
    command += ["--no-control-socket", "serenbox.server:create_app()"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SERENBOX_SERVER_TOTAL": "100"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
    server = Server(process, port, tmp_path / "log")
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                answer = server.ask("POST", "/predict", portrait_bytes)
                break
            assert time.monotonic() < deadline, server.log.read_text("utf-8")
            time.sleep(0.1)
    finally:
        server.stop()

    assert sum(answer.json.values()) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--queue", "many"], "--queue must be a whole number"),
        (["--port", "0"], "the port is 0"),
        (["--port", "http"], "argument --port: must be a whole number, not 'http'"),
        (["--workers", "0"], "--workers is 0"),
        (["--model", "/no/such.tflite"], "/no/such.tflite"),
    ],
)
def test_a_wrong_call_ends_at_once(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ServeTool().main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("150000 100000", 2), ("1000 100000", 1), ("max 100000", 8), (None, 8)],
)
def test_a_container_gets_no_more_workers_than_it_may_use_cores(
    quota: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n", "ascii")

    assert usable_cores(tmp_path) == cores


def test_a_folder_for_figures_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nonexistent/folder")
    assert ServeTool().main(["--workers", "1", "--port", str(free_port())]) == 1
    assert "must be a folder that may be written to" in capfd.readouterr().err


@dataclass(eq=False)
class Connection:
    """A stand-in for gunicorn's connection to a client."""

    sock: socket.socket


def test_who_does_not_take_an_answer_keeps_no_thread_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gthread.ThreadWorker, "murder_pending", lambda _: None)
    monkeypatch.setattr(PatientWorker, "receive_seconds", 2.0)
    worker = PatientWorker.__new__(PatientWorker)
    mine, other = socket.socketpair()
    with mine, other:
        mine.settimeout(5)
        connection = Connection(mine)
        worker.alive, worker._leaving = True, {}
        worker._begun = {connection: time.monotonic() - 4.0}
        worker.murder_pending()
        mine.sendall(b"it was too slow")  # the client can still be told
        worker._begun = {connection: time.monotonic() - 3.0 - PatientWorker.hang_up_seconds}
        worker.murder_pending()
        with pytest.raises(BrokenPipeError):
            mine.sendall(bytes(10_000_000))


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "Address already in use"), ("pi..local", "'idna' codec")]
)
def test_an_address_that_cannot_be_had_is_told_in_a_line(
    server: Server, host: str, reason: str
) -> None:
    command = [sys.executable, "-m", "serenbox.cli.main", "serve"]
    command += ["--host", host, "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == 1
    before, found, _ = done.stderr.partition(reason)
    assert found
    assert f"cannot listen on {host}:{server.port} (" in before
    assert len(done.stderr.splitlines()) == 1


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenbox.cli.serve._NEEDED", ("flask", "gunicorn_of_nowhere"))

    assert ServeTool().main([]) == 2
    said = capsys.readouterr().err
    assert "needs gunicorn_of_nowhere, which is not installed" in said
    assert "-m pip install '.[server]'` in SerenBox's checkout" in said


def test_curl_is_here() -> None:
    assert shutil.which("curl"), "deploy/test.sh needs it: apt install curl"
