"""Whether the service asks the kernel to keep its pages out of the swap."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import TYPE_CHECKING

from serenbox.daemon.memory import lock_memory
from tests.mosquitto import required_program

if TYPE_CHECKING:
    import pytest

UNLIMITED = """
import resource
resource.getrlimit = lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
from serenbox.daemon.memory import lock_memory
print(lock_memory())
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
    # How it answers depends on the machine's own limit.
    assert "mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) = " in result.stderr
    granted = "MCL_ONFAULT) = 0" in result.stderr
    assert result.stdout == f"{granted}\n"
