"""What every output offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Output(Protocol):
    """Publishes messages. No call blocks, waits for a network, or raises.

    Every message is a dictionary ready for JSON, made by `serenbox.outputs.messages`; an output
    must not change it. Each output works in its own thread behind a queue of limited length, so
    that one that hangs or fails neither holds up the others nor fills the memory.
    """

    name: str
    """A word for logs and statistics, such as `mqtt`."""

    def start(self) -> None:
        """Begin; connections are made in the background and again whenever they break."""

    def mood(self, message: Mapping[str, Any]) -> None:
        """Take the current state, of which only the latest matters.

        Called on every change, with new scores at most once a second, and at least once a minute.
        """

    def event(self, message: Mapping[str, Any]) -> None:
        """Take a change: every one matters while the output is connected."""

    def stats(self, message: Mapping[str, Any]) -> None:
        """Take statistics on how the box is doing. Only the latest matter."""

    def close(self, timeout: float) -> None:
        """Publish what is queued and, where others watch, that the box is going offline; then stop.

        Args:
            timeout: The most seconds to spend on it.

        """

    def health(self) -> dict[str, Any]:
        """Return the state of the output, ready for JSON.

        At least `connected`, `published`, `dropped`, and `problem`, a sentence or None.
        """
