"""Tests of `docs/web.md`: its tables and its examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serenbox import web
from serenbox.settings.schema import Settings, WebSettings
from serenbox.web.output import WebOutput
from serenbox.web.preview import LIMIT
from tests.mosquitto import wait_for
from tests.ports import free_port
from tests.test_web_metrics import expose
from tests.web_box import HAPPY, Box
from tests.web_client import ask_json, say
from tests.web_page import running_page

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "web.md").read_text(encoding="utf-8")


def cells(after: str) -> set[str]:
    """Return the code spans in the first column of the table that follows these words."""
    table = TEXT.split(after, 1)[1].split("|---", 1)[1].split("\n\n", 1)[0]
    first = (line.split("|")[1] for line in table.splitlines()[1:])
    return {name for cell in first for name in re.findall(r"`([^`]+)`", cell)}


def test_the_tables_name_everything() -> None:
    box = Box()
    rules = {rule.rule for rule in box.client.application.url_map.iter_rules()}
    programs = {rule for rule in rules if re.match("/(api|healthz|metrics)", rule)}
    named = {re.sub(r"^[A-Z]+ |\?.*", "", request) for request in cells("## For programs\n")}
    either = "/api/<any(pause, resume):name>"
    assert named - {"day"} == programs - {either} | {"/api/pause", "/api/resume"}
    assert cells("### Health\n") == set(box.board.health())
    metrics = re.findall(r"^(serenbox_\w+)", expose(), re.MULTILINE)
    assert cells("### Metrics\n") - {"process_…"} == set(metrics)


def test_every_refusal_of_a_request_has_a_reason() -> None:
    table = TEXT.split("| code | reason |\n", 1)[1].split("\n\n", 1)[0]
    codes = {code for line in table.splitlines() for code in re.findall(r"\d{3}", line[:12])}
    post = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    requests = (
        b"no HTTP\r\n\r\n",
        post + b"Content-Length: 9999\r\n\r\n" + bytes(9999),
        post + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
        post + b"Transfer-Encoding: gzip\r\n\r\n",
    )
    with running_page() as page:
        answers = [say(page.port, request)[9:12].decode() for request in requests]

    assert answers == ["400", "413", "417", "431", "501"]
    assert codes >= {*answers, "500"}


def test_the_preview_lasts_as_long_as_is_promised() -> None:
    page = (Path(web.__file__).parent / "static" / "app.js").read_text(encoding="utf-8")
    assert "five minutes have passed" in " ".join(TEXT.split())
    assert "five minutes at most" in page
    assert LIMIT == 5 * 60


def test_the_screenshots_are_not_taken_for_want_of_help() -> None:
    (module,) = re.findall(r"`python -m (\S+)` takes the screenshots", TEXT)
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout.startswith("usage: screenshots.py [-h]\n")


@pytest.fixture
def port() -> Iterator[int]:
    """The port of the page of a box that sees somebody happy."""
    port = free_port()
    output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
    output.start()
    output.mood(HAPPY)
    wait_for(lambda: output.health()["connected"], "the page")
    wait_for(
        lambda: any(step["seconds"] for step in ask_json(port, "/api/history")["steps"]), "seconds"
    )
    yield port
    output.close(5)


@pytest.mark.parametrize(
    ("containing", "printed"), [("/api/events", "happy 0.9"), ("/api/history", "{'happy': '100%'}")]
)
def test_the_examples(port: int, containing: str, printed: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    program = next(str(block) for block in blocks if containing in block)
    assert len(re.findall(r"^.", program, re.MULTILINE)) <= 5
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program.replace("8765", str(port))],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{printed}\n"
        process.kill()
