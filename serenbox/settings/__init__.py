"""The configuration: what can be set, read from TOML and printed with comments."""

from serenbox.settings.schema import Settings

__all__ = ["Settings"]
