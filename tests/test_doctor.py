"""The checks behind `serenbox check`, on small trees in place of a machine."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from serenbox.cli.check import CheckTool, table_line
from serenbox.doctor import Result, Roots, camera, examine, files
from serenbox.doctor.roots import Person
from serenbox.models import EMOTION_MODEL
from tests.machines import MEMBER, add_pi, bare_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = Person("serenbox", 54321, frozenset({54321}))
NAMES = [
    *("python", "settings", "emotion model", "face model", "runtime", "camera", "camera access"),
    *("broker", "page", "service", "temperature", "throttling", "disk", "history"),
]


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


def test_a_pi_in_good_order_fails_only_where_picamera2_is_missing(
    roots: Roots, tmp_path: Path
) -> None:
    add_pi(roots)
    (roots.proc / "meminfo").write_text("CmaTotal: 262144 kB\nCmaFree: 200000 kB\n")
    config = tmp_path / "serenbox.toml"
    config.write_text("")
    results = list(examine(config, roots=roots, person=MEMBER))
    pi_only = ["picamera2", "dma_heap", "CMA"]
    assert [result.name for result in results] == [*NAMES[:7], *pi_only, *NAMES[7:]]
    assert {result.name for result in results if result.state == "fail"} <= {"picamera2"}


def test_recordings_need_no_camera_checks(roots: Roots, tmp_path: Path) -> None:
    (tmp_path / "clip.mkv").touch()
    config = tmp_path / "serenbox.toml"
    config.write_text(f'[camera]\nsource = "{tmp_path}/clip.mkv"\n')
    results = list(examine(config, roots=roots))
    assert [result.name for result in results] == [
        name for name in NAMES if name != "camera access"
    ]
    assert [result.name for result in results if result.state == "fail"] == []


@pytest.fixture
def config_and_files() -> Iterator[tuple[Path, Path, Path]]:
    """A configuration, and the model and the recording that it names, open to all users."""
    with TemporaryDirectory(dir="/dev/shm") as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        model, film, config = (folder / name for name in ("my model.tflite", "film.mkv", "c.toml"))
        shutil.copy(EMOTION_MODEL, model)
        film.touch()
        config.write_text(f'[camera]\nsource = "{film}"\n[sensing]\nmodel = "{model}"\n')
        for path in (model, film):
            path.chmod(0o644)
        yield config, model, film


def failures(config: Path, roots: Roots) -> dict[str, Result]:
    results = examine(config, roots=roots, person=SERVICE)
    return {result.name: result for result in results if result.state == "fail"}


def test_files_that_are_hidden_from_the_service_fail(
    roots: Roots, config_and_files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, model, film = config_and_files
    assert failures(config, roots) == {}
    monkeypatch.setattr(files, "HIDDEN", (f"{config.parent}/",))
    found = failures(config, roots)
    assert found.keys() == {"emotion model", "camera"}
    assert found["emotion model"].seen == (
        f"{model} is in a folder that the service cannot see: copy it, and name "
        "/etc/serenbox/my model.tflite in the settings"
    )
    assert found["emotion model"].mend == f"sudo install -m 644 -t /etc/serenbox '{model}'"
    assert found["camera"].mend == f"sudo install -m 644 -t /etc/serenbox {film}"
    real = film.rename(film.with_name("real.mkv"))
    film.symlink_to(real)  # `install` would remove a link that it is to put in its own place
    assert failures(config, roots)["camera"].mend == f"sudo install -m 644 -t /etc/serenbox {real}"


def test_files_that_are_closed_to_the_service_fail(
    roots: Roots, config_and_files: tuple[Path, Path, Path]
) -> None:
    config, model, film = config_and_files
    for path in (model, film):
        path.chmod(0o600)
    found = failures(config, roots)
    assert found.keys() == {"emotion model", "camera"}
    assert found["emotion model"].mend == f"sudo chmod a+r '{model}'"
    assert found["camera"].seen == f"serenbox may not read {film}: {film} is closed to that user"


def test_files_that_are_found_only_from_here_fail(
    roots: Roots, config_and_files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service starts in another folder."""
    config, model, film = config_and_files
    monkeypatch.chdir(config.parent)
    config.write_text(f'[camera]\nsource = "{film.name}"\n[sensing]\nmodel = "{model.name}"\n')
    found = failures(config, roots)
    assert found.keys() == {"emotion model", "camera"}
    assert found["camera"].seen == (
        f"film.mkv is no full path, and the service starts in another folder: write {film}"
    )
    assert found["emotion model"].mend in (f"sudoedit {config}", f"editor {config}")
    asking = examine(config, roots=roots)
    assert {result.name for result in asking if result.state == "fail"}.isdisjoint(found)


@pytest.mark.parametrize("name", ["gone.mkv", "x" * 300, "gone\0.mkv"])
def test_a_recording_that_is_not_to_be_had_fails(roots: Roots, tmp_path: Path, name: str) -> None:
    result = camera.check_camera(f"{tmp_path}/{name}", [], roots)
    assert result.state == "fail"
    assert "camera.source names no camera, and no recording is there: " in result.seen


def test_line_of_the_table() -> None:
    fine = Result("broker", "ok", "localhost:1883 takes connections")
    assert table_line(fine) == "ok    broker         localhost:1883 takes connections"
    bad = Result("CMA", "fail", "none\x1b[2J", "reboot")
    line = table_line(bad, color=True)
    assert line.startswith("\x1b[31mfail\x1b[0m  CMA ")
    assert line.endswith("none\\x1b[2J; mend it with: reboot")


@pytest.mark.parametrize(("term", "colored"), [("xterm", True), ("dumb", False)])
def test_colors_are_for_terminals_that_have_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    term: str,
    colored: bool,
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    config = tmp_path / "serenbox.toml"
    config.touch()
    CheckTool().main(["--config", str(config)])
    assert ("\x1b[32mok" in capsys.readouterr().out) is colored


@pytest.mark.parametrize("broken", [False, True])
def test_command_exits_with_1_only_if_something_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], broken: bool
) -> None:
    clip = tmp_path / "clip.mkv"
    if not broken:
        clip.touch()
    config = tmp_path / "größe.toml"
    config.write_text(f'[camera]\nsource = "{clip}"\n')
    code = CheckTool().main(["--config", str(config)])
    lines = capfd.readouterr()
    assert code == int(broken)
    assert lines.err == ""
    assert [line[6:19].strip() for line in lines.out.splitlines()] == [
        name for name in NAMES if name != "camera access"
    ]
    assert CheckTool().main(["--config", str(config), "--json"]) == int(broken)
    printed = capfd.readouterr().out
    assert printed.isascii()  # JSON in every locale
    answer = json.loads(printed)
    assert answer["checks"][1]["seen"] == str(config)
    assert answer["ok"] is not broken
    failed = [check["name"] for check in answer["checks"] if check["state"] == "fail"]
    assert failed == ["camera"] * broken
