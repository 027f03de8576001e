"""Passes frames on to whoever watches the camera live, if anybody does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from serenbox.pixels import Pixels


class Watcher(Protocol):
    """Takes frames. Both methods are called in the sensing thread and must return at once."""

    def show(self, image: Pixels) -> None:
        """Take a frame, (height, width, 3) BGR; it must not be changed."""

    def cut(self) -> None:
        """Forget the last frame: the camera is being closed, and no more frames will come."""


class Tap:
    """Passes frames to one watcher, while there is one.

    Attributes:
        watcher: The watcher; None while nobody watches, when a frame costs one comparison.

    """

    __slots__ = ("watcher",)

    def __init__(self) -> None:
        self.watcher: Watcher | None = None

    def pass_on(self, image: Pixels) -> None:
        """Let the watcher see a frame, (height, width, 3) BGR."""
        watcher = self.watcher  # its thread may remove it at any moment
        if watcher is not None:
            watcher.show(image)

    def cut(self) -> None:
        """Remove the watcher: the camera is being closed."""
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.cut()
