"""The installer: how it is called, the settings it keeps, and what it removes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installer import FOLDER, INSTALL, ROOT, Machine, run_installer, tools
from tests.missing import needs

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


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


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
        (["--wheel", ""], "--wheel needs a FILE"),
    ],
)
def test_installer_refuses_wrong_words_in_a_sentence(words: list[str], sentence: str) -> None:
    result = run_installer(*words)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"install.sh: {sentence}"


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


def test_uninstalling_names_what_is_lost_and_what_stays(machine: Machine) -> None:
    machine.write_program("")
    own = [
        machine.etc / "hooks" / "on-mood",
        machine.etc / "web-token",
        machine.drop_ins / "lan-broker.conf",
        machine.root / "etc/udev/rules.d/99-serenbox-media.rules",
        machine.root / "etc/credstore/serenbox.mqtt-password",
    ]
    made = [machine.etc / "serenbox.toml", machine.etc / "serenbox.toml.new"]
    for path in (*own, *made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    foreign = own[3].with_name("99-other.rules")
    foreign.touch()
    result = machine.run("uninstall_all")
    assert result.returncode == 0, result.stderr
    first, last = result.stdout.splitlines()
    assert first.endswith(f" these files of yours: {' '.join(map(str, own))} ...")
    assert "docs/mqtt.md" in last
    assert [path for path in machine.root.rglob("*") if not path.is_dir()] == [foreign]
    first, _ = machine.run("uninstall_all").stdout.splitlines()
    assert "yours" not in first


def may_mount() -> bool:
    """Return whether a process may mount something for itself alone."""
    tool = shutil.which("unshare")
    words = ("--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    return tool is not None and not subprocess.run([tool, *words], check=False).returncode


@pytest.mark.skipif(not may_mount(), reason="nothing can be mounted here")
def test_a_state_on_a_partition_of_its_own_is_emptied(machine: Machine) -> None:
    machine.write_program("")
    state, command = machine.root / "var/lib/serenbox", machine.root / "usr/local/bin/serenbox"
    for folder in (state, command.parent):
        folder.mkdir(parents=True)
    command.symlink_to(machine.prefix / "bin" / "serenbox")
    result = machine.run("uninstall_all", mounted=state)
    assert result.returncode == 0, result.stderr
    assert f"The partition at {state} is empty now" in result.stdout
    assert result.stdout.endswith("left: 0\n")
    assert not command.is_symlink()


def test_a_history_that_the_program_cannot_remove_is_overwritten(
    machine: Machine, tmp_path: Path
) -> None:
    state = machine.root / "var/lib/serenbox"
    state.mkdir(parents=True)
    machine.write_program("'; exit 1; '")
    machine.write_tool("chown", "")
    history, other, linked = state / "history.sqlite", tmp_path / "other", tmp_path / "linked"
    for path in (history, other, linked):
        path.write_text("moods")
    (state / "link").symlink_to(other)
    (state / "hard-link").hardlink_to(linked)
    with history.open() as file:
        result = machine.run("uninstall_all")
        assert "moods" not in file.read()
    assert "overwriting" not in result.stdout
    assert (other.read_text(), linked.read_text()) == ("moods", "moods")
    assert not state.exists()

    state.mkdir()
    history.write_text("moods")
    machine.write_tool("shred", "echo shred: no; exit 1")
    result = machine.run("uninstall_all")
    assert result.returncode == 0
    assert "removed without overwriting it: moods may be left" in result.stdout
    assert not state.exists()
