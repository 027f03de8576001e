"""`serenbox config`, as a person runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.cli.main import main
from serenbox.settings import loader, render_settings

if TYPE_CHECKING:
    from pathlib import Path

BAD = '[camera]\nwidht = 3\nfps = "fast"\n'


@pytest.fixture(autouse=True)
def system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's configuration file, which does not exist until the test makes it."""
    path = tmp_path / "etc.toml"
    monkeypatch.setattr(loader, "SYSTEM_FILE", path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    return path


def test_prints_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    assert capsys.readouterr().out == render_settings()


def test_checks_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mine\n.toml"
    config.write_text(render_settings(), "utf-8")

    assert main(["config", "--check", str(config)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/mine\\n.toml: OK\n"


@pytest.mark.parametrize("option", ["--check", "--show"])
def test_names_each_problem_on_a_line(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(BAD)

    assert main(["config", option, str(config)]) == 2

    printed = capsys.readouterr()
    assert not printed.out
    first, second = printed.err.splitlines()
    assert first.startswith(f"serenbox config: error: {config}, line 2: camera.widht is not")
    assert second.startswith(f"serenbox config: error: {config}, line 3: camera.fps is the text")


def test_without_a_name_checks_what_the_service_would_read(
    system_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--check"]) == 0
    assert capsys.readouterr().out.startswith("OK: there is no configuration file")

    system_file.write_text("")
    assert main(["config", "--check"]) == 0
    assert capsys.readouterr().out == f"{system_file}: OK\n"

    system_file.write_text(BAD)
    assert main(["config", "--check"]) == 2
    assert f"{system_file}, line 2" in capsys.readouterr().err


def test_shows_what_applies(system_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system_file.write_text("[camera]\nfps = 5\n")

    assert main(["config", "--show"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f'# from "{system_file}"'
    assert ["fps", "=", "5.0", "#", "line", "2"] in [line.split() for line in lines]
    assert ["width", "=", "640", "#", "default"] in [line.split() for line in lines]


def test_wrong_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", str(tmp_path)]) == 2
    assert "Add --check or --show" in capsys.readouterr().err
    assert main(["config", "--check", "--show"]) == 2
    assert main(["config", "--check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(f"{tmp_path}: it is a folder: name a file in it\n")
