"""The hook output for tests: scripts as hooks, changes of mood, and processes that live or end."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenbox.hooks.output import HookOutput
from serenbox.outputs.messages import event_message, mood_message
from serenbox.settings.schema import HookEvent, HookSettings
from tests.mosquitto import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def script(path: Path, text: str, *, interpreter: str = "/bin/sh") -> str:
    path.write_text(f"#!{interpreter}\n{text}\n")
    path.chmod(0o755)
    return str(path)


@contextmanager
def running(*hooks: HookSettings) -> Iterator[HookOutput]:
    output = HookOutput(hooks)
    output.start()
    try:
        yield output
    finally:
        output.close(5.0)
        assert not output._thread.is_alive()


def hook(*command: str, events: tuple[HookEvent, ...] = ("mood",), **more: Any) -> HookSettings:  # noqa: ANN401 - values of settings
    return HookSettings(events, command, **more)


def change(mood: str = "happy", previous: str = "sad") -> dict[str, Any]:
    return event_message(mood_message("den", 0.0, "sensing", None, 0.0) | {"mood": mood}, previous)


def wait_runs(output: HookOutput, count: int) -> None:
    def runs() -> int:
        health = output.health()
        return int(health["published"] + health["failed"])

    wait_for(lambda: runs() >= count and not output.health()["running"], f"{count} runs")
    assert runs() == count


def lives(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), f"a process in {path}")
    return int(path.read_text())
