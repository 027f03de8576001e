"""The checks of the service and its history behind `serenbox check`, without systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.doctor import Roots, examine, service
from serenbox.settings import loader
from tests.machines import bare_machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("active", "ok"),
        ("activating", "warn"),
        ("failed", "fail"),
        ("inactive", "warn"),
        ("", "warn"),
    ],
)
def test_unit_is_judged_by_its_state(answer: str, state: str) -> None:
    result = service.judge_unit({"ActiveState": answer} if answer else {})
    assert result.state == state
    assert bool(result.mend) is (state != "ok")


@pytest.fixture
def systemd(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for what `systemctl show` and the journal answer, on a machine with systemd."""
    (roots.run / "systemd" / "system").mkdir(parents=True)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name, words in (
        ("systemctl", '"show --property "*" serenbox.service"'),
        ("journalctl", '*" --lines=1 _SYSTEMD_UNIT=serenbox.service"'),
    ):
        (folder / f"{name}.says").touch()
        program = folder / name
        program.write_text(f'#!/bin/sh\ncase "$*" in {words}) cat "$0.says";; esac\n')
        program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("properties", "said", "seen"),
    [
        (
            ("activating", "auto-restart", "7", "exit-code", "1"),
            "ERROR the model fails\n",
            "ends by itself (exit status 1); restarts so far: 7; last words: ERROR the model fails",
        ),
        (
            ("activating", "auto-restart", "1", "signal", "9"),
            "",
            "ends by itself (signal 9); restarts so far: 1",
        ),
        (
            ("activating", "start", "2", "success", "0"),
            "",
            "has ended by itself, and is being started; restarts so far: 2",
        ),
        (
            ("failed", "failed", "0", "exit-code", "2"),
            "WARNING line 2\nERROR line 3\n",
            "has failed (exit status 2); last words: ERROR line 3",
        ),
    ],
)
def test_a_service_that_ends_by_itself_fails_with_its_last_words(
    roots: Roots, systemd: Path, properties: tuple[str, ...], said: str, seen: str
) -> None:
    names = ("ActiveState", "SubState", "NRestarts", "Result", "ExecMainStatus")
    lines = (f"{name}={value}\n" for name, value in zip(names, properties, strict=True))
    (systemd / "systemctl.says").write_text("".join(lines))
    (systemd / "journalctl.says").write_text(said)
    result = service.check_unit(roots)
    assert (result.state, result.seen) == ("fail", f"serenbox.service {seen}")
    assert result.mend == "journalctl --unit serenbox.service --lines 50"


def test_a_service_that_was_restarted_once_and_runs_is_well(roots: Roots, systemd: Path) -> None:
    (systemd / "systemctl.says").write_text("ActiveState=active\nSubState=running\nNRestarts=3\n")
    assert service.check_unit(roots).state == "ok"


def test_no_systemd_is_no_failure(roots: Roots) -> None:
    assert service.check_unit(roots).state == "ok"
    running = service.check_unit(roots, {"state": "sensing", "pid": 77})
    process = "process 77, a `serenbox run` that systemd has not started"
    assert running.state == "ok"
    assert running.seen == f"{process}; what it was started with is not known"


NOT_INSTALLED = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nNRestarts=0\n"
STOPPED = NOT_INSTALLED.replace("not-found", "loaded")
ENABLE = "sudo systemctl enable --now serenbox.service"
MASKED = NOT_INSTALLED.replace("not-found", "masked")


@pytest.mark.parametrize(
    ("properties", "seen", "mend"),
    [
        (
            NOT_INSTALLED,
            "none runs, and serenbox.service is not installed",
            "sudo systemd/install.sh  # in SerenBox's checkout",
        ),
        (
            STOPPED,
            "serenbox.service is inactive: it is not sensing",
            ENABLE,
        ),
        (
            MASKED,
            "serenbox.service is masked: nothing can start it",
            f"sudo systemctl unmask serenbox.service && {ENABLE}",
        ),
    ],
    ids=["missing", "stopped", "masked"],
)
def test_a_unit_that_does_not_run(
    roots: Roots, systemd: Path, properties: str, seen: str, mend: str
) -> None:
    (systemd / "systemctl.says").write_text(properties)
    result = service.check_unit(roots)
    assert (result.state, result.seen, result.mend) == ("warn", seen, mend)
    running = service.check_unit(roots, {"state": "sensing", "pid": 77})
    assert running.state == "ok"
    assert running.seen.startswith("process 77, a `serenbox run` that systemd has not started")
    paused = service.check_unit(roots, {"state": "paused", "pid": 77})
    assert (paused.state, paused.mend) == ("warn", "serenbox resume")


def test_a_pause_of_the_unit_is_ended_with_sudo(roots: Roots, systemd: Path) -> None:
    (systemd / "systemctl.says").write_text("LoadState=loaded\nActiveState=active\n")
    result = service.check_unit(roots, {"state": "paused", "pid": 77})
    assert (result.state, result.mend) == ("warn", "sudo serenbox resume")


def test_a_pause_is_told(roots: Roots) -> None:
    running = {"state": "paused", "pid": 77, "problem": None}
    result = service.check_unit(roots, running)
    assert (result.state, result.mend) == ("warn", "serenbox resume")
    assert result.seen.endswith("until somebody resumes it")
    result = service.check_unit(roots, running | {"problem": "this will be forgotten"})
    assert result.state == "fail"
    assert result.seen.endswith("until somebody resumes it; this will be forgotten")


def test_what_the_running_service_has_a_problem_with_fails(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mkv").touch()
    config = tmp_path / "serenbox" / "serenbox.toml"
    config.parent.mkdir()
    on = "enabled = true\n"
    config.write_text(f'[camera]\nsource = "{tmp_path}/clip.mkv"\n[web]\n{on}[history]\n{on}')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "none")
    outputs = {
        name: {"connected": False, "problem": f"trouble of {name}"} for name in ("web", "history")
    }
    outputs["hooks"] = {"connected": True, "problem": "trouble of hooks"}
    outputs["stdout"] = {"connected": False, "problem": "trouble of stdout"}
    running = {"state": "no_camera", "problem": "trouble of the camera", "outputs": outputs}
    monkeypatch.setattr(service, "ask_running", lambda: running)
    told = [result for result in examine(roots=roots) if result.seen.startswith("trouble")]
    assert [(result.name, result.state, result.seen) for result in told] == [
        ("camera", "fail", "trouble of the camera"),
        ("page", "fail", "trouble of web"),
        ("hooks", "warn", "trouble of hooks"),
        ("stdout", "fail", "trouble of stdout"),
        ("history", "fail", "trouble of history"),
    ]
    assert all(result.mend for result in told)
    of_another = list(examine(config, roots=roots))
    assert not [result for result in of_another if result.seen.startswith("trouble")]
    running |= {"state": "paused", "outputs": {}}
    assert [result.name for result in examine(roots=roots) if "trouble" in result.seen] == [
        "service"
    ]


def test_the_history_that_a_running_service_keeps_is_not_to_be_removed(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "serenbox.toml"
    config.touch()
    running = {"state": "sensing", "outputs": {"history": {"connected": True, "problem": None}}}
    monkeypatch.setattr(service, "ask_running", lambda: running)
    (kept,) = [result for result in examine(config, roots=roots) if result.name == "history"]
    assert (kept.state, kept.mend) == ("ok", "")
    assert kept.seen == "off, but the running service was started with it on"
