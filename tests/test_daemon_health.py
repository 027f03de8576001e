from __future__ import annotations

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest

from serenbox.daemon import health


def test_what_a_raspberry_pi_tells(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("48312\n")
    assert health.temperature_c(file) == 48.312
    file.write_text("50005\n")  # low voltage and throttled, now and before
    assert health.throttled(file) is True
    file.write_text("80008\n")  # the soft limit of the temperature
    assert health.throttled(file) is True
    file.write_text("50000\n")  # before, not now
    assert health.throttled(file) is False


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_the_firmware_is_found_whatever_the_chip_is_called(tmp_path: Path, soc: str) -> None:
    platform = tmp_path / "devices/platform"
    (platform / "serial8250").mkdir(parents=True)
    (platform / "soc-audio").mkdir()
    file = platform / soc / f"{soc}:firmware" / "get_throttled"
    file.parent.mkdir(parents=True)
    file.write_text("50005\n")
    assert health.throttled_file(tmp_path) == file
    assert health.throttled(health.throttled_file(tmp_path)) is True


def test_nobody_tells(tmp_path: Path) -> None:
    assert health.temperature_c(tmp_path / "none") is None
    assert health.throttled(health.throttled_file(tmp_path)) is None
    assert health.memory_mb(tmp_path / "none") == 0
    (tmp_path / "odd").write_text("what?")
    assert health.temperature_c(tmp_path / "odd") is None
    assert health.throttled(tmp_path / "odd") is None
    assert health.memory_mb(tmp_path / "odd") == 0


def test_the_memory_is_this_processs() -> None:
    gc.collect()
    before = health.memory_mb()
    # Not from the heap, which might give back what earlier tests have left there.
    with mmap.mmap(-1, 50_000_000) as block:
        np.frombuffer(block, np.uint8).fill(1)
        assert 45 < health.memory_mb() - before < 60
    with Path("/proc/self/status").open() as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert abs(health.memory_mb() - resident * 1024 / 1e6) < 5
