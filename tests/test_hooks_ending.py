"""How real hooks end, with all their processes, if they would not by themselves."""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from serenbox.hooks import output as output_module
from serenbox.hooks import process
from serenbox.hooks.output import HookOutput
from tests.hook_output import change, hook, lives, pid_in, running, script, wait_runs
from tests.mosquitto import wait_for


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "serenbox.hooks")


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
