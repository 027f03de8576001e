"""The doctor's check of picamera2, with stand-ins for what apt has installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from serenbox.doctor import picamera
from serenbox.installed import INSTALL_AGAIN, SERVICE


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in place of that in which apt puts packages for the system's Python."""
    folder = tmp_path / "dist-packages"
    folder.mkdir()
    monkeypatch.setattr(picamera, "_SYSTEM_PACKAGES", folder)
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(sys, "executable", "/home/me/env/bin/python")
    for name in [name for name in sys.modules if name.partition(".")[0] == "picamera2"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def live_in(monkeypatch: pytest.MonkeyPatch, prefix: str, base: str = "/usr") -> None:
    monkeypatch.setattr(sys, "prefix", prefix)
    monkeypatch.setattr(sys, "base_prefix", base)


VENV = "/usr/bin/python3 -m venv --system-site-packages"


def test_apt_is_proposed_only_if_picamera2_is_missing(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    live_in(monkeypatch, "/home/me/env")
    result = picamera.check_picamera2()
    assert (result.state, result.mend) == ("fail", "sudo apt install python3-picamera2")

    (system / "picamera2-1.0.dist-info").mkdir()
    assert picamera.check_picamera2().mend == "sudo apt install python3-picamera2"
    (system / "picamera2").mkdir()  # which the environment hides
    assert picamera.check_picamera2().mend == f"{VENV} --without-pip /home/me/env"
    live_in(monkeypatch, "/home/me/env", "/opt/another-python")
    other = f"{VENV} ~/serenbox-venv  # then install SerenBox there"
    assert picamera.check_picamera2().mend == other
    live_in(monkeypatch, str(SERVICE))
    assert picamera.check_picamera2().mend == INSTALL_AGAIN


@pytest.mark.parametrize(
    ("code", "own_numpy", "mend"),
    [
        ("raise ValueError('numpy.dtype size changed')", True, "pip uninstall numpy"),
        ("raise ImportError('numpy.core.multiarray failed to import')", True, "uninstall numpy"),
        ("raise ImportError('libcamera.so: not found')", False, "sudo apt full-upgrade"),
        ("import a_module_of_apt", True, "sudo apt install python3-picamera2"),
        ("import a_hidden_module.of_apt", True, f"{VENV} --without-pip /home/me/env"),
    ],
)
def test_a_picamera2_that_does_not_work(
    system: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    own_numpy: bool,
    mend: str,
) -> None:
    (tmp_path / "picamera2.py").write_text(code)
    (system / "a_hidden_module.cpython-311-aarch64-linux-gnu.so").touch()
    monkeypatch.syspath_prepend(tmp_path)
    live_in(monkeypatch, "/home/me/env")
    if not own_numpy:
        assert np.__spec__.origin is not None
        monkeypatch.setattr(picamera, "_SYSTEM_PACKAGES", Path(np.__spec__.origin).parent)
    result = picamera.check_picamera2()
    assert result.state == "fail"
    assert result.mend.endswith(mend)
    if "numpy" in mend:
        assert result.mend == "/home/me/env/bin/python -m pip uninstall numpy"
        live_in(monkeypatch, str(SERVICE))
        assert picamera.check_picamera2().mend == INSTALL_AGAIN
