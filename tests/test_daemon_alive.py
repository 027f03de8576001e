"""Signs of life: to whoever listens, that the mood still holds; to systemd, that nothing hangs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests.daemon_process import Daemon, write_script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RUN = "import sys; from serenbox.cli.main import main; sys.exit(main(sys.argv[1:]))"


def changed(change: str) -> Sequence[str]:
    """Return a program that makes a change to the service and runs it."""
    return (sys.executable, "-c", f"{change}; {_RUN}")


def test_what_does_not_change_is_said_again_and_again(tmp_path: Path) -> None:
    dark = write_script(tmp_path / "script.json", [{"black": 1_000_000}])
    often = "from serenbox.daemon import announcer; announcer.HEARTBEAT = 0.2"
    with Daemon(tmp_path, dark, program=changed(often)) as daemon:
        daemon.wait_mood("no_face")

        def repeated() -> bool:
            moods = [one for one in list(daemon.messages) if "event" not in one]
            return len([one for one in moods if one["mood"] == "no_face"]) > 3

        daemon.wait_until(repeated, "the same mood several times")
        assert daemon.end() == 0
    assert [mood for _, mood in daemon.events] == ["no_face"]


def test_systemd_hears_no_more_of_a_service_whose_camera_hangs(tmp_path: Path) -> None:
    """A driver that keeps no time limit; all else goes on."""
    steps = [{"black": 20}, {"stall": 1}]
    camera = write_script(tmp_path / "script.json", steps)
    hang = (
        "import time; from serenbox.daemon import capture, service; "
        "capture._GRACE, service._SILENCE = 0.5, 1e6; "  # it is not the missing frames that tell
        "from serenbox.cameras.scripted import ScriptedCamera; "
        "ScriptedCamera._stall = lambda *_: time.sleep(3600)"
    )
    watched = {"WATCHDOG_USEC": "100000"}
    with Daemon(tmp_path, camera, program=changed(hang), environment=watched) as daemon:
        daemon.wait_state("WATCHDOG=1")

        def silent() -> bool:
            signs = daemon.states.count("WATCHDOG=1")
            time.sleep(1)
            return daemon.states.count("WATCHDOG=1") == signs

        daemon.wait_until(silent, "a second without a sign of life")
        assert daemon.command("status").returncode == 0
        assert daemon.end() == 0
    assert "the camera hangs: it is released by ending the process" in daemon.warnings()[-1]
