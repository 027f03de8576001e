"""How soon after its start the service reports a mood, next to bare loading of its libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from serenbox.bench.bare import start_script
from serenbox.bench.process import ServiceProcess, wait_line

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.runtime_names import RuntimeName


def measure(
    folder: Path, source: str, runtime: RuntimeName, times: int
) -> tuple[list[float], list[float]]:
    """Return the seconds from exec to the first event, and those that bare loading takes.

    The two are started in turn, equally often.

    Args:
        folder: For what the services write.
        source: A clip that shows a face at once.
        runtime: What runs the models.
        times: How often to measure each.

    Raises:
        ServiceError: A process printed nothing.

    """
    ours, bare = [], []
    for number in range(times + 1):
        ours.append(_first_event(folder / f"start{number}", source))
        bare.append(_bare_loading(start_script(runtime)))
    # The first run of each may find nothing in the system's cache.
    return ours[1:], bare[1:]


def _first_event(folder: Path, source: str) -> float:
    began = time.monotonic()
    with ServiceProcess(folder, source, events=True) as service:
        service.wait_event()
        return time.monotonic() - began


def _bare_loading(script: str) -> float:
    # An installed package has its bytecode cached; so have the libraries of the bare script.
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        wait_line(process)
        return time.monotonic() - began
