from __future__ import annotations

import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from serenbox.cli import main as module
from serenbox.cli.common import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    Tool,
)
from serenbox.cli.main import COMMANDS, Command, load_tool, main
from serenbox.cli.terminal import shows_color
from serenbox.installed import install_command

if TYPE_CHECKING:
    import argparse

ROOT = Path(__file__).parent.parent


class EchoTool(Tool):
    """Say what was asked for."""

    prog: ClassVar[str] = "serenbox echo"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("words", nargs="*")

    def run(self, args: argparse.Namespace) -> int:
        """Print them."""
        print(*args.words, args.debug)
        return 3


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a command that this module provides."""
    monkeypatch.setitem(COMMANDS, "echo", Command(f"{__name__}:EchoTool", "say it"))


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_colors_are_for_terminals_that_have_them(
    environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert shows_color(Terminal()) is expected
    assert not shows_color(io.StringIO())
    assert not shows_color(None)


def test_a_setting_without_a_value_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--check-config", "--set", "mood.dwell"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("serenbox run: error: --set mood.dwell: write it as TABLE.KEY=VALUE")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == EXIT_OK

    printed = capsys.readouterr()
    for name, command in COMMANDS.items():
        assert f"{name:<7}  {command.summary}\n" in printed.out
    assert not printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == EXIT_OK
    assert capsys.readouterr().out.startswith("serenbox ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_version_on_a_full_disk(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "serenbox", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )

    assert done.returncode == EXIT_FAILED
    assert done.stderr.startswith("serenbox: error: standard output: the results cannot be written")


@pytest.mark.parametrize(
    ("words", "status", "printed", "told"),
    [
        ("--version >&-", EXIT_FAILED, "", "serenbox: error: standard output is closed"),
        ("config --check missing.toml 2>&-", EXIT_USAGE, "", ""),
    ],
)
def test_a_closed_output(words: str, status: int, printed: str, told: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m serenbox {words}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert (done.returncode, done.stdout) == (status, printed)
    assert done.stderr.startswith(told)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--config"],
        ["check", "--config"],
        ["config", "--check"],
        ["history", "--delete", "--file"],
        ["history", "--plot"],
        ["replay"],
        ["bench", "--photo"],
    ],
)
def test_an_empty_name_is_not_the_folder_one_is_in(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, ""]) == EXIT_USAGE

    assert "the name is empty" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("echo")
def test_hands_the_arguments_over_and_the_exit_code_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["echo", "one", "run", "--debug"]) == 3
    assert capsys.readouterr().out == "one run True\n"

    assert main(["echo", "--help"]) == EXIT_OK
    assert capsys.readouterr().out.startswith("usage: serenbox echo ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "there is no command 'rnu': did you mean run?"),
        (["stats", "--json"], "there is no command 'stats': did you mean status?"),
        (["x" * 100_000], "': there are run, pause, resume, status, check, config"),
        ([""], "there is no command '': there are run"),
        (["detect", "a.jpg"], "there is no command 'detect': run `serenbox-detect`"),
        (["help"], "there is no command 'help': run `serenbox --help`"),
        (["reload"], "there is no command 'reload': run `sudo systemctl reload serenbox`"),
        (["doctor", "--json"], "there is no command 'doctor': run `serenbox check`"),
        (["logs"], "there is no command 'logs': run `journalctl -u serenbox`"),
        (["\n"], "there is no command '\\n': there are run"),
        (["--debug", "run"], "the command comes first: serenbox COMMAND --debug"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_wrong_calls(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == EXIT_USAGE

    printed = capsys.readouterr()
    assert message in printed.err.splitlines()[-1]
    assert not printed.out


def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "run", Command("no_such_library:RunTool", ""))

    assert main(["run"]) == EXIT_USAGE
    assert capsys.readouterr().err == (
        "serenbox: error: No module named 'no_such_library', but `serenbox run` needs it: run "
        f"`{install_command()}` in SerenBox's checkout\n"
    )


def test_interrupted_while_a_command_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: str) -> Tool:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "load_tool", interrupt)

    assert main(["run"]) == EXIT_INTERRUPTED
    assert not capsys.readouterr().err


def test_config_is_a_command_and_names_itself() -> None:
    assert load_tool("config").prog == "serenbox config"


def test_is_installed_as_serenbox() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    assert project["project"]["scripts"]["serenbox"] == "serenbox.cli.main:main"


def test_every_package_is_shipped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folders = [ROOT / "serenbox", *(ROOT / "serenbox").rglob("*")]
    packages = {
        ".".join(folder.relative_to(ROOT).parts)
        for folder in folders
        if (folder / "__init__.py").exists()
    }

    assert set(project["tool"]["setuptools"]["packages"]) == packages


def test_the_list_imports_no_command() -> None:
    code = "import sys; from serenbox.cli.main import main; main([]); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded.isdisjoint({"numpy", "cv2", "tomllib", "serenbox.settings"})
    assert loaded.isdisjoint({command.tool.partition(":")[0] for command in COMMANDS.values()})


def test_it_is_a_module_to_run_too() -> None:
    command = [sys.executable, "-m", "serenbox", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert done.returncode == EXIT_USAGE
    assert done.stderr.startswith("serenbox: error: there is no command 'nonsense'")
