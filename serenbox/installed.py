"""Which SerenBox this is."""

from __future__ import annotations

from functools import cache


@cache
def installed_version() -> str:
    """Return the version that pip has installed; `unknown` in a mere checkout."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("serenbox")
    except PackageNotFoundError:
        return "unknown"
