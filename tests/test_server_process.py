"""`serenbox serve` as it is in use: gunicorn, its workers, and their end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serenbox.cli.serve import ServeTool
from serenbox.server.process import usable_cores
from tests.missing import missing
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

PR_GET_DUMPABLE = 3
"""Of <sys/prctl.h>."""


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


def test_the_client_check_reads_numbers_in_every_language(
    server: Server, portrait_file: Path, tmp_path: Path
) -> None:
    german = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.UTF-8")]
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        missing("the package locales, which describes German, is not installed")
    subprocess.run(german, check=True, capture_output=True)
    script, address = ROOT / "deploy" / "test.sh", f"http://127.0.0.1:{server.port}"
    environment = os.environ | {"LOCPATH": str(tmp_path), "LC_ALL": "de_DE.UTF-8"}
    done = subprocess.run(
        [script, address, portrait_file],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "happy 100.0 %" in done.stdout


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_gracefully(tmp_path: Path, portrait_bytes: bytes, number: signal.Signals) -> None:
    """A slow request whose body has half arrived when the server is told to stop is answered."""
    pieces = 20
    with serving(tmp_path / "log", "--workers", "1") as running, running.connect() as connection:
        length = len(portrait_bytes)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        connection.sendall(head + portrait_bytes[: length // 2])
        wait_for_metric(running)
        running.process.send_signal(number)
        size = length // 2 // pieces + 1
        for start in range(length // 2, length, size):
            time.sleep(1 / pieces)  # so that the server has begun to stop before all has come
            connection.sendall(portrait_bytes[start : start + size])
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


def test_workers_that_cannot_start_end_the_server() -> None:
    """Here for lack of room for their figures. Nor may half a file of bytecode be left."""
    full_disk = ["/bin/sh", "-c", 'ulimit -f 8; exec "$0" "$@"', sys.executable, "-B"]
    command = ["-m", "serenbox.cli.main", "serve", "--workers", "1", "--port", str(free_port())]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*full_disk, *command], capture_output=True, text=True, check=False, env=environment
    )

    assert "Worker failed to boot" in done.stderr
    assert done.returncode == 1


def test_a_folder_for_figures_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nonexistent/folder")
    assert ServeTool().main(["--workers", "1", "--port", str(free_port())]) == 1
    assert "must be a folder that may be written to" in capfd.readouterr().err


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
    assert "needs packages that are not installed (gunicorn_of_nowhere)" in said
    assert "-m pip install '.[server]'` in SerenBox's checkout" in said


def test_curl_is_here() -> None:
    assert shutil.which("curl"), "deploy/test.sh needs it: apt install curl"
