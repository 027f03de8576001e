"""The unit and its drop-ins, as far as they go without booting; tests/pi boots them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.installer import FOLDER
from tests.missing import needs

if TYPE_CHECKING:
    from pathlib import Path

UNIT = FOLDER / "serenbox.service"
DROP_INS = sorted((FOLDER / "drop-ins").glob("*.conf"))
LARGEST_EXPOSURE = "18"  # tenths

needs_systemd = needs("systemd-analyze")


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, env=os.environ
    )


@pytest.fixture(params=[None, *DROP_INS], ids=lambda path: path.stem if path else "plain")
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit, alone or with a drop-in; its program is replaced by one that exists."""
    text = UNIT.read_text()
    program = "/opt/serenbox/bin/serenbox run"
    assert f"ExecStart={program}\n" in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(program, sys.executable))
    if request.param:
        drop_ins = tmp_path / f"{UNIT.name}.d"
        drop_ins.mkdir()
        shutil.copy(request.param, drop_ins)
    return copy


@needs_systemd
def test_unit_verifies_without_a_word(unit: Path) -> None:
    result = analyze("verify", "--recursive-errors=yes", unit)
    assert result.returncode == 0
    # systemd may complain about other units of the machine.
    assert "serenbox" not in result.stderr


@needs_systemd
def test_verifying_notices_a_wrong_key(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("RestartSec=", "RestartSeconds="))
    assert analyze("verify", "--recursive-errors=yes", unit).returncode != 0


@needs_systemd
def test_unit_is_hardly_exposed(unit: Path) -> None:
    result = analyze("security", "--offline=true", f"--threshold={LARGEST_EXPOSURE}", unit)
    assert result.returncode == 0, result.stdout.splitlines()[-1]


def test_unit_has_what_the_service_relies_on() -> None:
    lines = UNIT.read_text().splitlines()
    for line in (
        *("Type=notify", "Restart=always", "StateDirectory=serenbox", "RuntimeDirectory=serenbox"),
        *("IPAddressDeny=any", "IPAddressAllow=localhost", "ProtectSystem=strict"),
        # Moods must not pile up in the journal; pictures must not reach swap or core dumps.
        *("StandardOutput=null", "StandardError=journal", "MemorySwapMax=0", "LimitCORE=0"),
        "LimitMEMLOCK=infinity",
        # An identifier instead of a path, so that a missing password is no failure.
        "LoadCredential=mqtt-password:serenbox.mqtt-password",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("PrivateDevices=")]


@pytest.mark.parametrize(
    ("path", "devices", "module"),
    [
        (UNIT, {"video4linux", "media"}, "videodev"),
        (FOLDER / "drop-ins" / "hooks-sound.conf", {"alsa"}, "snd"),
    ],
)
def test_drivers_are_loaded_before_their_devices_are_allowed(
    path: Path, devices: set[str], module: str
) -> None:
    """systemd looks names such as char-alsa up in /proc/devices when it starts the unit."""
    text = path.read_text()
    assert devices <= set(re.findall(r"^DeviceAllow=char-(\w+) rw$", text, re.MULTILINE))
    unit, _, _ = text.partition("\n[Service]\n")
    for key in ("Wants", "After"):
        assert f"\n{key}=modprobe@{module}.service\n" in unit


def test_unit_of_usb_cameras_gives_no_more_than_the_plain_one() -> None:
    text = (FOLDER / "drop-ins" / "00-usb-camera.conf").read_text()
    allowed = re.findall(r"^DeviceAllow=(.*)$", text, re.MULTILINE)
    assert allowed == ["", "char-video4linux rw"]


def test_no_drop_in_takes_back_what_another_gives() -> None:
    given: dict[str, str] = {}
    for drop_in in DROP_INS:  # in the order in which systemd reads them
        for key, value in re.findall(r"^(\w+)=(.*)$", drop_in.read_text(), re.MULTILINE):
            assert value or given.get(key, drop_in.name) == drop_in.name, f"{drop_in.name}: {key}"
            given[key] = drop_in.name


def test_lan_drop_in_opens_one_address_only() -> None:
    parser = configparser.ConfigParser()
    parser.read(FOLDER / "drop-ins" / "lan-broker.conf")
    assert dict(parser["Service"]) == {"ipaddressallow": "192.168.1.10"}


@needs("systemd-sysusers")
def test_user_and_folder_are_made_in_an_empty_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for program, file, words in (
        ("systemd-sysusers", "sysusers.conf", []),
        ("systemd-tmpfiles", "tmpfiles.conf", ["--create"]),
    ):
        if os.geteuid() != 0 and program == "systemd-tmpfiles":
            continue  # only root may create a folder owned by root
        command = [program, f"--root={tmp_path}", *words, str(FOLDER / file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    (user,) = (
        line for line in (tmp_path / "etc/passwd").read_text().splitlines() if "serenbox" in line
    )
    assert user.endswith(":/var/lib/serenbox:/usr/sbin/nologin")
    groups = (tmp_path / "etc/group").read_text()
    assert re.search(r"^video:x:\d+:serenbox$", groups, re.MULTILINE)
