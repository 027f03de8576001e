"""Reloads of the service's configuration and model."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from serenbox.models import EMOTION_MODEL
from tests.daemon_process import QUICK, Daemon, write_lively_face, write_script

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def camera(tmp_path: Path, portrait_file: Path) -> str:
    return write_lively_face(tmp_path, portrait_file)


def goes_on(daemon: Daemon) -> None:
    """Wait for new messages, and check that the mood is still happy."""
    count = len(daemon.messages)
    daemon.wait_until(lambda: len(daemon.messages) > count + 1, "further messages")
    assert daemon.messages[-1]["mood"] == "happy"


def test_a_broken_configuration_changes_nothing(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera) as daemon:
        daemon.wait_mood("happy")
        daemon.configuration.write_text(
            QUICK + '\n[device]\nnaem = "den"\n[service]\nlog_level = "error"\n'
        )
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the old configuration stays, because the new one is bad")
        assert "naem" in daemon.log[-1]
        assert "serenbox.toml, line 16" in daemon.log[-1]
        goes_on(daemon)
        daemon.configuration.write_text(QUICK + '\n[device]\nname = "den"\n')
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again")
        daemon.wait_until(lambda: daemon.messages[-1]["device"] == "den", "the new name")
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 1
    assert daemon.events == [("no_camera", "happy")]
    assert daemon.states.count("RELOADING=1") == 2
    assert daemon.states.count("READY=1") == 3


def test_a_reload_changes_what_it_concerns_and_nothing_else(tmp_path: Path, camera: str) -> None:
    quiet = f'{QUICK}\n[service]\nlog_level = "warning"\n'
    diffuser = "[mqtt]\nenabled = true\nhost = '127.0.0.1'\nport = 1\n[diffuser]\nenabled = true\n"
    with Daemon(tmp_path, camera, configuration=quiet) as daemon:
        daemon.wait_mood("happy")
        assert daemon.log == []
        daemon.configuration.write_text(f"{QUICK}\n{diffuser}")
        daemon.send(signal.SIGHUP)
        # The new level applies at once, and the diffuser has its own field.
        daemon.wait_logged("the configuration was read again")
        daemon.wait_until(lambda: "slot" in daemon.messages[-1], "the slot of the diffuser")
        goes_on(daemon)
        assert daemon.end() == 0
    assert not any("camera: script" in line for line in daemon.log)  # it was not opened again
    assert daemon.events == [("no_camera", "happy")]


def test_a_configuration_from_a_pipe_stays(tmp_path: Path, camera: str) -> None:
    """Read again, it would give the defaults, or wait for a writer without end."""
    pipe = tmp_path / "serenbox.toml"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(QUICK,))
    writer.start()
    with Daemon(tmp_path, camera) as daemon:
        writer.join()
        daemon.wait_mood("happy")
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the old configuration stays, because the new one is bad")
        assert "it is a pipe, which can be read only once" in daemon.log[-1]
        goes_on(daemon)
        assert daemon.end() == 0


def test_of_another_camera_nothing_is_said_that_was_said_of_the_one_before(tmp_path: Path) -> None:
    patient = QUICK.replace("reopens = 3", "reopens = 1000").replace("0.05", "60")

    def name(source: str) -> None:
        text = patient.replace("[camera]", f'[camera]\nsource = "{source}"')
        (tmp_path / "serenbox.toml").write_text(text)

    name("/dev/video98")
    with Daemon(tmp_path, "", name_camera=False) as daemon:
        daemon.wait_until(lambda: "video98" in told(daemon), "the problem")
        name("/dev/video99")
        daemon.send(signal.SIGHUP)
        daemon.wait_until(lambda: "video99" in told(daemon), "the other problem")
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 2


def test_while_another_camera_is_long_in_opening_no_mood_is_told(
    tmp_path: Path, camera: str
) -> None:
    named = QUICK.replace("[camera]", '[camera]\nsource = "{}"')
    daemon = Daemon(
        tmp_path, camera, configuration=named.format(camera), arguments=(), name_camera=False
    )
    with socket.create_server(("127.0.0.1", 0)) as silent, daemon:
        daemon.wait_mood("happy")
        silence = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        daemon.configuration.write_text(named.format(silence))
        daemon.send(signal.SIGHUP)
        daemon.wait_mood("no_camera")
        assert told(daemon) == "None", "it is not known to fail"
        assert daemon.end() == 0


def told(daemon: Daemon) -> str:
    """Return the problem of the camera in the last message."""
    return str(daemon.messages[-1].get("problem")) if daemon.messages else ""


def test_a_model_replaced_by_garbage_changes_nothing(tmp_path: Path, camera: str) -> None:
    model = tmp_path / "mine.tflite"
    shutil.copy(EMOTION_MODEL, model)
    with Daemon(tmp_path, camera, arguments=("--set", f"sensing.model={model}")) as daemon:
        daemon.wait_mood("happy")
        content = model.read_bytes()
        for garbage in (b"", b"garbage" * 1000, content[:-1000], content[1000:]):
            model.write_bytes(garbage)
            failures = len(daemon.warnings())
            daemon.send(signal.SIGHUP)
            daemon.wait_logged("the old configuration stays", failures + 1)
            assert "mine.tflite" in daemon.log[-1]
        goes_on(daemon)
        model.write_bytes(content)
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("the configuration was read again")
        goes_on(daemon)
        assert daemon.end() == 0
    assert len(daemon.warnings()) == 4


def test_another_camera(tmp_path: Path, camera: str) -> None:
    dark = write_script(tmp_path / "dark.json", [{"black": 1_000_000}])
    named = QUICK.replace("[camera]", '[camera]\nsource = "{}"')
    daemon = Daemon(
        tmp_path, camera, configuration=named.format(camera), arguments=(), name_camera=False
    )
    with daemon:
        daemon.wait_mood("happy")
        daemon.configuration.write_text(named.format(dark))
        daemon.send(signal.SIGHUP)
        daemon.wait_mood("no_face")
        assert daemon.end() == 0


def test_a_model_that_is_garbage_from_the_start(tmp_path: Path, camera: str) -> None:
    model = tmp_path / "mine.tflite"
    model.write_bytes(b"garbage")
    with Daemon(tmp_path, camera, arguments=("--set", f"sensing.model={model}")) as daemon:
        assert daemon.wait() == 2
    (line,) = daemon.warnings()
    assert "mine.tflite" in line


def test_a_configuration_that_is_broken_from_the_start(tmp_path: Path, camera: str) -> None:
    broken = "[camera]\nfps = 'fast'\n[mood]\ndwel = 1\n"
    with Daemon(tmp_path, camera, configuration=broken) as daemon:
        assert daemon.wait() == 2
    assert ["line 2" in daemon.log[0], "line 4" in daemon.log[1]] == [True, True]
    assert len(daemon.log) == 2


def test_checking_the_configuration(tmp_path: Path, camera: str) -> None:
    with Daemon(tmp_path, camera, arguments=("--seconds", "0.01")) as daemon:
        path = str(daemon.configuration)
        right = daemon.command("run", "--check-config", "--config", path)
        assert (right.returncode, right.stderr) == (0, "")
        daemon.configuration.write_text("[camera]\nfps = 0\n")
        wrong = daemon.command("run", "--check-config", "--config", path)
    assert wrong.returncode == 2
    assert "camera.fps" in wrong.stderr


@pytest.mark.parametrize("given", ["fps=3", "camera.fps", "camera.fps=fast", "camera.fsp=3"])
def test_a_setting_that_is_none(tmp_path: Path, camera: str, given: str) -> None:
    with Daemon(tmp_path, camera, arguments=("--set", given)) as daemon:
        assert daemon.wait() == 2
    assert "fps" in daemon.log[-1]
