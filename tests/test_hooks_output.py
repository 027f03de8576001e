"""Tests with real hooks, which misbehave in every way."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.hooks import output as output_module
from serenbox.hooks import process
from serenbox.hooks.lines import LINES
from serenbox.hooks.output import HookOutput
from serenbox.outputs.messages import event_message, mood_message
from serenbox.settings.schema import HookEvent, HookSettings
from tests.mosquitto import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serenbox.hooks")


def script(path: Path, text: str, *, interpreter: str = "/bin/sh") -> str:
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)
    return str(path)


@contextmanager
def running(*hooks: HookSettings) -> Iterator[HookOutput]:
    output = HookOutput(hooks)
    output.start()
    try:
        yield output
    finally:
        output.close(5.0)
        assert not output._thread.is_alive()


def hook(*command: str, events: tuple[HookEvent, ...] = ("mood",), **more: Any) -> HookSettings:  # noqa: ANN401 - values of settings
    return HookSettings(events, command, **more)


def change(mood: str = "happy", previous: str = "sad") -> dict[str, Any]:
    return event_message(mood_message("den", 0.0, "sensing", None, 0.0) | {"mood": mood}, previous)


def wait_runs(output: HookOutput, count: int) -> None:
    def runs() -> int:
        health = output.health()
        return int(health["published"] + health["failed"])

    wait_for(lambda: runs() >= count and not output.health()["running"], f"{count} runs")
    assert runs() == count


def lives(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), f"a process in {path}")
    return int(path.read_text())


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


def test_one_that_hangs_is_ended_with_all_its_processes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.3)
    child, parent = tmp_path / "child", tmp_path / "parent"
    told = script(
        tmp_path / "hang",
        f"trap '' TERM\nsh -c 'trap \"\" TERM; echo $$ > {child}; while :; do sleep 1; done' &\n"
        f"echo $$ > {parent}; while :; do sleep 1; done",
    )
    with running(hook(told, timeout=0.5)) as output:
        output.event(change())
        pids = pid_in(parent), pid_in(child)
        assert all(map(lives, pids))
        wait_runs(output, 1)
        wait_for(lambda: not any(map(lives, pids)), "the end of all of it")
        assert output.health()["problem"] == "hang took longer than 0.5 s and was ended"
    assert len(caplog.messages) == 1


def test_every_process_of_one_that_is_ended_may_clean_up(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"
    child = f"trap 'echo yes > {cleaned}; exit' TERM; while :; do sleep 0.1; done"
    told = script(tmp_path / "hook", f"sh -c {shlex.quote(child)} &\ntrap '' TERM\nwait; wait")
    with running(hook(told, timeout=0.5)) as output:
        output.event(change())
        wait_runs(output, 1)
        assert output.health()["failed"] == 1
    assert cleaned.read_text() == "yes\n"


def test_the_service_goes_before_its_hooks() -> None:
    run = process.HookProcess(("sleep", "60"), b"", print, timeout=60, now=0.0)
    pid, own = run._process.pid, os.getpriority(os.PRIO_PROCESS, 0)
    try:
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + 10)
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "500\n"
    finally:
        run.stop(0.0, 1.0)
        wait_for(lambda: run.turn(0.0), "its end")


def test_what_a_hook_leaves_behind_is_ended(tmp_path: Path) -> None:
    child = tmp_path / "child"
    told = script(tmp_path / "hook", f"sleep 600 & echo $! > {child}")
    with running(hook(told)) as output:
        output.event(change())
        wait_runs(output, 1)
        assert output.health()["published"] == 1
        wait_for(lambda: not lives(pid_in(child)), "the end of the child")


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


def test_closing_ends_what_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_module, "_GRACE_AT_CLOSE", 0.5)
    child, polite = tmp_path / "child", tmp_path / "polite"
    stubborn = script(
        tmp_path / "stubborn", f"trap '' TERM; echo $$ > {child}; while :; do sleep 1; done"
    )
    gentle = script(
        tmp_path / "gentle", f"trap 'echo yes > {polite}; exit' TERM; while :; do sleep 0.1; done"
    )
    with running(hook(stubborn, timeout=600), hook(gentle, timeout=600)) as output:
        output.event(change())
        pid = pid_in(child)
        wait_for(lambda: output.health()["running"] == 2, "both")
        output.event(change("sad"))
        time.sleep(0.2)  # the gentle one sets its trap
    assert not lives(pid)
    assert polite.read_text() == "yes\n"
    assert output.health()["running"] == 0
    assert output.health()["dropped"] == 2
    assert not any("said at most once an hour" in line for line in caplog.messages)
    output.event(change())
    assert output.health()["dropped"] == 3


def test_closing_ends_one_that_is_being_ended(tmp_path: Path) -> None:
    child = tmp_path / "child"
    told = script(tmp_path / "hook", f"trap '' TERM; echo $$ > {child}; while :; do sleep 1; done")
    output = HookOutput([hook(told, timeout=0.2)])
    output.start()
    output.event(change())
    pid = pid_in(child)
    time.sleep(0.3)
    output.close(0.5)
    wait_for(lambda: not lives(pid), "its end")


def test_a_frozen_one_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    told = script(tmp_path / "hook", f"echo $$ > {pid_file}; kill -STOP $$")
    with running(hook(told, timeout=0.3)) as output:
        output.event(change())
        wait_runs(output, 1)
    assert not lives(int(pid_file.read_text()))


def test_a_mistake_of_ours_ends_the_hooks_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    output = HookOutput([hook("sleep", "60")])
    output.start()
    output.event(change())
    wait_for(lambda: output.health()["running"], "the run")
    output.event({"event": "mood", "mood": "happy"})
    wait_for(lambda: not output.health()["connected"], "the end")
    assert "a bug in SerenBox" in output.health()["problem"]
    assert output.health()["running"] == 0
    assert len(caplog.messages) == 1
    output.event(change())
    output.close(1.0)


def test_nothing_is_left_open() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough

    def children() -> set[str]:
        """Return the children of this process, including dead ones not yet waited for."""
        own = f"PPid:\t{os.getpid()}\n"
        found = set()
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):  # it has ended
                if own in status.read_text():
                    found.add(status.parent.name)
        return found

    before, threads, others = descriptors(), threading.active_count(), children()
    with running(hook("true"), hook("/nowhere"), hook("sleep", "9", timeout=0.1)) as output:
        for count in range(1, 6):
            output.event(change())
            wait_runs(output, 3 * count)
    assert descriptors() == before
    assert threading.active_count() == threads
    assert children() <= others
