"""Whether the service asks the kernel to keep its pages out of the swap and out of dumps."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from serenbox.daemon.memory import lock_memory, swap_names, warn_of_swap
from tests.daemon_process import Daemon, write_script
from tests.mosquitto import required_program

if TYPE_CHECKING:
    from pathlib import Path

UNLIMITED = """
import resource
resource.getrlimit = lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
from serenbox.daemon.memory import lock_memory
print(lock_memory())
"""

LIMITED = """
import resource, sys
from functools import partial
from pathlib import Path
from serenbox.cli import run
_, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, hard))
run.warn_of_swap = partial(run.warn_of_swap, Path(sys.argv[1]))
sys.exit(run.RunTool().main(sys.argv[2:]))
"""


def test_under_a_limit_nothing_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (8 << 20, resource.RLIM_INFINITY))
    assert not lock_memory()


def test_without_one_the_kernel_is_asked_for_what_is_meant() -> None:
    strace = required_program("strace")
    result = subprocess.run(
        [strace, "-f", "-e", "trace=mlockall", sys.executable, "-c", UNLIMITED],
        capture_output=True,
        text=True,
        check=True,
    )
    # What the kernel answers depends on the limit of the machine.
    assert "mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) = " in result.stderr
    granted = "MCL_ONFAULT) = 0" in result.stderr
    assert result.stdout == f"{granted}\n"


def test_a_crash_leaves_no_dump_of_the_memory(tmp_path: Path, portrait_file: Path) -> None:
    camera = write_script(tmp_path / "script.json", [{"frames": str(portrait_file)}], loop=True)
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_CORE)
        resource.prlimit(daemon.pid, resource.RLIMIT_CORE, (hard, hard))
        daemon.send(signal.SIGSEGV)
        ended = os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert (ended.si_status, ended.si_code) == (signal.SIGSEGV, os.CLD_KILLED)


HEADING = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
ZRAM = "/dev/zram0                              partition\t2097136\t\t0\t\t100\n"
FILE = "/var/swap\\040file                       file\t\t524284\t\t12\t\t-2\n"
DISK = "/dev/mmcblk0p3                          partition\t524284\t\t0\t\t-3\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (HEADING, []),
        (HEADING + ZRAM + FILE, ["/dev/zram0", "/var/swap\\040file"]),
    ],
)
def test_the_names_of_swaps(text: str, expected: list[str]) -> None:
    assert swap_names(text) == expected


def test_a_swap_on_the_disk_is_told_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    swaps, devices = tmp_path / "swaps", tmp_path / "block"
    backing = devices / "zram0" / "backing_dev"
    warn_of_swap(swaps, devices)
    swaps.write_text(HEADING + ZRAM)
    warn_of_swap(swaps, devices)
    backing.parent.mkdir(parents=True)
    backing.write_text("none\n")
    warn_of_swap(swaps, devices)
    assert caplog.messages == []
    swaps.write_text(HEADING + ZRAM + FILE + DISK)
    warn_of_swap(swaps, devices)
    backing.write_text("/dev/loop0\n")  # where zram writes idle pages
    warn_of_swap(swaps, devices)
    told = "parts of pictures may be written to the swap "
    assert caplog.messages[0].startswith(f"{told}/var/swap\\040file, /dev/mmcblk0p3, which")
    assert caplog.messages[1].startswith(f"{told}/dev/zram0, /var/swap")
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("swap", ["", FILE])
def test_the_service_tells_of_the_swap_where_its_memory_is_not_locked(
    tmp_path: Path, swap: str
) -> None:
    swaps, config = tmp_path / "swaps", tmp_path / "serenbox.toml"
    swaps.write_text(HEADING + swap)
    config.write_text("")
    no_folder = {"RUNTIME_DIRECTORY": str(config)}  # a file: the service ends here
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(swaps), "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **no_folder},
    )
    *told, last = result.stderr.splitlines()
    assert "the runtime folder" in last
    assert ["may be written to the swap /var/swap" in line for line in told] == [True] * bool(swap)
