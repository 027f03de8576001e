"""What the installed service must do, tried under a real systemd; run as root by selftest.service.

Prints a line for each check, "PASS name" or "FAIL name: why", and "DONE" at the end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pi.inside import box
from tests.pi.inside.box import UNIT, command, prop, wait_until
from tests.pi.inside.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = """
[camera]
source = "pi"
[mqtt]
enabled = true
[web]
enabled = true
port = 18765
"""


def install() -> str:
    (wheel,) = Path("/opt/pi-lab").glob("*.whl")
    return command("bash", str(box.SOURCE / "install.sh"), "--wheel", str(wheel))


def installs_from_a_wheel(_: Watcher) -> None:
    install()
    wait_until("ready", box.is_active)
    assert box.CONFIG.read_text() == command("serenbox", "config") + "\n"
    assert prop("UnitFileState") == "enabled"
    assert prop("NRestarts") == "0", prop("NRestarts")


def installs_again_and_keeps_the_settings(_: Watcher) -> None:
    changed = box.CONFIG.read_text() + SETTINGS_MARK
    box.CONFIG.write_text(changed)
    install()
    assert box.CONFIG.read_text() == changed


def unit_is_clean_and_tight(_: Watcher) -> None:
    unit = f"/etc/systemd/system/{UNIT}"
    command("systemd-analyze", "verify", "--recursive-errors=yes", unit)
    command("systemd-analyze", "security", "--offline=true", "--threshold=18", unit)


def is_ready_and_publishes_a_mood(watcher: Watcher) -> None:
    box.CONFIG.write_text(SETTINGS)
    watcher.mark()
    box.restart()
    assert box.is_active()
    watcher.wait("availability", lambda text: text == "online")
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "happy")
    mood = json.loads(watcher.last("mood"))
    assert mood["state"] == "sensing"
    assert mood["face_count"] == 1, mood
    assert prop("StatusText"), "no status for systemd"


def shows_its_page(_: Watcher) -> None:
    for path, part in (("/healthz", b"sensing"), ("/", b"<title>")):
        with urllib.request.urlopen(f"http://127.0.0.1:18765{path}", timeout=10) as answer:
            assert part in answer.read(), path


def camera_is_the_virtual_one_through_picamera2(_: Watcher) -> None:
    maps = Path(f"/proc/{prop('MainPID')}/maps").read_text()
    for library in ("libcamera.so", "_libcamera", "fakedma.so"):
        assert library in maps, f"{library} is not in the process"


def doctor_finds_only_what_is_missing(_: Watcher) -> None:
    answer = json.loads(command("serenbox", "check", "--json", check=False))
    failed = {check["name"] for check in answer["checks"] if check["state"] == "fail"}
    # There are no camera nodes, no heaps and no contiguous memory in a container.
    assert failed == {"camera", "dma_heap", "CMA"}, answer
    seen = {check["name"]: check["seen"] for check in answer["checks"]}
    assert seen["service"].endswith("active"), seen
    assert seen["broker"].startswith("localhost:1883 takes connections"), seen


def pauses_and_resumes(watcher: Watcher) -> None:
    watcher.mark()
    command("serenbox", "pause")
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "paused")
    watcher.mark()
    command("serenbox", "resume")
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "happy")


def watchdog_ends_a_frozen_loop(watcher: Watcher) -> None:
    old, restarts, start = prop("MainPID"), int(prop("NRestarts")), time.time()
    watcher.mark()
    os.kill(int(old), signal.SIGSTOP)
    watcher.wait("availability", lambda text: text == "offline")
    watcher.wait("availability", lambda text: text == "online", after="offline")
    wait_until("active again", box.is_active)
    assert int(prop("NRestarts")) == restarts + 1
    assert prop("MainPID") != old
    assert "Watchdog timeout" in box.journal_since(start)
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "happy", after="online")


def is_restarted_after_sigkill(watcher: Watcher) -> None:
    old, restarts = prop("MainPID"), int(prop("NRestarts"))
    watcher.mark()
    os.kill(int(old), signal.SIGKILL)
    watcher.wait("availability", lambda text: text == "offline")
    watcher.wait("availability", lambda text: text == "online", after="offline")
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "happy", after="online")
    wait_until("active again", box.is_active)
    assert int(prop("NRestarts")) == restarts + 1
    assert prop("MainPID") != old


def recovers_after_a_broker_restart(watcher: Watcher) -> None:
    old = prop("MainPID")
    command("systemctl", "stop", "mosquitto.service")
    # Nothing kept by the broker may stand in for what the box must publish again.
    Path("/var/lib/mosquitto/mosquitto.db").unlink(missing_ok=True)
    watcher.mark()
    time.sleep(3)
    assert prop("MainPID") == old, "it did not live without a broker"
    command("systemctl", "start", "mosquitto.service")
    watcher.wait("availability", lambda text: text == "online")
    watcher.wait("mood", lambda text: json.loads(text)["mood"] == "happy")
    assert prop("MainPID") == old


def sandbox_refuses(_: Watcher) -> None:
    """It refuses writes outside the state directory and packets beyond loopback."""
    user = command("id", "-u", "serenbox")
    runuser = ["runuser", "-u", "serenbox", "--", sys.executable, box.PROBE]
    outside = subprocess.run(runuser, capture_output=True, text=True, check=True).stderr
    free = json.loads(outside.removeprefix("probe:"))
    assert free.pop("user") == user
    assert set(free.values()) == {"done"}, f"without the sandbox: {free}"
    inside = box.probe_in_the_unit()
    assert inside.pop("user") == user
    assert inside == free | {
        "write elsewhere": "EROFS",
        "packet to neighbour": "EPERM",
        "packet to other": "EPERM",
    }, inside


def hook_runs_in_the_sandbox(_: Watcher) -> None:
    """A hook is run, may do just what the unit may, and what it prints is in the journal."""
    hook = Path("/etc/serenbox/hooks/on-face")
    hook.parent.mkdir()
    hook.write_text(
        f"#!/bin/sh\nsleep 0.5\necho niceness: $(nice)\nexec /usr/bin/python3 {box.PROBE}\n"
    )
    hook.chmod(0o755)
    box.CONFIG.write_text(f"{SETTINGS}[[hooks]]\nevents = ['face']\ncommand = ['{hook}']\n")
    started = time.time()
    box.restart()
    wait_until("the hook's words", lambda: "on-face: probe:" in box.journal_since(started))
    (line,) = [line for line in box.journal_since(started).splitlines() if "probe:" in line]
    assert json.loads(line.partition("probe:")[2]) == box.probe_in_the_unit(), line
    assert "niceness: 15" in box.journal_since(started)
    assert "hook" in command("serenbox", "check", check=False)
    box.CONFIG.write_text(SETTINGS)
    box.restart()


def lan_drop_in_opens_one_address(_: Watcher) -> None:
    text = (box.SOURCE / "drop-ins" / "lan-broker.conf").read_text()
    (box.DROP_INS / "lan-broker.conf").write_text(text.replace("192.168.1.10", box.NEIGHBOUR))
    inside = box.probe_in_the_unit()
    (box.DROP_INS / "lan-broker.conf").unlink()
    assert inside["packet to neighbour"] == "done", inside
    assert inside["packet to other"] == "EPERM", inside


def doctor_mends_a_broker_that_is_out_of_reach(_: Watcher) -> None:
    """A broker elsewhere is blocked; the check says so, and its command opens the address."""
    with socket.create_server((box.OWN, 0)) as broker:
        port = broker.getsockname()[1]
        where = f"enabled = true\nhost = '{box.OWN}'\nport = {port}\n[web]"
        box.CONFIG.write_text(SETTINGS.replace("enabled = true\n[web]", where))
        started = time.time()
        box.restart()
        reason = f"the broker at {box.OWN}:{port} cannot be reached (timed out)"
        wait_until("a word on the broker", lambda: reason in box.journal_since(started))
        found = _check("broker")
        assert found["state"] == "fail", found
        assert found["seen"].endswith(f"but {UNIT} may not reach {box.OWN}"), found
        command("sh", "-c", found["mend"].replace("sudo ", ""))
        assert _check("broker")["state"] == "ok"
        broker.settimeout(box.PATIENCE)
        broker.accept()[0].close()
    (box.DROP_INS / f"reach-{box.OWN}.conf").unlink()
    command("systemctl", "daemon-reload")
    box.CONFIG.write_text(SETTINGS)
    box.restart()


def _check(name: str) -> dict[str, str]:
    """Return what `serenbox check` says of one thing."""
    answer = json.loads(command("serenbox", "check", "--json", check=False))
    (found,) = [check for check in answer["checks"] if check["name"] == name]
    return dict(found)


def password_comes_as_a_credential(_: Watcher) -> None:
    folder = Path("/run/credentials", UNIT)
    assert not (folder / "mqtt-password").exists()
    secret = Path("/etc/credstore/serenbox.mqtt-password")
    secret.parent.mkdir(mode=0o700, exist_ok=True)
    secret.write_text("open sesame")
    secret.chmod(0o600)
    box.restart()
    assert (folder / "mqtt-password").read_text() == "open sesame"


def stops_cleanly(watcher: Watcher) -> None:
    wait_until("active", box.is_active)
    watcher.mark()
    started = time.monotonic()
    command("systemctl", "stop", UNIT)
    took = time.monotonic() - started
    watcher.wait("availability", lambda text: text == "offline")
    assert prop("Result") == "success", prop("Result")
    assert prop("ExecMainStatus") == "0", prop("ExecMainStatus")
    assert prop("ActiveState") == "inactive"
    assert took < 5, f"it took {took:.1f} s"


def uninstalls_without_a_trace(_: Watcher) -> None:
    command("bash", str(box.SOURCE / "install.sh"), "--uninstall")
    left = sorted(str(path) for path in box.all_files() - FILES_BEFORE)
    assert not left, left
    for database in ("passwd", "group"):
        assert "serenbox" not in command("getent", database)
    assert prop("LoadState") == "not-found"


SETTINGS_MARK = "# a line of the owner's\n"
FILES_BEFORE: set[Path] = set()
CHECKS: list[Callable[[Watcher], None]] = [
    installs_from_a_wheel,
    installs_again_and_keeps_the_settings,
    unit_is_clean_and_tight,
    is_ready_and_publishes_a_mood,
    shows_its_page,
    camera_is_the_virtual_one_through_picamera2,
    doctor_finds_only_what_is_missing,
    pauses_and_resumes,
    watchdog_ends_a_frozen_loop,
    is_restarted_after_sigkill,
    recovers_after_a_broker_restart,
    sandbox_refuses,
    hook_runs_in_the_sandbox,
    lan_drop_in_opens_one_address,
    doctor_mends_a_broker_that_is_out_of_reach,
    password_comes_as_a_credential,
    stops_cleanly,
    uninstalls_without_a_trace,
]


def main() -> None:
    """Run all checks, even if some fail."""
    box.prepare_temptations()
    FILES_BEFORE.update(box.all_files())
    box.DROP_INS.mkdir(parents=True)
    (box.DROP_INS / "virtual-camera.conf").write_text(
        "[Service]\nEnvironment=LD_PRELOAD=/opt/pi-lab/fakedma.so VCAM_FPS=10\n"
    )
    watcher = Watcher(box.PATIENCE)
    for check in CHECKS:
        started = time.monotonic()
        try:
            check(watcher)
        except Exception as error:  # noqa: BLE001
            traceback.print_exc(limit=-2)
            reason = " ".join(str(error).split())
            print(f"FAIL {check.__name__}: {type(error).__name__} {reason}", flush=True)
            print(command("journalctl", "-u", UNIT, "-n", "15", "--no-pager", check=False))
        else:
            print(f"PASS {check.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
    print("DONE", flush=True)


if __name__ == "__main__":
    main()
