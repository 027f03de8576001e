"""Tests of the lines on standard output, on real pipes."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from serenbox.line_file import LineFile
from serenbox.outputs.messages import event_message, mood_message
from serenbox.outputs.queueing import EVENT_LIMIT
from serenbox.outputs.stdout import StdoutOutput
from tests.mosquitto import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOOD = mood_message("den", 0.0, "sensing", None, 0.0)
EVENT = event_message(MOOD, "happy")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError as error:
            assert error.errno == errno.EBADF  # noqa: PT017 - the test has closed it


def read_lines(reader: int) -> list[dict[str, object]]:
    text = os.read(reader, 1_000_000).decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_one_line_per_event(pipe: tuple[int, int]) -> None:
    output = StdoutOutput(descriptor=pipe[1])
    output.start()
    output.mood(MOOD)
    output.event(EVENT)
    output.stats({"fps": 1})
    output.event(EVENT | {"previous": "sad"})
    output.close(PATIENCE)
    assert read_lines(pipe[0]) == [EVENT, EVENT | {"previous": "sad"}]
    assert output.health() == {
        "connected": False,
        "published": 2,
        "dropped": 0,
        "problem": None,
    }


def test_moods_too_where_they_are_wanted(pipe: tuple[int, int]) -> None:
    output = StdoutOutput(moods=True, descriptor=pipe[1])
    output.start()
    assert output.health()["connected"] is True
    output.mood(MOOD)
    output.event(EVENT)
    output.close(PATIENCE)
    assert read_lines(pipe[0]) == [MOOD, EVENT]


def test_a_slow_reader_holds_up_nobody(pipe: tuple[int, int]) -> None:
    output = StdoutOutput(descriptor=pipe[1])
    output.start()
    for number in range(20 * EVENT_LIMIT):
        output.event({"number": number, "padding": "x" * 500})
    assert output.health()["dropped"] > 0
    assert len(output._mailbox._waiting) <= EVENT_LIMIT
    numbers: list[int] = []
    with os.fdopen(os.dup(pipe[0])) as reader:
        while len(numbers) + output.health()["dropped"] < 20 * EVENT_LIMIT:
            numbers.append(json.loads(reader.readline())["number"])
    output.close(PATIENCE)
    assert not output._thread.is_alive()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 20 * EVENT_LIMIT - 1


def test_what_a_slow_reader_leaves_does_not_come_after_what_the_next_output_prints(
    pipe: tuple[int, int],
) -> None:
    before, after = StdoutOutput(descriptor=pipe[1]), StdoutOutput(descriptor=pipe[1])
    before.start()
    for number in range(EVENT_LIMIT):
        before.event({"number": number, "padding": "x" * 500})
    before.close(0.05)  # gives up on the reader
    after.start()
    for number in range(EVENT_LIMIT, 2 * EVENT_LIMIT):
        after.event({"number": number, "padding": "x" * 500})
    numbers: list[int] = []
    with os.fdopen(os.dup(pipe[0])) as reader:
        while not numbers or numbers[-1] != 2 * EVENT_LIMIT - 1:
            numbers.append(json.loads(reader.readline())["number"])
    before._thread.join(PATIENCE)
    after.close(PATIENCE)
    assert numbers == sorted(numbers)
    dropped = before.health()["dropped"]
    assert dropped > 0
    assert len(numbers) + dropped == 2 * EVENT_LIMIT


def test_a_closed_pipe_ends_it_and_is_told_once(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    output = StdoutOutput(descriptor=pipe[1])
    output.start()
    os.close(pipe[0])
    for _ in range(100):
        output.event(EVENT)
    wait_for(lambda: not output.health()["connected"], "the end")
    output.event(EVENT)
    output.close(PATIENCE)
    health = output.health()
    assert health["dropped"] == 101
    assert "has gone" in health["problem"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_full_disk_is_told_once_and_survived(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """/dev/full is a disk that is full; then somebody makes space."""
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        output = StdoutOutput(descriptor=os.dup(full.fileno()))
    descriptor = output._descriptor
    assert descriptor is not None
    output.start()
    for _ in range(5):
        output.event(EVENT)
    wait_for(lambda: output.health()["dropped"] == 5, "the failures")
    assert "No space left on device" in output.health()["problem"]
    assert output.health()["connected"] is True
    with (tmp_path / "out").open("wb") as better:
        os.dup2(better.fileno(), descriptor)
    output.event(EVENT)
    output.close(PATIENCE)
    os.close(descriptor)
    assert json.loads((tmp_path / "out").read_text()) == EVENT
    assert output.health()["problem"] is None
    assert len(caplog.records) == 1


def test_a_torn_line_does_not_spoil_the_next(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = StdoutOutput(descriptor=pipe[1])
    real_write, calls = os.write, []

    def write(descriptor: int, data: memoryview) -> int:
        if descriptor != pipe[1]:
            return real_write(descriptor, data)
        calls.append(bytes(data))
        if len(calls) == 1:
            return real_write(descriptor, data[:5])
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    output.start()
    output.event(EVENT)
    output.event(EVENT)
    output.close(PATIENCE)
    lines = os.read(pipe[0], 100_000).decode().splitlines()
    assert lines[0] == json.dumps(EVENT, separators=(",", ":"))[:5]
    assert [json.loads(line) for line in lines[1:]] == [EVENT]


def test_where_only_the_end_of_a_torn_line_finds_room_no_line_is_empty(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (tmp_path / "out").open("wb", buffering=0) as file:
        lines = LineFile(file.fileno())
        try:
            for room in (5, 6):
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
                with pytest.raises(OSError, match="File too large"):
                    lines.write(b"0123456789\n")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        lines.write(b"whole\n")
    assert (tmp_path / "out").read_bytes() == b"01234\nwhole\n"


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    output = StdoutOutput(descriptor=pipe[1])
    output.start()
    for number in range(EVENT_LIMIT):
        output.event({"number": number, "padding": "x" * 2000})
    with os.fdopen(os.dup(pipe[0])) as reader:
        numbers = [json.loads(reader.readline())["number"] for _ in range(EVENT_LIMIT)]
    output.close(PATIENCE)
    assert numbers == list(range(EVENT_LIMIT))


def test_what_is_no_json_is_dropped(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    output = StdoutOutput(descriptor=pipe[1])
    output.start()
    output.event({"bad": float("nan")})
    output.event({"bad": object()})
    output.event(EVENT)
    output.close(PATIENCE)
    assert read_lines(pipe[0]) == [EVENT]
    assert output.health()["dropped"] == 2
    assert "a bug in SerenBox" in caplog.text


PROGRAM = """
import sys
from serenbox.outputs.stdout import StdoutOutput
output = StdoutOutput()
output.start()
for number in range(200):
    output.event({"number": number})
output.close(5)
print(output.health()["problem"], file=sys.stderr)
"""


def run_in_shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_it_ends_quietly_when_nobody_reads_any_more() -> None:
    command = f"{sys.executable} -c '{PROGRAM}' | head -n 1"
    done = run_in_shell(command)
    assert done.stdout == '{"number":0}\n'
    assert "Traceback" not in done.stderr
    assert "Fatal" not in done.stderr


def test_it_says_so_when_standard_output_is_closed() -> None:
    command = f"{sys.executable} -c '{PROGRAM}' >&-"
    done = run_in_shell(command)
    assert "standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_reader_that_never_reads_does_not_hold_up_the_end_of_the_program() -> None:
    program = PROGRAM.replace("close(5)", "close(0.1)").replace(
        "number}", 'number, "x": "x" * 999}'
    )
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0
        assert done.stderr == b"None\n"
    finally:
        os.close(reader)
        os.close(writer)
