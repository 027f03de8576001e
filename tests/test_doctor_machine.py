"""The doctor's checks of heat, throttling and disk."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon import volatile
from serenbox.doctor import Roots, machine
from tests.machines import OVERLAY_ROOT, add_zone, bare_machine, mount
from tests.rights import closed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


@pytest.mark.parametrize(
    ("millidegrees", "state"), [("48312", "ok"), ("75000", "warn"), ("86000", "fail")]
)
def test_heat_is_judged_by_the_processor(roots: Roots, millidegrees: str, state: str) -> None:
    add_zone(roots, 0, "cpu-thermal", millidegrees)
    add_zone(roots, 1, "wifi", "99000")
    add_zone(roots, 2, "cpu-asleep", "")
    result = machine.check_temperature(roots)
    assert result.state == state
    assert result.seen.startswith(f"{round(int(millidegrees) / 1000)} °C (cpu-thermal)")


def test_no_sensor_is_no_failure(roots: Roots) -> None:
    assert machine.check_temperature(roots).state == "ok"


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (None, "ok", "not known"),
        ("throttled=0x0\n", "ok", "none"),
        ("throttled=0x50005\n", "warn", "now: under-voltage, throttled"),
        ("80000", "warn", "since the start: soft limit"),
        ("VCHI initialization failed", "warn", "VCHI"),
    ],
)
def test_throttling_is_read_from_the_bits(answer: str | None, state: str, words: str) -> None:
    result = machine.check_throttling(answer)
    assert result.state == state
    assert words in result.seen


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_firmware_is_asked_through_sys(roots: Roots, soc: str) -> None:
    file = roots.sys / f"devices/platform/{soc}/{soc}:firmware/get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text("50000\n")
    assert machine.ask_firmware(roots) == "50000\n"


def test_firmware_is_asked_through_its_program(
    roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.ask_firmware(roots) is None
    program = tmp_path / "vcgencmd"
    program.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x4\n')
    program.chmod(0o755)
    assert machine.ask_firmware(roots) == "throttled=0x4\n"
    program.write_text("#!/bin/sh\nexit 255\n")
    assert machine.ask_firmware(roots) is None


def test_a_disk_that_is_mounted_read_only_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.statvfs

    def read_only(path: Path) -> os.statvfs_result:
        found = list(really(path))
        found[8] |= os.ST_RDONLY
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", read_only)
    result = machine.check_disk(tmp_path)
    assert result.state == "fail"
    assert f"{tmp_path} is on a file system that is mounted read-only" in result.seen
    _, _, question = result.mend.partition("remount,rw ")
    asked = subprocess.run(
        ["sh", "-c", f"printf %s {question}"], capture_output=True, text=True, check=True
    )
    assert os.stat(asked.stdout).st_dev == tmp_path.stat().st_dev  # noqa: PTH116


def test_disk_is_judged_where_the_state_would_be(tmp_path: Path) -> None:
    result = machine.check_disk(tmp_path / "not" / "there" / "yet")
    assert str(tmp_path) in result.seen
    assert machine.judge_room(1 << 30, tmp_path).state == "ok"
    assert machine.judge_room(50 << 20, tmp_path).state == "warn"
    assert machine.judge_room(1 << 20, tmp_path).state == "fail"


def test_disk_of_a_state_folder_that_is_closed(tmp_path: Path) -> None:
    with closed(tmp_path):
        result = machine.check_disk(tmp_path / "state")
    assert "MiB free at /" in result.seen


def test_a_disk_in_memory_is_worth_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.check_disk(tmp_path / "state").state == "ok"
    monkeypatch.setattr(volatile, "_TEMPORARY", ())
    mount(tmp_path, monkeypatch, *OVERLAY_ROOT)
    result = machine.check_disk(tmp_path / "state")
    assert (result.state, result.mend) == ("warn", f"findmnt --target {tmp_path}")
    assert f"because {tmp_path / 'state'} is kept in memory only" in result.seen
