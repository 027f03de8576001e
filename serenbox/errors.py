"""Every error SerenBox raises on purpose.

Each is a `SerenBoxError` and also the builtin a caller would expect. The message is written for the
person in front of the screen: what happened, why, and what to do.
"""

IMPOSSIBLE_NAME = "no file can have such a name"
"""Why Python refuses, with a mere ValueError, a path with a null character or half a character."""


class SerenBoxError(Exception):
    """Base of every error SerenBox raises on purpose."""

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong; nearly always there is one."""
        return (str(self),)


def reason_of(error: Exception) -> str:
    """Return in a few words why something failed: the system's own, where an error has them."""
    return getattr(error, "strerror", None) or str(error)


class ImageError(SerenBoxError, ValueError):
    """A picture cannot be read, is not a picture, is too large, or cannot be written."""


class ModelError(SerenBoxError, ValueError):
    """A model file is missing, damaged, or not the kind of model that is needed."""


class RuntimeUnavailableError(SerenBoxError, ImportError):
    """No TensorFlow Lite runtime is installed, or the installed one cannot run here."""


class CameraError(SerenBoxError, OSError):
    """A camera is missing, taken, gone, or gives no pictures."""


class CameraTimeoutError(CameraError, TimeoutError):
    """No frame came in time."""


class DamagedPictureError(CameraError):
    """One picture of a recording cannot be read; the next one may be good."""


class SettingsError(SerenBoxError, ValueError):
    """The configuration cannot be read or holds something impossible.

    Args:
        problems: A sentence for each thing that is wrong.

    """

    def __str__(self) -> str:
        """Return all in one line."""
        return "; ".join(self.problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong."""
        return self.args


class ServiceError(SerenBoxError, RuntimeError):
    """The service cannot start or cannot go on, or there is none to talk to."""


class NoServiceError(ServiceError):
    """No service runs that could be talked to."""


class HistoryError(SerenBoxError, RuntimeError):
    """The history cannot be opened, read or written."""


class HistoryDamagedError(HistoryError):
    """The file of the history is damaged, or is no history."""
