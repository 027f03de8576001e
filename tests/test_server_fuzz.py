"""A short fuzz run, and whether such a run finds what it looks for."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from serenbox.image_header import read_header
from serenbox.images import read_image
from serenbox.server.settings import ServerSettings
from tests.benchmarks.server import mutations
from tests.benchmarks.server.fuzz import Fuzz
from tests.benchmarks.server.outcome import Outcome, fault, most_growth

if TYPE_CHECKING:
    from pathlib import Path


def answer(status: int, body: str = "", *, length: bool = False) -> bytes:
    line = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"HTTP/1.1 {status} Reason\r\n{line}\r\n{body}".encode()


def error(status: int) -> str:
    return json.dumps({"status": status, "error": "name", "message": "sentence"})


def test_short_run(portrait_file: Path, tmp_path: Path) -> None:
    outcome = Fuzz(portrait_file, tmp_path, requests=300, crowd=100, seed=6).run()

    assert outcome.problems() == []
    assert outcome.requests >= 300
    assert outcome.described["test_cases"]["generated"] >= 20
    assert {"200", "415"} <= set(outcome.codes["crowd"])
    assert set(outcome.codes["slow"]) == {"408", "none"}
    assert len(outcome.memory) == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no answer"),
        (b"\x00\x01", "an answer that is not HTTP"),
        (answer(500, error(500)), "status 500"),
        (answer(502), "status 502"),
        (answer(200, "Traceback (most recent call last)"), "a traceback"),
        (answer(415, "<html>"), "an error that is not JSON"),
        (answer(415, error(400)), "an error that is not JSON"),
        (answer(200, "{}"), ""),
        (answer(415, error(415)), ""),
        (answer(415) + answer(400, error(400)), ""),
        (answer(415, error(415), length=True) + answer(400, error(400)), ""),
        (answer(415, "<html>", length=True) + answer(400), "an error that is not JSON"),
        (answer(503, error(503)), ""),
    ],
)
def test_what_is_wrong_with_an_answer_is_found(content: bytes, problem: str) -> None:
    found = fault(content, whole=True)

    assert found.startswith(problem) if problem else not found


def test_a_broken_head_need_not_be_answered() -> None:
    assert fault(b"", whole=False) == ""


def test_what_is_wrong_with_a_run_is_found() -> None:
    limit = most_growth(ServerSettings())
    well = Outcome(workers=({1, 2}, {1, 2}), memory=[(10, 10 + limit, 10)], code=0)
    ill = Outcome(
        faults=["a fault"],
        described={"exit_code": 1, "failures": [{"title": "T", "count": 2}], "errors": []},
        workers=({1, 2}, {1, 3}),
        memory=[(10, 11 + limit, 10)],
        log="[CRITICAL] WORKER TIMEOUT",
        code=1,
    )

    assert well.problems() == []
    assert len(ill.problems()) == 6


def test_the_same_chance_gives_the_same_requests(portrait_file: Path) -> None:
    files = mutations.sources(read_image(portrait_file))
    makers = (mutations.picture_request, mutations.head_request, mutations.bomb_request)

    for make in makers:
        first, second = ([make(files, random.Random(5)) for _ in range(9)] for _ in range(2))  # noqa: S311
        assert first == second


def test_a_huge_size_stands_in_the_header(portrait_file: Path) -> None:
    files = mutations.sources(read_image(portrait_file))
    changed = [mutations.with_size(content, 4321, 1234) for content in files]
    sizes = {(header.width, header.height) for header in map(read_header, changed)}

    assert sizes == {(4321, 1234), (112, 112)}  # WebP and TIFF keep their size
    assert read_image(mutations.png_of_zeros(30, 20)).shape == (20, 30, 3)
