"""The page as an output, on a real port."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from serenbox.errors import SettingsError
from serenbox.outputs.messages import event_message
from serenbox.outputs.select import make_outputs
from serenbox.settings.schema import Settings, StdoutSettings, WebSettings
from serenbox.web.output import WebOutput
from tests.mosquitto import wait_for
from tests.ports import free_port
from tests.web_client import Viewer, answers, ask, ask_json
from tests.web_page import PAUSED, Page, running_page

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def page() -> Iterator[Page]:
    with running_page() as running:
        yield running


def test_the_settings_decide_and_nothing_is_imported_before_it_is_needed() -> None:
    program = (
        "import sys\n"
        "from serenbox.outputs.select import make_outputs\n"
        "from serenbox.settings.schema import Settings, WebSettings\n"
        "made = make_outputs(Settings(), print)\n"
        "assert 'serenbox.web' not in sys.modules\n"
        "made = make_outputs(Settings(web=WebSettings(enabled=True)), print)\n"
        "print([one.name for one in made])\n"
        "print([name for name in ('flask', 'h11', 'prometheus_client') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "['stdout', 'web']\n[]\n"


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serenbox.web.output.PACKAGES", ("flask", "no_such_package"))
    message = r"\(no_such_package missing\): run `.* '\.\[web\]'` in SerenBox's checkout, or set"
    with pytest.raises(SettingsError, match=message):
        make_outputs(Settings(web=WebSettings(enabled=True)), print)


def test_an_output_that_was_never_started_can_be_closed() -> None:
    output = WebOutput(
        Settings(web=WebSettings(enabled=True), stdout=StdoutSettings(enabled=False)), print
    )
    output.mood(PAUSED)
    output.close(1)
    assert output.health()["connected"] is False


def test_viewers_are_told_at_once_and_of_every_change(page: Page) -> None:
    with Viewer(page.port) as one, Viewer(page.port) as other:
        for viewer in (one, other):
            assert viewer.status() == 200
            viewer.wait("mood", mood="no_camera")
            viewer.wait("health", state="no_camera")
        page.output.event(event_message(PAUSED, "no_camera"))
        page.output.mood(PAUSED)
        for viewer in (one, other):
            assert viewer.wait("mood", mood="paused") == PAUSED
        wait_for(lambda: "report" in page.commands, "a report to be asked for")
        assert page.output.health()["streams"] == 2
    wait_for(lambda: page.output.health()["streams"] == 0, "viewers to have left")


def test_viewers_get_signs_of_life(page: Page) -> None:
    """By these the page knows that the box is still there."""
    with Viewer(page.port) as viewer:
        assert viewer.status() == 200
        lines = iter(viewer._answer.readline, b"")
        assert any(line.startswith(b":") for line in lines)


def test_it_rests_after_a_message(page: Page) -> None:
    page.output.mood(PAUSED)
    wait_for(lambda: ask_json(page.port, "/api/mood") == PAUSED, "the message")

    def rests() -> bool:
        return not select.select([page.output._waker], [], [], 0)[0]

    wait_for(rests, "it to have nothing to do")


def test_moods_cost_no_report_while_nobody_watches_but_health_is_asked_for(page: Page) -> None:
    for _ in range(3):
        page.output.mood(PAUSED)
        ask_json(page.port, "/api/mood")
    assert page.commands == ["report"]

    def asked() -> bool:
        ask_json(page.port, "/api/health")
        return len(page.commands) > 1

    wait_for(asked, "a report for whoever asks")
    assert page.commands == ["report"] * 2


def test_commands_from_the_page(page: Page) -> None:
    assert ask(page.port, "/api/pause", "POST")[0] == 202
    assert ask(page.port, "/api/pause", "POST", Origin="http://evil.example")[0] == 403
    assert page.commands == ["report", "pause"]


@pytest.mark.parametrize(
    ("machine", "name"), [("Box", "box.local"), ("box.example.org", "box.example.org")]
)
def test_where_all_addresses_are_open_the_log_names_one_that_a_phone_can_open(
    machine: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SERENBOX_WEB_TOKEN", "a-token-for-the-page")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    caplog.set_level("INFO", "serenbox.web")
    port = free_port()
    web = WebSettings(enabled=True, host="0.0.0.0", port=port)  # noqa: S104 - as a user sets it
    output = WebOutput(Settings(web=web), print)
    output.start()
    output.mood(PAUSED)
    wait_for(lambda: caplog.messages, "the page")
    status, _ = ask(port, "/", Host=f"{name}:{port}")
    assert status == 401, "the page goes by that name, and asks for the token"
    output.close(5)
    (told,) = caplog.messages
    everywhere = f"and at port {port} of every address of this machine"
    assert told == f"the web page is at http://{name}:{port}/, {everywhere}"


def test_a_port_that_is_taken_and_becomes_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serenbox.web.output._AGAIN", 0.1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        output = WebOutput(Settings(web=WebSettings(enabled=True, port=port)), print)
        output.start()
        output.mood(PAUSED)
        wait_for(lambda: output.health()["problem"], "a problem")
        assert "Address already in use" in output.health()["problem"]
        assert "web.port to a free port, not below 1024, where" in output.health()["problem"]
    wait_for(lambda: output.health()["connected"], "the page")
    assert answers(port)
    output.close(5)
    assert output.health()["problem"] is None
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1


def test_it_can_be_closed_while_it_waits_for_its_port() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        web = WebSettings(enabled=True, port=other.getsockname()[1])
        output = WebOutput(Settings(web=web), print)
        output.start()
        output.mood(PAUSED)
        wait_for(lambda: output.health()["problem"], "a problem")
        output.close(5)
        assert not output._thread.is_alive()
