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
        (["--wheel", ""], "--wheel needs a FILE"),
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
        self.prefix = self.root / "opt/serenbox"
        (self.prefix / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
        self.write_tool("python", f"echo '{self.pip_version}'", self.prefix / "bin")
        self._folder = folder
        self._path = tools(
            folder / "bin",
            getent="exit 2",
            cp="for n in $(seq 40); do echo No space left on device; done >&2; exit 1",
        )

    @property
    def pip_version(self) -> str:
        """What pip of a sound virtual environment says."""
        return f"pip 25.0 from {self.prefix}/lib/python3.13/site-packages/pip (python 3.13)"

    def write_program(self, settings: str) -> None:
        """Install a program that prints these settings."""
        self.write_tool("serenbox", f"printf '{settings}'", self.prefix / "bin")

    def write_tool(self, name: str, script: str, folder: Path | None = None) -> None:
        """Write a shell script that stands in for a program of the machine."""
        program = (folder or self._folder / "bin") / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(
        self,
        *words: str,
        folder: Path | None = None,
        script: Path | None = None,
        variables: dict[str, str] | None = None,
        mounted: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a function of the script, or any command after its definitions.

        If something is to be mounted meanwhile, its files that are left are counted at the end.
        """
        command = [shutil.which("bash") or "bash", str(script or self._script), *words]
        if mounted is not None:
            steps = (
                f"mount -t tmpfs none {mounted} && touch {mounted}/paused || exit 9; "
                f'"$@"; code=$?; echo "left: $(ls {mounted} | wc -l)"; exit $code'
            )
            command = ["unshare", "--map-root-user", "--mount", "sh", "-c", steps, "sh", *command]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": self._path, **(variables or {})},
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
    folders, python = tmp_path / "folders", machine.prefix / "bin" / "python"
    machine.write_tool("python", f"pwd >>{folders}; echo '{machine.pip_version}'", python.parent)
    machine.write_tool("python3", f'pwd >>{folders}; exec /usr/bin/python3 "$@"')
    machine.write_tool("systemctl", "")
    machine.write_tool("dpkg-query", "printf ii")
    started = tmp_path / "started"
    started.mkdir()
    result = machine.run("install_all", folder=started)
    assert "the program could not be copied" in result.stderr
    # Python would import modules from the folder it is started in before its own.
    assert set(folders.read_text().splitlines()) == {"/"}


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


@pytest.mark.parametrize("step", ["install_all", "uninstall_all"])
def test_a_checkout_in_the_folder_of_the_program_is_left_alone(
    machine: Machine, tmp_path: Path, step: str
) -> None:
    checkout = machine.prefix / "src"
    shutil.copytree(tmp_path / "systemd", checkout / "systemd")
    (tmp_path / "link").symlink_to(checkout)
    result = machine.run(step, script=tmp_path / "link" / "systemd" / "install.sh")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"is in {machine.prefix}, which belongs to the installed program" in line
    assert (checkout / "systemd" / "install.sh").exists()


def test_a_wheel_in_the_folder_of_the_program_is_left_alone(
    machine: Machine, tmp_path: Path
) -> None:
    (machine.prefix / "own.whl").touch()
    (tmp_path / "link").symlink_to(machine.prefix)
    result = machine.run("eval", f"wheel={tmp_path}/link/own.whl; install_all")
    assert result.returncode == 1
    assert f"own.whl is in {machine.prefix}, which belongs to" in result.stderr


@pytest.mark.parametrize("step", ["install_all", "uninstall_all"])
def test_what_somebody_else_put_into_the_folder_of_the_program_is_left_alone(
    machine: Machine, step: str
) -> None:
    (machine.prefix / "pyvenv.cfg").unlink()
    result = machine.run(step)
    assert result.returncode == 1
    assert f"{machine.prefix} is no virtual environment of SerenBox" in result.stderr
    assert (machine.prefix / "bin" / "python").exists()


def test_an_empty_or_half_emptied_folder_of_the_program_is_no_obstacle(machine: Machine) -> None:
    assert machine.run("empty_environment").returncode == 0
    assert [path.name for path in machine.prefix.iterdir()] == ["pyvenv.cfg"]
    for change in (None, machine.prefix.joinpath("pyvenv.cfg").unlink, machine.prefix.rmdir):
        if change:
            change()
        assert machine.run("check_prefix").returncode == 0


def test_only_a_complete_virtual_environment_is_kept(machine: Machine, tmp_path: Path) -> None:
    machine.write_tool("python3", f'exec {sys.executable} "$@"')
    config, left = machine.prefix / "pyvenv.cfg", machine.prefix / "left"
    # As venv leaves it if it is interrupted while it unpacks pip.
    config.write_text("include-system-site-packages = false\n")
    left.touch()
    machine.run("install_program")
    assert not left.exists()
    complete = config.read_text()
    assert "include-system-site-packages = true" in complete

    left.touch()
    machine.run("install_program")
    assert left.exists()

    def is_kept() -> bool:
        return machine.run("has_environment").returncode == 0

    config.write_text(complete.replace("= true", "= false"))
    assert not is_kept()
    config.write_text(complete)
    assert is_kept()
    (packages,) = machine.prefix.glob("lib/python*/site-packages")
    # Half of pip.
    (packages / "pip" / "_internal").rename(tmp_path / "_internal")
    assert not is_kept()
    (tmp_path / "_internal").rename(packages / "pip" / "_internal")
    assert is_kept()
    # Another pip, such as the system's.
    (packages / "pip").rename(tmp_path / "pip")
    (packages / "other.pth").write_text(f"{tmp_path}\n")
    assert not is_kept()


FAILED_BUILD = """\
  error: subprocess-exited-with-error

  × Building wheel for serenbox (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [4 lines of output]
      running bring_face_model
      error: {problem}
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for serenbox
ERROR: Failed to build one or more wheels
"""  # noqa: RUF001 - as pip prints it


def install_with_pip_saying(output: str, machine: Machine, tmp_path: Path) -> str:
    (tmp_path / "output").write_text(output, "utf-8")
    answers = f"*--version) echo '{machine.pip_version}';; *) cat {tmp_path}/output; exit 1"
    machine.write_tool("python", f"case $* in {answers};; esac", machine.prefix / "bin")
    machine.write_tool("cp", "")
    result = machine.run("install_program")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line


def test_the_reason_of_a_failed_build_is_told(machine: Machine, tmp_path: Path) -> None:
    problem = "/serenbox/models/x.tflite is not the file this version needs: delete it"
    output = FAILED_BUILD.format(problem=f"{tmp_path}/work/source{problem}")
    line = install_with_pip_saying(output, machine, tmp_path)
    told = f"mend this and try again (error: {tmp_path}{problem})"
    assert line == f"install.sh: the wheel could not be built: {told}"


def test_who_has_no_network_is_told_to_connect(machine: Machine, tmp_path: Path) -> None:
    output = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x>: "
        "Failed to establish a new connection: [Errno 101] Network is unreachable')': /simple/x/\n"
        "ERROR: No matching distribution found for x\n"
    )
    line = install_with_pip_saying(output, machine, tmp_path)
    told = "connect to the network and try again (ERROR: No matching distribution found for x)"
    assert line.endswith(told)


def test_pip_sees_nothing_of_the_caller(machine: Machine) -> None:
    unset = ["PYTHONPATH", "PYTHONHOME", "CDPATH", "PIP_TARGET", "PIP_USER", "PIP_PREFIX"]
    variables = dict.fromkeys([*unset, "PIP_INDEX_URL"], "/x")
    lines = machine.run("env", variables=variables).stdout.splitlines()
    assert not {f"{name}=/x" for name in unset} & set(lines)
    assert {"PYTHONNOUSERSITE=1", "PIP_INDEX_URL=/x"} <= set(lines)


@pytest.mark.parametrize(("state", "is_there"), [("ii ", 1), ("hi ", 1), ("rc ", 0), ("iU ", 0)])
def test_a_held_package_is_an_installed_one(machine: Machine, state: str, is_there: int) -> None:
    machine.write_tool("dpkg-query", f"printf '{state}'")
    assert machine.run("has_package", "python3-venv").returncode == 1 - is_there


@pytest.mark.parametrize(
    ("update", "install", "told"),
    [
        ("E: The repository 'x' is not signed.", "", ""),
        (
            "E: The repository 'x' is not signed.",
            "E: Unable to locate package y",
            "` (E: The repository 'x' is not signed. E: Unable to locate package y)",
        ),
        (
            "W: Failed to fetch x  Temporary failure resolving 'y'",
            "E: Unable to locate package z",
            ": connect to the network and try again (W: Failed",
        ),
    ],
)
def test_apt_matters_only_if_it_cannot_install(
    machine: Machine, update: str, install: str, told: str
) -> None:
    machine.write_tool("dpkg-query", "exit 1")
    failed = int(bool(install))
    parts = f'*update*) echo "{update}"; exit 100;; *) echo "{install}"; exit {failed}'
    machine.write_tool("apt-get", f"case $* in {parts};; esac")
    result = machine.run("install_packages")
    assert result.returncode == failed
    assert told in result.stderr
    assert bool(result.stderr) == bool(told)


@pytest.mark.parametrize(
    ("bits", "version", "refused"),
    [(32, "3, 11", 0), (32, "3, 13", 1), (64, "3, 13", 0), (64, "3, 10", 1)],
)
def test_a_python_that_nothing_is_built_for_is_refused(
    machine: Machine, bits: int, version: str, refused: int
) -> None:
    before = f"import sys; sys.maxsize = 2**{bits - 1} - 1; sys.version_info = ({version})"
    machine.write_tool("python3", f'exec {sys.executable} -c "{before}; $2"')
    result = machine.run("check_python")
    assert result.returncode == refused
    assert ("only up to Python 3.11" in result.stderr) == (bits == 32 and bool(refused))


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
