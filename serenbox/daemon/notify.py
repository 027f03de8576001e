"""Tells systemd how the service is doing: the sd_notify protocol in a few lines."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Sends states to the socket in NOTIFY_SOCKET; without one, as in a terminal, does nothing.

    See sd_notify(3) for the states and sd_watchdog_enabled(3) for the watchdog. Nothing here
    blocks: what systemd has no room for now is sent with the next call of `alive` or `status`.

    Args:
        environment: Variables to use instead of the process's own.

    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._socket: socket.socket | None = None
        self._status = ""
        self._waiting: dict[str, str] = {}  # by kind, oldest first
        self.watchdog_interval = _watchdog_interval(environment)
        """Seconds between signs of life, half of systemd's timeout; None without a watchdog."""
        address = environment.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)
            # A leading @ stands for the zero byte of an abstract address.
            self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self) -> None:
        """Say that the service is up, or that a reload is over."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` must follow."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Give a sign of life to the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line what the service is doing; a repeated line is not sent."""
        if text != self._status:
            self._status = text
            self._send("STATUS=" + text.replace("\n", " "))
        else:
            self._send_waiting()

    def close(self) -> None:
        """Close the socket; nothing is sent after that."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is not None:
            kind = state.partition("=")[0]
            # Of each kind only the latest counts, at its own place: READY ends RELOADING.
            self._waiting.pop(kind, None)
            self._waiting[kind] = state
            self._send_waiting()

    def _send_waiting(self) -> None:
        while self._socket is not None and self._waiting:
            kind, state = next(iter(self._waiting.items()))
            try:
                # A name of a file need not be UTF-8.
                self._socket.sendto(state.encode(errors="backslashreplace"), self._address)
            except BlockingIOError:  # systemd is busy and its queue full
                return
            except OSError:  # if systemd does not listen, so be it
                pass
            del self._waiting[kind]


def _watchdog_interval(environment: Mapping[str, str]) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for another process
    if not microseconds.isdecimal() or not int(microseconds):
        return None
    return int(microseconds) / 1e6 / 2
