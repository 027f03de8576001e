from __future__ import annotations

import re
from typing import TYPE_CHECKING

from serenbox.settings import (
    Settings,
    SettingsFile,
    load_settings,
    read_settings,
    render_effective,
    render_settings,
)
from serenbox.settings.known import arrays, describe, tables
from serenbox.settings.schema import HookSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_default_configuration_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "serenbox.toml"
    config.write_text(render_settings(), "utf-8")

    file = read_settings(config)

    assert file.settings == Settings()
    assert not file.lines


def test_every_setting_uncommented_is_the_default(tmp_path: Path) -> None:
    config = tmp_path / "serenbox.toml"
    config.write_text(re.sub(r"^#(?! )", "", render_settings(), flags=re.MULTILINE), "utf-8")

    file = read_settings(config)

    example = HookSettings(events=("mood",), command=("/etc/serenbox/hooks/on-mood",))
    assert file.settings == Settings(hooks=(example,))
    every = [f"{table}.{known.key}" for table in tables() for known in describe(tables()[table])]
    hooks = [f"hooks.0.{known.key}" for known in describe(HookSettings)]
    assert list(file.lines) == every + hooks


def test_each_setting_is_explained() -> None:
    text = render_settings()

    for settings_class in (*tables().values(), *arrays().values()):
        for known in describe(settings_class):
            flowing = " ".join(text.replace("\n# ", " ").split())
            assert known.doc in flowing
    assert '# What runs the models. (one of "auto", "ai-edge-litert", "tflite-runtime")\n' in text
    assert (
        "# Width of a frame, pixels; for Pi and USB cameras. (64 to 4096)\n#width = 640\n" in text
    )
    assert max(map(len, text.splitlines())) <= 100


def test_the_effective_settings_say_where_they_come_from_and_can_be_read(tmp_path: Path) -> None:
    config, shown = tmp_path / "a\nb.toml", tmp_path / "shown.toml"
    source = 'source = "C:\\\\ü😀 \\"#\\" = 1"'
    config.write_text(f"[camera]\nfps = 5\n{source}\n[mqtt]\nenabled = true\n", "utf-8")

    text = render_effective(read_settings(config))
    shown.write_text(text, "utf-8")

    assert load_settings(shown) == load_settings(config)
    assert re.search(r"^fps = 5\.0 +# line 2$", text, re.MULTILINE)
    assert re.search(r"^width = 640 +# default$", text, re.MULTILINE)
    assert text.startswith('# from "')


def test_the_effective_settings_show_every_hook(tmp_path: Path) -> None:
    config, shown = tmp_path / "serenbox.toml", tmp_path / "shown.toml"
    config.write_text(
        '[[hooks]]\nevents = ["mood", "error"]\ncommand = ["a", "http://me:geheim@x/"]\n'
        '[[hooks]]\ncommand = [\n"b",\n]\nevents = ["face"]\ntimeout = 3\n'
    )

    text = render_effective(read_settings(config))
    shown.write_text(text.replace("***", "geheim"), "utf-8")

    assert load_settings(shown) == load_settings(config)
    assert re.search(r'^command = \["b"\] +# line 5$', text, re.MULTILINE)
    assert re.search(r"^timeout = 10\.0 +# default$", text, re.MULTILINE)
    assert "geheim" not in text


def test_the_effective_settings_hide_passwords(tmp_path: Path) -> None:
    config = tmp_path / "serenbox.toml"
    config.write_text('[camera]\nsource = "rtsp://me:geheim@cam:554/1"\n')

    text = render_effective(read_settings(config))

    assert "rtsp://me:***@cam:554/1" in text
    assert "geheim" not in text


def test_the_effective_settings_without_a_file() -> None:
    assert render_effective(SettingsFile()).startswith("# no file: all defaults\n")
