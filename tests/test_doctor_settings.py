"""The checks of the settings behind `serenbox check`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from serenbox.doctor import Roots, examine, files, software
from serenbox.doctor.mending import edit_settings
from serenbox.doctor.roots import Person, person_in_question
from serenbox.settings import Settings, loader
from tests.machines import bare_machine
from tests.rights import closed


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return bare_machine(tmp_path)


def test_each_setting_that_is_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text("[camera]\nwidht = 640\nfps = 0\n")
    (one, other), settings = software.check_settings(file, person_in_question())
    assert (one.state, other.state) == ("fail", "fail")
    assert "widht" in one.seen
    assert "width" in one.seen
    assert "camera.fps" in other.seen
    assert one.mend in (f"sudoedit '{file}'", f"editor '{file}'")
    assert settings is None


SERVICE = Person("serenbox", 54321, frozenset({54321}))


def test_the_service_reads_the_settings_of_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "system.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = tmp_path / "serenbox" / "serenbox.toml"
    mine.parent.mkdir()
    mine.write_text("[camera]\nwidth = 320\n")
    (result,), settings = software.check_settings(None, SERVICE)
    assert (result.state, result.seen) == ("ok", "no file, so the defaults apply")
    assert settings == Settings()
    assert edit_settings(None, SERVICE) == "sudoedit /etc/serenbox/serenbox.toml"
    (result,), _ = software.check_settings(None, person_in_question())
    assert (result.state, result.seen) == ("ok", str(mine))
    assert edit_settings(None, person_in_question()) in (f"sudoedit {mine}", f"editor {mine}")


@pytest.mark.parametrize(
    ("folder", "file", "mend"),
    [
        (0o755, 0o644, ""),
        (0o755, 0o600, "sudo chgrp serenbox {0} && sudo chmod g+r {0}"),
        (0o700, 0o644, "sudo chmod a+rx {1}"),
    ],
)
def test_settings_must_be_open_to_the_user_of_the_service(
    monkeypatch: pytest.MonkeyPatch, folder: int, file: int, mend: str
) -> None:
    with TemporaryDirectory(dir="/dev/shm") as name:  # open to other users
        Path(name).chmod(0o755)
        path = Path(name, "etc", "serenbox.toml")
        monkeypatch.setattr(loader, "SYSTEM_FILE", path)
        path.parent.mkdir()
        path.write_text("[camera]\nwidth = 320\n")
        path.chmod(file)
        path.parent.chmod(folder)
        (result,), settings = software.check_settings(None, SERVICE)
        (named,), _ = software.check_settings(path, SERVICE)
    mend = mend.format(path, path.parent)
    assert (result.state, result.mend) == ("fail" if mend else "ok", mend)
    if mend:
        closed = mend.split()[-1]
        assert result.seen == f"serenbox may not read {path}: {closed} is closed to that user"
    assert settings is not None
    assert settings.camera.width == 320
    assert named.state == "ok"  # a file given by name is not the service's own


def test_a_link_to_settings_that_the_service_cannot_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "HIDDEN", (f"{tmp_path}/home/",))
    mine, link = tmp_path / "home" / "my.toml", tmp_path / "serenbox.toml"
    monkeypatch.setattr(loader, "SYSTEM_FILE", link)
    mine.parent.mkdir()
    mine.touch()
    link.symlink_to(mine)
    (result,), _ = software.check_settings(None, SERVICE)
    assert (result.state, result.mend) == (
        "fail",
        f"sudo install -g serenbox -m 640 {mine} {link}",
    )
    assert result.seen == (
        f"{link} leads to {mine}, which is in a folder that the service cannot see"
    )


def test_settings_that_are_not_there_are_made(tmp_path: Path) -> None:
    (result,), settings = software.check_settings(tmp_path / "gone.toml", person_in_question())
    assert result.mend == f"serenbox config > {tmp_path}/gone.toml"
    assert settings is None


def test_settings_in_a_folder_that_is_closed(tmp_path: Path) -> None:
    asking = person_in_question()
    with closed(tmp_path):
        (result,), settings = software.check_settings(tmp_path / "my.toml", asking)
    assert (result.state, settings) == ("fail", None)
    assert "it cannot be read (Permission denied)" in result.seen
    assert result.mend == f"sudo serenbox check --config {tmp_path}/my.toml"


def test_settings_that_only_the_service_and_root_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "SYSTEM_FILE", tmp_path / "serenbox.toml")
    (tmp_path / "serenbox.toml").touch()
    with closed(tmp_path):
        (result,), _ = software.check_settings(None, person_in_question())
    assert (result.state, result.mend) == ("fail", "sudo serenbox check")


def test_a_folder_is_not_edited(tmp_path: Path) -> None:
    (result,), _ = software.check_settings(tmp_path, person_in_question())
    assert (result.state, result.mend) == ("fail", f"ls -l {tmp_path}")


def test_with_wrong_settings_nothing_is_said_of_what_they_decide(
    roots: Roots, tmp_path: Path
) -> None:
    file = tmp_path / "serenbox.toml"
    file.write_text("[mqtt]\nenabled = 1\n")
    results = list(examine(file, roots=roots))
    assert [result.name for result in results] == [
        *("python", "settings", "face model", "the rest"),
        *("service", "temperature", "throttling", "disk"),
    ]
    assert results[3].seen == "not looked at: the settings cannot be read"


def test_settings_that_are_right_are_used(tmp_path: Path) -> None:
    file = tmp_path / "serenbox.toml"
    file.write_text("[camera]\nwidth = 320\n")
    (result,), settings = software.check_settings(file, person_in_question())
    assert (result.state, result.seen) == ("ok", str(file))
    assert settings is not None
    assert settings.camera.width == 320
