"""Every error SerenBox raises on purpose.

Each is a `SerenBoxError` and also the builtin a caller would expect. The message is written for the
user: what happened, why, and what to do.
"""

IMPOSSIBLE_NAME = "no file can have such a name"
"""Python raises ValueError, not OSError, for a null character or a lone surrogate in a path."""


class SerenBoxError(Exception):
    """Base of every error SerenBox raises on purpose."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each problem; there is nearly always just one."""
        return (str(self),)


def reason_of(error: Exception) -> str:
    """Return briefly why something failed, in the operating system's words if there are any."""
    return getattr(error, "strerror", None) or str(error)


class ImageError(SerenBoxError, ValueError):
    """A picture cannot be read, is not a picture, is too large, or cannot be written."""


class ModelError(SerenBoxError, ValueError):
    """A model file is missing, damaged, or not the kind of model that is needed."""


class RuntimeUnavailableError(SerenBoxError, ImportError):
    """No TensorFlow Lite runtime is installed, or the installed one cannot run here."""


class CameraError(SerenBoxError, OSError):
    """A camera is missing, in use, disconnected, or delivers no pictures."""


class CameraTimeoutError(CameraError, TimeoutError):
    """No frame came in time."""


class DamagedPictureError(CameraError):
    """One picture of a recording cannot be read; the next one may be good."""


class SettingsError(SerenBoxError, ValueError):
    """The configuration cannot be read or holds something impossible.

    Args:
        problems: One sentence for each problem.

    """

    def __str__(self) -> str:
        """Return all problems on one line."""
        return "; ".join(self.problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each problem."""
        return self.args


class ServiceError(SerenBoxError, RuntimeError):
    """The service cannot start or cannot continue, or there is none to talk to."""


class NoServiceError(ServiceError):
    """There is no running service to talk to."""


class HistoryError(SerenBoxError, RuntimeError):
    """The history cannot be opened, read or written."""


class HistoryDamagedError(HistoryError):
    """The history file is damaged, or is not a history."""
