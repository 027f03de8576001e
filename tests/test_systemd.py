"""The unit and its installer, as far as they go without booting; tests/pi boots them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "systemd"
UNIT = FOLDER / "serenbox.service"
DROP_INS = sorted((FOLDER / "drop-ins").glob("*.conf"))
INSTALL = FOLDER / "install.sh"
LARGEST_EXPOSURE = "18"  # tenths


def needs(program: str) -> pytest.MarkDecorator:
    """Skip if a program is missing, unless all must be there: then the test fails instead."""
    missing = shutil.which(program) is None and os.environ.get("SERENBOX_REQUIRE_ALL") != "1"
    return pytest.mark.skipif(missing, reason=f"{program} is not installed")


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


def run_installer(*words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("bash") or "bash", str(INSTALL), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path},
    )


@needs("shellcheck")
@pytest.mark.parametrize("script", [INSTALL, *sorted((ROOT / "tests" / "pi").glob("*.sh"))])
def test_script_is_shellcheck_clean(script: Path) -> None:
    result = subprocess.run(
        ["shellcheck", "--", str(script)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_installer_shows_its_help_to_anybody() -> None:
    result = run_installer("--help")
    assert result.returncode == 0
    assert "--wheel FILE" in result.stdout
    assert "--uninstall" in result.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--bogus"], "there is no option --bogus"),
        (["--wheel"], "--wheel needs a FILE"),
    ],
)
def test_installer_refuses_wrong_words_in_a_sentence(words: list[str], sentence: str) -> None:
    result = run_installer(*words)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"install.sh: {sentence}"


def tools(folder: Path, **scripts: str) -> str:
    """Make a folder of programs in front of the machine's own, and return the search path."""
    folder.mkdir()
    for name, script in scripts.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_installer_asks_for_root(tmp_path: Path) -> None:
    result = run_installer(path=tools(tmp_path / "bin", id="echo 1000"))
    assert result.returncode == 1
    assert "run it with sudo" in result.stderr


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="it would install")
def test_installer_needs_systemd_and_changes_nothing_without(tmp_path: Path) -> None:
    result = run_installer(path=tools(tmp_path / "bin", id="echo 0"))
    assert result.returncode == 1
    assert "systemd is not running here" in result.stderr
    assert len(result.stderr.splitlines()) == 1


OLD_USB_CAMERA = """# A USB camera only (source = "usb" or "/dev/video0" in the settings):
#   sudo install -D -m 644 usb-camera.conf /etc/systemd/system/serenbox.service.d/usb-camera.conf
#   sudo systemctl daemon-reload && sudo systemctl restart serenbox
#
# Takes away what only the Raspberry Pi camera needs: media controllers, DMA buffers, and word from
# the kernel about cameras that come and go.
[Service]
DeviceAllow=
DeviceAllow=char-video4linux rw
RestrictAddressFamilies=
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
"""


