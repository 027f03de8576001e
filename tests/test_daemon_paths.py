from __future__ import annotations

import os
from pathlib import Path

import pytest

from serenbox.daemon.paths import make_runtime_folder, service_paths, socket_candidates
from serenbox.errors import ServiceError


def test_systemd_says_where() -> None:
    environment = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "STATE_DIRECTORY": "/var/lib/a"}
    environment |= {"XDG_RUNTIME_DIR": "/x", "XDG_STATE_HOME": "/y", "HOME": "/z"}
    paths = service_paths(environment)
    assert paths.lock == Path("/run/a/lock")
    assert paths.socket == Path("/run/a/control")
    assert paths.paused == Path("/var/lib/a/paused")


def test_else_the_session_does() -> None:
    paths = service_paths({"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/s", "HOME": "/z"})
    assert (paths.runtime, paths.state) == (Path("/run/user/7/serenbox"), Path("/s/serenbox"))


def test_else_they_are_the_users_own() -> None:
    paths = service_paths({"HOME": "/home/a"})
    assert paths.runtime == Path(f"/tmp/serenbox-{os.getuid()}")  # noqa: S108
    assert paths.state == Path("/home/a/.local/state/serenbox")
    for homeless in ({}, {"HOME": ""}):  # never a folder that depends on where it is started
        assert service_paths(homeless).state == Path("/.local/state/serenbox")


def test_a_command_also_looks_for_the_systems_service() -> None:
    found = socket_candidates({"XDG_RUNTIME_DIR": "/run/user/7"})
    assert found == [Path("/run/user/7/serenbox/control"), Path("/run/serenbox/control")]
    assert socket_candidates({"RUNTIME_DIRECTORY": "/run/serenbox"}) == found[1:]


def test_a_folder_of_another_users_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user could have made the folder in /tmp first."""
    folder = tmp_path / "serenbox"
    folder.mkdir()
    system = Path("/run/serenbox/control")
    environment = {"RUNTIME_DIRECTORY": str(folder)}
    assert socket_candidates(environment) == [folder / "control", system]
    real = folder.lstat()
    monkeypatch.setattr(Path, "lstat", lambda _: _with_owner(real, os.geteuid() + 1))
    assert socket_candidates(environment) == [system]
    monkeypatch.setattr(Path, "lstat", lambda _: _with_owner(real, 0))
    assert socket_candidates(environment) == [folder / "control", system]
    monkeypatch.undo()
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert socket_candidates({"RUNTIME_DIRECTORY": str(link)}) == [system]


def _with_owner(found: os.stat_result, owner: int) -> os.stat_result:
    values = list(found)
    values[4] = owner
    return os.stat_result(values)


def test_the_runtime_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_runtime_folder(folder)
    make_runtime_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_runtime_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"  # somebody else's trap in /tmp
    link.symlink_to(real)
    with pytest.raises(ServiceError, match="is not a folder: remove it"):
        make_runtime_folder(link)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ServiceError, match="cannot be made"):
        make_runtime_folder(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_somebody_elses_runtime_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(ServiceError, match="belongs to another user"):
        make_runtime_folder(folder)
