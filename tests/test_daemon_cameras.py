"""The service with cameras that fail in every way."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.daemon_process import QUICK, Daemon, write_script

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FACE = {"frames": "face.png", "count": 1_000_000}
SOME = {"frames": "face.png", "count": 10}


@pytest.fixture
def script(tmp_path: Path, portrait_file: Path) -> Path:
    shutil.copy(portrait_file, tmp_path / "face.png")
    return tmp_path / "script.json"


ABSENT = "it is not there yet"


class Patient(Daemon):
    """The service, with a script that begins once the models are loaded.

    Loading takes a busy machine so long that a script's first frames could be over by then.
    """

    def __init__(
        self,
        folder: Path,
        script: Path,
        steps: list[object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        absent = {"open_error": ABSENT, "count": 1_000_000}
        super().__init__(
            folder,
            write_script(script, [absent]),
            arguments=("--set", "camera.reopens=1000"),
            environment=environment,
        )
        try:
            self.wait_state("READY=1")
        except BaseException:
            self.__exit__()
            raise
        write_script(script, [{**absent, "count": 1}, *steps])

    def warnings(self) -> list[str]:
        """Return the lines that are not of level info, without that of the wait."""
        return [line for line in super().warnings() if ABSENT not in line]


def test_a_face(tmp_path: Path, script: Path) -> None:
    with Daemon(tmp_path, write_script(script, [FACE])) as daemon:
        daemon.wait_mood("happy")
        daemon.wait_state("READY=1")
        assert daemon.end() == 0
    assert daemon.events == [("no_camera", "happy")]
    assert daemon.warnings() == []
    assert daemon.states.index("READY=1") < daemon.states.index("STOPPING=1")
    assert any(state.startswith("STATUS=Sensing with script") for state in daemon.states)
    event = next(message for message in daemon.messages if "event" in message)
    assert event["faces"][0]["emotion"] == "happy"
    assert event["state"] == "sensing"


def test_a_recording_that_ends(tmp_path: Path, script: Path) -> None:
    quick = ("--set", "camera.real_time=false")
    with Daemon(tmp_path, write_script(script, [SOME]), arguments=quick) as daemon:
        assert daemon.wait() == 0
    assert daemon.events == [("no_camera", "happy")]
    assert "the recording is over" in daemon.log[-1]


def test_damaged_pictures_of_a_recording_are_left_out(tmp_path: Path, portrait_file: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    content = portrait_file.read_bytes()
    for number in range(20):
        damaged = 8 <= number < 12  # more in a row than a camera may miss
        (folder / f"{number}.png").write_bytes(content[:999] if damaged else content)
    arguments = ("--set", "camera.real_time=false")
    with Daemon(tmp_path, str(folder), arguments=arguments) as daemon:
        assert daemon.wait() == 0
    assert daemon.warnings() == []
    assert daemon.events == [("no_camera", "happy")]


def test_missing_at_the_start(tmp_path: Path, script: Path) -> None:
    camera = write_script(script, [{"open_error": "it is not there", "count": 1_000_000}])
    with Daemon(tmp_path, camera, arguments=("--set", "camera.reopens=1000")) as daemon:
        daemon.wait_state("READY=1")  # otherwise systemd would kill the service while it waits
        daemon.wait_mood("no_camera")
        write_script(script, [FACE])
        daemon.wait_events("happy")
    (warning,) = daemon.warnings()
    assert "it is not there; trying again, up to 1000 times" in warning
    assert any(state.startswith("STATUS=No camera: script") for state in daemon.states)


@pytest.mark.parametrize(
    "typed", ["flim.mkv", "webcam", "missing/film.mkv", "~nobody-of-that-name/a"]
)
def test_a_recording_that_was_typed_wrong_is_refused_at_once(tmp_path: Path, typed: str) -> None:
    patient = ("--set", "camera.reopens=1000")
    with Daemon(tmp_path, typed, arguments=patient) as daemon:
        assert daemon.wait() == 2
        checked = daemon.command("run", "--check-config", "--camera", typed)
    (line,) = daemon.log
    assert typed in line
    assert "there is no such" in line
    assert checked.returncode == 2
    assert "there is no such" in checked.stderr


@pytest.mark.parametrize("source", ["/dev/video99", "http://127.0.0.1:1/video"])
def test_a_device_or_an_address_that_was_typed_is_waited_for(tmp_path: Path, source: str) -> None:
    with Daemon(tmp_path, source) as daemon:
        assert daemon.wait() == 1
    assert "trying again, up to 3 times" in daemon.log[0]


def test_a_recording_of_the_configuration_may_come_later(
    tmp_path: Path, portrait_file: Path
) -> None:
    disk = tmp_path / "disk"
    named = QUICK.replace("[camera]", f'[camera]\nsource = "{disk}"\nloop = true')
    patient = named.replace("reopens = 3", "reopens = 1000")
    with Daemon(tmp_path, "", configuration=patient, name_camera=False) as daemon:
        daemon.wait_mood("no_camera")
        (tmp_path / "away").mkdir()
        shutil.copy(portrait_file, tmp_path / "away" / "face.png")
        (tmp_path / "away").rename(disk)
        daemon.wait_mood("happy")
        assert daemon.end() == 0


def test_never_there(tmp_path: Path, script: Path) -> None:
    steps = [{"open_error": "it is not there", "count": 99}]
    with Daemon(tmp_path, write_script(script, steps)) as daemon:
        assert daemon.wait() == 1
    assert len(daemon.warnings()) == 2
    assert "the camera did not come back in 3 attempts" in daemon.warnings()[1]


def test_unplugged_and_back(tmp_path: Path, script: Path) -> None:
    steps = [SOME, {"error": "it has gone"}, {"open_error": "it is not there", "count": 2}, FACE]
    with Patient(tmp_path, script, steps) as daemon:
        daemon.wait_events("happy", "no_camera", "happy")
        assert daemon.end() == 0
    (warning,) = daemon.warnings()
    assert "it has gone; trying again" in warning
    assert sum("gives frames again after" in line for line in daemon.log) == 2
    lost = [message for message in daemon.messages if message["mood"] == "no_camera"][-1]
    assert (lost["state"], lost["confidence"], lost["faces"]) == ("no_camera", 0, [])


def test_frozen(tmp_path: Path, script: Path) -> None:
    steps = [SOME, {"stall": 1.2}, FACE]
    with Patient(tmp_path, script, steps) as daemon:
        daemon.wait_events("happy", "no_camera", "happy")
    (warning,) = daemon.warnings()
    assert "no picture came within 0.3 s" in warning


def test_a_short_stall_is_put_up_with(tmp_path: Path, script: Path) -> None:
    steps = [SOME, {"stall": 0.4}, {"frames": "face.png", "count": 3}, {"black": 1000}]
    with Patient(tmp_path, script, steps) as daemon:
        daemon.wait_events("happy", "no_face")
    assert "no picture" not in "".join(daemon.log)


def test_black(tmp_path: Path, script: Path) -> None:
    with Patient(tmp_path, script, [SOME, {"black": 60}, FACE]) as daemon:
        daemon.wait_events("happy", "no_face", "happy")
        daemon.wait_logged("no longer black")
    (warning,) = daemon.warnings()
    assert "the picture is black: is the lens covered" in warning


def test_garbage(tmp_path: Path, script: Path) -> None:
    steps = [SOME, {"garbage": 1}, SOME, {"garbage": 5}, FACE]
    with Patient(tmp_path, script, steps) as daemon:
        daemon.wait_events("happy", "no_camera", "happy")
        assert daemon.end() == 0
    (warning,) = daemon.warnings()
    assert "instead of a colour picture" in warning


def test_nothing_but_garbage(tmp_path: Path, script: Path) -> None:
    with Daemon(tmp_path, write_script(script, [{"garbage": 1_000_000}])) as daemon:
        assert daemon.wait() == 1
    assert len(daemon.warnings()) == 2


def test_signs_of_life_also_while_the_camera_is_away(tmp_path: Path, script: Path) -> None:
    steps = [SOME, {"stall": 2.0}, FACE]
    watched = {"WATCHDOG_USEC": "100000"}
    with Patient(tmp_path, script, steps, environment=watched) as daemon:
        daemon.wait_events("happy", "no_camera")
        before = daemon.states.count("WATCHDOG=1")
        assert before
        daemon.wait_events("happy", "no_camera", "happy")
        assert daemon.states.count("WATCHDOG=1") - before > 5