class Machine:
    """A folder in place of a machine's root, in which single steps of the installer are run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.etc = self.root / "etc" / "serenbox"
        self.drop_ins = self.root / "etc/systemd/system/serenbox.service.d"
        shutil.copytree(FOLDER, folder / "systemd")
        self._script = folder / "systemd" / "install.sh"
        functions, end, _ = self._script.read_text().partition("\nwheel=\n")
        assert end
        moved = re.sub(r"/(opt|etc|var|run|usr/local)/", rf"{self.root}/\1/", functions)
        (folder / "work").mkdir()
        self._script.write_text(f'{moved}\nwheel=\nwork={folder}/work\nlog={folder}/log\n"$@"\n')
        for path in (self.etc, self.drop_ins, self.root / "opt/serenbox/bin"):
            path.mkdir(parents=True)
        (self.root / "opt/serenbox/bin/python").symlink_to("/bin/true")
        self._path = tools(
            folder / "bin",
            getent="exit 2",
            cp="for n in $(seq 40); do echo No space left on device; done >&2; exit 1",
        )

    def write_program(self, settings: str) -> None:
        """Install a program that prints these settings."""
        program = self.root / "opt/serenbox/bin/serenbox"
        program.write_text(f"#!/bin/sh\nprintf '{settings}'\n")
        program.chmod(0o755)

    def run(self, step: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("bash") or "bash", str(self._script), step],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": self._path},
            cwd=folder,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_new_settings_are_shown_beside_those_that_are_kept(machine: Machine) -> None:
    config, new = machine.etc / "serenbox.toml", machine.etc / "serenbox.toml.new"
    machine.write_program("fps = 10\\n")
    assert machine.run("write_config").stdout == ""
    assert (config.read_text(), config.stat().st_mode & 0o777) == ("fps = 10\n", 0o644)
    machine.write_program("fps = 15\\n")
    result = machine.run("write_config")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1)
    assert result.stdout.endswith(f" {new}\n")
    assert config.read_text() == "fps = 10\n"
    assert (new.read_text(), new.stat().st_mode & 0o777) == ("fps = 15\n", 0o644)
    config.write_text("fps = 15\n")
    assert machine.run("write_config").stdout == f"Keeping the settings in {config}.\n"
    assert not new.exists()
    machine.write_program("'; exit 1; '")
    assert machine.run("write_config").returncode == 1
    assert config.read_text() == "fps = 15\n"


@pytest.mark.parametrize(
    ("added", "new_is_there", "left"),
    [
        ("", False, ["00-usb-camera.conf"]),
        ("", True, ["00-usb-camera.conf"]),
        ("Nice=0\n", True, ["00-usb-camera.conf", "usb-camera.conf"]),
        ("Nice=0\n", False, ["usb-camera.conf"]),
    ],
)
def test_a_drop_in_of_an_earlier_name_is_renamed(
    machine: Machine, added: str, new_is_there: bool, left: list[str]
) -> None:
    assert machine.run("rename_drop_in").stdout == ""
    (machine.drop_ins / "usb-camera.conf").write_text(OLD_USB_CAMERA + added)
    shipped = FOLDER / "drop-ins" / "00-usb-camera.conf"
    if new_is_there:
        shutil.copy(shipped, machine.drop_ins)
    result = machine.run("rename_drop_in")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in machine.drop_ins.iterdir()) == left
    if left == [shipped.name]:
        assert (machine.drop_ins / shipped.name).read_text() == shipped.read_text()
        assert len(result.stdout.splitlines()) == 1


def test_a_full_disk_is_told_in_one_line_while_the_program_is_copied(machine: Machine) -> None:
    result = machine.run("install_program")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("install.sh: the program could not be copied to ")
    assert "No space left on device" in line


def test_nothing_of_the_folder_it_is_started_in_is_run(machine: Machine, tmp_path: Path) -> None:
    (machine.root / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    folders, python = tmp_path / "folders", machine.root / "opt/serenbox/bin/python"
    python.unlink()
    for path, script in (
        (python, f"pwd >>{folders}"),
        (tmp_path / "bin" / "python3", f'pwd >>{folders}; exec /usr/bin/python3 "$@"'),
        (tmp_path / "bin" / "systemctl", ""),
        (tmp_path / "bin" / "dpkg-query", "printf ii"),
    ):
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    started = tmp_path / "started"
    started.mkdir()
    result = machine.run("install_all", started)
    assert "the program could not be copied" in result.stderr
    # Python would import modules from the folder it is started in before its own.
    assert set(folders.read_text().splitlines()) == {"/"}


def test_uninstalling_names_what_is_lost_and_what_stays(machine: Machine) -> None:
    machine.write_program("")
    own = [
        machine.etc / "hooks" / "on-mood",
        machine.etc / "web-token",
        machine.drop_ins / "lan-broker.conf",
        machine.root / "etc/credstore/serenbox.mqtt-password",
    ]
    made = [machine.etc / "serenbox.toml", machine.etc / "serenbox.toml.new"]
    for path in (*own, *made):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    result = machine.run("uninstall_all")
    assert result.returncode == 0, result.stderr
    first, last = result.stdout.splitlines()
    assert first.endswith(f" these files of yours: {' '.join(map(str, own))} ...")
    assert "docs/mqtt.md" in last
    assert not [path for path in machine.root.rglob("*") if not path.is_dir()]
    first, _ = machine.run("uninstall_all").stdout.splitlines()
    assert "yours" not in first
