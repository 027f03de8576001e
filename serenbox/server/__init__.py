"""The HTTP server: photos in, emotions out, with the same objects as `serenbox-detect`.

`gunicorn 'serenbox.server:create_app()'` takes its settings from the environment; `serenbox serve`
also sets up gunicorn. Needs `pip install '.[server]'` in the checkout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from serenbox.server.settings import ServerSettings

__all__ = ["create_app"]


def create_app(settings: ServerSettings | None = None) -> Flask:
    """Return the application; call this once in each worker, because it loads the models.

    Args:
        settings: The server's settings; by default those of the environment.

    Raises:
        SettingsError: The environment holds an impossible setting.
        ModelError: The model cannot be used.
        RuntimeUnavailableError: No TensorFlow Lite runtime can be used.

    """
    import os

    from serenbox.server.app import make_app
    from serenbox.server.settings import settings_from

    return make_app(settings or settings_from(os.environ))
