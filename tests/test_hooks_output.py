"""Real hooks: what runs them, what they get, and what is said of their failures."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from serenbox.hooks.lines import LINES
from serenbox.hooks.output import HookOutput
from serenbox.outputs.messages import mood_message
from tests.hook_output import change, hook, running, script, wait_runs
from tests.mosquitto import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serenbox.hooks")


def test_a_hook_gets_the_event_on_standard_input_and_its_arguments(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    told = script(tmp_path / "hook", f'printf "%s|" "$@" > {seen}; cat >> {seen}')
    with running(hook(told, "two words", "", "$HOME; *")) as output:
        output.event(change())
        wait_runs(output, 1)
        assert output.health() == {
            "connected": True,
            "published": 1,
            "failed": 0,
            "dropped": 0,
            "running": 0,
            "problem": None,
        }
    arguments, _, message = seen.read_text().rpartition("|")
    assert arguments == "two words||$HOME; *"
    assert json.loads(message) == change()
    assert message.endswith("}\n")


def test_only_what_a_hook_is_for_runs_it(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    told = script(tmp_path / "hook", f"cat >> {seen}")
    with running(hook(told, events=("face", "error"))) as output:
        output.event(change("sad", "happy"))
        output.event(change("happy", "no_face"))
        wait_runs(output, 1)
        output.mood(mood_message("den", 0.0, "no_camera", None, 0.0, problem="gone"))
        wait_runs(output, 2)
        output.stats(change() | {"outputs": {"mqtt": {"problem": "refused"}}})
        wait_runs(output, 3)
    events = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [(event["event"], event.get("source")) for event in events] == [
        ("face", None),
        ("error", "camera"),
        ("error", "mqtt"),
    ]


def test_troubles_that_come_together_are_all_told(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with running(hook(script(tmp_path / "hook", f"cat >> {seen}"), events=("error",))) as output:
        output.stats(
            change() | {"outputs": {"mqtt": {"problem": "refused"}, "history": {"problem": "full"}}}
        )
        wait_runs(output, 2)
        assert output.health()["dropped"] == 0
    events = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [event["source"] for event in events] == ["mqtt", "history"]


def test_a_camera_that_soon_comes_back_is_told(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    output = HookOutput([hook(script(tmp_path / "hook", f"cat >> {seen}"), events=("error",))])
    output._mailbox.open()
    for number in range(2):
        output.mood(mood_message("den", number, "no_camera", None, 0.0, problem=f"gone {number}"))
        output.mood(mood_message("den", number, "no_camera", None, 0.0))
    output.start()  # late, as if its thread were slow
    wait_runs(output, 1)
    output.close(5.0)
    assert json.loads(seen.read_text())["problem"] == "gone 1"
    assert output.health()["dropped"] == 1  # only the newest of a kind waits


def test_a_hook_inherits_no_secret_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    secrets = {
        "SERENBOX_MQTT_PASSWORD": "geheim1",
        "SERENBOX_WEB_TOKEN": "geheim2",
        "CREDENTIALS_DIRECTORY": "/run/credentials/geheim3",
        "NOTIFY_SOCKET": "/run/geheim4",
        "AWS_SECRET_ACCESS_KEY": "geheim5",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    told = script(
        tmp_path / "hook",
        "import json, os\n"
        "files = {int(name): os.readlink(f'/proc/self/fd/{name}') for name in "
        "os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{name}')}\n"
        "own_session = os.getsid(0) == os.getpid()\n"
        f"json.dump([dict(os.environ), files, own_session], open({str(seen)!r}, 'w'))",
        interpreter=f"{sys.executable} -S",
    )
    leaks = [os.open(tmp_path, os.O_RDONLY), os.open(os.devnull, os.O_WRONLY)]
    for descriptor in leaks:
        os.set_inheritable(descriptor, True)
    with running(hook(told)) as output:
        output.event(change())
        wait_runs(output, 1)
    for descriptor in leaks:
        os.close(descriptor)
    environment, files, own_session = json.loads(seen.read_text())
    assert "geheim" not in json.dumps(environment)
    assert environment["PATH"] == os.environ["PATH"]
    assert own_session
    # Besides the three standard ones, only the folder that the hook itself is reading.
    assert {"0", "1", "2"} <= set(files)
    others = {target for number, target in files.items() if int(number) > 2}
    assert {target for target in others if not target.startswith("/proc/")} == set()


def test_one_at_a_time_and_the_newest_of_each_event_waits(tmp_path: Path) -> None:
    seen, gate, begun = tmp_path / "seen", tmp_path / "gate", tmp_path / "begun"
    told = script(
        tmp_path / "hook",
        f"cat >> {seen}; echo x >> {begun}; while [ ! -e {gate} ]; do sleep 0.05; done",
    )
    with running(hook(told, events=("mood", "paused", "no_face"), timeout=60)) as output:
        output.event(change("angry"))
        wait_for(begun.exists, "the first run")
        for mood in ("paused", "sad", "no_face", "fear", "surprise"):
            output.event(change(mood))
        wait_for(lambda: output.health()["dropped"] == 4, "events that gave way")
        assert output.health()["running"] == 1
        assert seen.read_text().count("\n") == 1
        gate.touch()
        wait_runs(output, 4)
    events = [json.loads(line) for line in seen.read_text().splitlines()]
    assert [(event["event"], event["mood"]) for event in events] == [
        ("mood", "angry"),
        ("paused", "paused"),
        ("no_face", "no_face"),
        ("mood", "surprise"),
    ]


def test_hooks_do_not_wait_for_each_other(tmp_path: Path) -> None:
    quick = script(tmp_path / "quick", "exit 0")
    with running(hook("sleep", "60", timeout=60), hook(quick)) as output:
        output.event(change())
        wait_for(lambda: output.health()["published"] == 1, "the quick one")
        assert output.health()["running"] == 1


def test_one_that_floods_fills_neither_memory_nor_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    used = time.process_time()
    with running(hook("yes", "x" * 50, timeout=0.6)) as output:
        output.event(change())
        wait_runs(output, 1)
        used = time.process_time() - used
    assert len(caplog.messages) == LINES + 2
    assert "took longer than 0.6 s" in caplog.messages[-1]
    assert "lines of it are not logged" in caplog.messages[-2]
    assert used < 0.5, "the flood costs us, not the hook, most of the processor"


def test_a_long_output_is_read_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    with running(hook("seq", "100000", timeout=60)) as output:  # about 600 kB
        output.event(change())
        wait_runs(output, 1)
        assert output.health()["published"] == 1
    assert "99970 lines of it are not logged" in caplog.messages[-1]


def test_one_that_reads_nothing_does_no_harm(tmp_path: Path) -> None:
    large = change() | {"faces": ["x" * 1000] * 1000}
    with running(hook("true"), hook("sleep", "20", timeout=0.3)) as output:
        output.event(large)
        wait_runs(output, 2)
        assert output.health()["problem"] == "sleep took longer than 0.3 s and was ended"
    seen = tmp_path / "seen"
    with running(hook(script(tmp_path / "slow", f"sleep 0.3; cat > {seen}"))) as output:
        output.event(large)
        wait_runs(output, 1)
    assert json.loads(seen.read_text()) == large


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit 3", "hook failed with exit code 3"),
        ("kill -9 $$", "hook was ended by SIGKILL"),
        (None, "hook cannot be started: there is no such program"),
        ("#", "hook cannot be started: it may not be run: make it executable"),
        (
            "\0",
            "hook cannot be started: it is not a program: begin a script with a line such as #!",
        ),
    ],
)
def test_one_that_dies_or_is_missing_is_one_line(
    tmp_path: Path, text: str | None, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hook"
    if text is not None:
        script(path, text)
    if text == "#":
        path.chmod(0o644)
    if text == "\0":
        path.write_bytes(b"\0\1")
    with running(hook(str(path))) as output:
        for count in range(1, 21):
            output.event(change())
            wait_runs(output, count)
        assert output.health()["failed"] == 20
        (line,) = caplog.messages
        assert problem in line
        assert problem in output.health()["problem"]
        script(path, "exit 0")
        output.event(change())
        wait_runs(output, 21)
        assert output.health()["problem"] is None
    assert len(caplog.messages) == 1
