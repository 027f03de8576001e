"""Checks of hooks: whether there is what they are to run."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.doctor.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serenbox.settings.schema import HookSettings

HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 - to warn of them
"""Folders that the service does not see, or sees others in their place (`ProtectHome=`,
`PrivateTmp=`)."""


def check_hooks(hooks: Sequence[HookSettings]) -> Iterator[Result]:
    """Look whether each program is there, may be run, and can be seen by the service."""
    for program in dict.fromkeys(hook.command[0] for hook in hooks):
        yield _check(program)


def _check(program: str) -> Result:
    path = shutil.which(program, os.F_OK)
    if path is None:
        seen = f"{program}: there is no such program"
        return Result("hook", "warn", seen, f"ls -l {shlex.quote(str(Path(program).parent))}")
    if shutil.which(program) is None:
        seen = f"{path} is not executable"
        return Result("hook", "warn", seen, f"sudo chmod +x {shlex.quote(path)}")
    if path.startswith(HIDDEN):
        seen = f"{path} is in a folder that the service does not see"
        mend = f"sudo install -D -m 755 -t /etc/serenbox/hooks {shlex.quote(path)}"
        return Result("hook", "warn", seen, mend)
    return Result("hook", "ok", path)
