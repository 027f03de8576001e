"""The installer and the program: its folder, Python, its packages, and what pip says."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.installer import Machine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


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
