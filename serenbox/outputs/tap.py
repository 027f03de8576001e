"""Where frames branch off to whoever watches the camera live: nobody, unless somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from serenbox.pixels import Pixels


class Watcher(Protocol):
    """Takes frames. Both calls come from the thread that senses and must return at once."""

    def show(self, image: Pixels) -> None:
        """Take a frame, (height, width, 3) BGR; it must not be changed."""

    def cut(self) -> None:
        """Forget what was taken: the camera is being closed, and no frame comes any more."""


class Tap:
    """Hands frames to one watcher, while there is one.

    Attributes:
        watcher: It; None for as long as nobody watches, and then a frame costs one comparison.

    """

    __slots__ = ("watcher",)

    def __init__(self) -> None:
        self.watcher: Watcher | None = None

    def pass_on(self, image: Pixels) -> None:
        """Let the watcher see a frame, (height, width, 3) BGR."""
        watcher = self.watcher  # its thread may take it away at any moment
        if watcher is not None:
            watcher.show(image)

    def cut(self) -> None:
        """Send the watcher away: the camera is being closed."""
        watcher, self.watcher = self.watcher, None
        if watcher is not None:
            watcher.cut()
