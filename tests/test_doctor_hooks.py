"""The checks of hooks behind `serenbox check`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from serenbox.doctor import files, hooks
from serenbox.doctor.roots import Person, person_in_question
from serenbox.settings.schema import HookSettings


def test_hooks_must_be_there_and_executable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "HIDDEN", (f"{tmp_path}/home/",))
    plain, hidden = tmp_path / "my plain", tmp_path / "home" / "hidden"
    hidden.parent.mkdir()
    for path in (plain, hidden):
        path.touch()
    hidden.chmod(0o755)
    programs = ("true", str(tmp_path / "missing"), str(plain), str(hidden), "mosquito_pub", "true")
    settings = [HookSettings(("mood",), (name,)) for name in programs]
    found = list(hooks.check_hooks(settings, Person("serenbox", 0, frozenset())))
    assert [(result.name, result.state) for result in found] == [
        ("hook", "ok"),
        *[("hook", "warn")] * 4,
    ]
    _, missing, not_executable, unseen, unknown = found
    assert unknown.seen.startswith("mosquito_pub: there is no program of this name in /")
    assert unknown.mend == ""
    assert missing.seen == f"{tmp_path}/missing: there is no such program"
    assert not_executable.seen == f"{plain} is not executable"
    assert not_executable.mend == f"sudo chmod +x '{plain}'"
    assert unseen.seen == (
        f"{hidden} is in a folder that the service cannot see: copy it, and name "
        "/etc/serenbox/hooks/hidden in the settings"
    )
    assert unseen.mend.endswith(f"/etc/serenbox/hooks {hidden}")
    other = Person("root", 0, frozenset())
    assert [one.state for one in hooks.check_hooks(settings[3:4], other)] == ["ok"]
    (tilde,) = hooks.check_hooks([HookSettings(("mood",), ("~/hook",))], other)
    assert "~ does not stand for a folder" in tilde.seen


def test_a_home_folder_is_not_opened_for_a_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service would not see into it all the same."""
    monkeypatch.setattr(files, "HIDDEN", (f"{tmp_path}/home/",))
    home = tmp_path / "home" / "pi"
    home.mkdir(0o700, parents=True)
    hook = home / "hook"
    hook.write_text("#!/bin/sh\n")
    service = Person("serenbox", 54321, frozenset({54321}))
    for mode in (0o644, 0o700):
        hook.chmod(mode)
        (found,) = hooks.check_hooks([HookSettings(("mood",), (str(hook),))], service)
        assert found.mend == f"sudo install -D -m 755 -t /etc/serenbox/hooks {hook}"


@pytest.mark.parametrize(
    ("line", "array"),
    [
        ("true one", '["true", "one"]'),
        ("/bin/sh -c 'echo two words'", '["/bin/sh", "-c", "echo two words"]'),
        ("true it's", '["true", "it\'s"]'),
    ],
)
def test_a_command_line_is_not_the_name_of_a_program(line: str, array: str) -> None:
    (result,) = hooks.check_hooks([HookSettings(("mood",), (line,))], Person("me", 0, frozenset()))
    assert result.state == "warn"
    assert result.seen.startswith(
        f"{line}: no shell reads this, so spaces do not separate arguments"
    )
    assert result.seen.endswith(f"each argument as a string of its own, {array}")


def test_a_missing_program_whose_name_has_a_blank_is_only_missing(tmp_path: Path) -> None:
    command = (f"{tmp_path}/my hook",)
    (result,) = hooks.check_hooks([HookSettings(("mood",), command)], Person("me", 0, frozenset()))
    assert result.seen == f"{tmp_path}/my hook: there is no such program"


def test_a_program_that_is_found_only_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service starts in another folder."""
    monkeypatch.setattr(files, "HIDDEN", ())
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "on-mood"
    script.touch(0o755)
    settings = [HookSettings(("mood",), ("./on-mood",))]
    (found,) = hooks.check_hooks(settings, Person("serenbox", 54321, frozenset({54321})))
    assert (found.state, found.seen) == (
        "warn",
        f"on-mood is no full path, and the service starts in another folder: write {script}",
    )
    (found,) = hooks.check_hooks(settings, person_in_question())
    assert found.state == "ok"


def test_hooks_must_be_open_to_the_user_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HIDDEN", ())
    nobody = Person("nobody", 65534, frozenset({65534}))
    with TemporaryDirectory(dir="/dev/shm") as name:  # open to other users
        script = Path(name, "folder", "script")
        script.parent.mkdir()
        script.write_text("#!/bin/sh\n")
        states = []
        for folder, script_mode, of_all in (
            *((0o755, 0o755, 0o755), (0o755, 0o700, 0o755), (0o755, 0o711, 0o755)),
            *((0o700, 0o755, 0o755), (0o755, 0o755, 0o700)),
        ):
            script.chmod(script_mode)
            script.parent.chmod(folder)
            Path(name).chmod(of_all)
            (found,) = hooks.check_hooks([HookSettings(("mood",), (str(script),))], nobody)
            states.append((found.state, found.mend))
    mend = "sudo chmod a+rx "
    assert states == [
        ("ok", ""),
        *[("warn", f"{mend}{script}")] * 2,
        ("warn", f"{mend}{script.parent}"),
        ("warn", f"{mend}{name}"),
    ]
