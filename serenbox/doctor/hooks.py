"""Checks of hooks: whether the programs that they run are there, and can be run."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.doctor.files import copied, is_hidden, only_here
from serenbox.doctor.result import Result
from serenbox.settings.values import as_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serenbox.doctor.roots import Person
    from serenbox.settings.schema import HookSettings

_FOLDER = "/etc/serenbox/hooks"


def check_hooks(hooks: Sequence[HookSettings], person: Person) -> Iterator[Result]:
    """Check that each program is there, may be run by a person, and is seen by the service."""
    for program in dict.fromkeys(hook.command[0] for hook in hooks):
        yield _check(program, person)


def _check(program: str, person: Person) -> Result:
    path = shutil.which(program, os.F_OK)
    return _missing(program) if path is None else _judge(path, person)


def _missing(program: str) -> Result:
    if program.startswith("~"):
        seen = (
            f"{program}: no shell reads this, so ~ does not stand for a folder: write the full path"
        )
        return Result("hook", "warn", seen)
    if words := _words(program):
        seen = (
            f"{program}: no shell reads this, so spaces do not separate arguments: write the "
            f"program and each argument as a string of its own, {as_toml(words)}"
        )
        return Result("hook", "warn", seen)
    if "/" not in program:
        seen = f"{program}: there is no program of this name in {os.environ.get('PATH', 'PATH')}"
        return Result("hook", "warn", seen)
    seen = f"{program}: there is no such program"
    return Result("hook", "warn", seen, f"ls -l {shlex.quote(str(Path(program).parent))}")


def _judge(path: str, person: Person) -> Result:
    # First, because nothing that opens a hidden folder helps.
    if is_hidden(Path(path), person):
        copy = f"install -D -m 755 -t {_FOLDER}"
        return Result("hook", "warn", *copied(Path(path), _FOLDER, copy))
    if seen := only_here(Path(path), person):
        return Result("hook", "warn", seen)
    if shutil.which(path) is None:
        seen = f"{path} is not executable"
        return Result("hook", "warn", seen, f"sudo chmod +x {shlex.quote(path)}")
    # A script is read, too: by its interpreter.
    closed = person.closed(Path(path), 5 if _is_script(Path(path)) else 1)
    if closed is not None:
        seen = f"{person.name} may not run {path}: {closed} is closed to that user"
        return Result("hook", "warn", seen, f"sudo chmod a+rx {shlex.quote(str(closed))}")
    return Result("hook", "ok", path)


def _words(program: str) -> list[str]:
    """Return the words of a whole command line that stands for a program; none if it is not one."""
    try:
        words = shlex.split(program)
    except ValueError:  # a quote that is not closed
        words = program.split()
    return words if len(words) > 1 and shutil.which(words[0], os.F_OK) else []


def _is_script(path: Path) -> bool:
    """Return whether a program is a script, which an interpreter reads."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:  # it may not be read here
        return False
