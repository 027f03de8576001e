"""The configuration: what can be set, read from TOML and printed with comments."""

from serenbox.settings.loader import (
    SettingsFile,
    find_settings_file,
    load_settings,
    read_settings,
    with_overrides,
)
from serenbox.settings.schema import Settings
from serenbox.settings.template import render_effective, render_settings

__all__ = [
    "Settings",
    "SettingsFile",
    "find_settings_file",
    "load_settings",
    "read_settings",
    "render_effective",
    "render_settings",
    "with_overrides",
]
