from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from serenbox.runtime_names import Runtime
from serenbox.settings.known import KnownSetting, arrays, describe, tables
from serenbox.settings.rules import RULES
from serenbox.settings.schema import CameraSettings, HookSettings, SensingSettings, Settings

ROOT = Path(__file__).parent.parent
EVERY = [(table, known) for table in tables() for known in describe(tables()[table])]
NAMES = [f"{table}.{known.key}" for table, known in EVERY]


def setting(name: str) -> KnownSetting:
    return EVERY[NAMES.index(name)][1]


def test_every_field_is_described_in_order() -> None:
    order = ["device", "camera", "sensing", "mood", "stdout", "mqtt", "diffuser", "web", "history"]
    assert list(tables()) == [*order, "service"]
    assert arrays() == {"hooks": HookSettings}
    first = describe(CameraSettings)[:2]
    assert [known.key for known in first] == ["source", "width"]
    doc = "Width of a frame, pixels; for Pi and USB cameras."
    assert first[1] == KnownSetting("width", int, (), 640, doc, 64, 4096)


def test_choices_come_from_the_declared_type() -> None:
    runtime = next(known for known in describe(SensingSettings) if known.key == "runtime")

    assert runtime.kind is str
    assert runtime.choices == ("auto", "ai-edge-litert", "tflite-runtime")
    assert setting("camera.rotate").choices == (0, 90, 180, 270)
    assert setting("camera.rotate").kind is int
    assert get_args(Runtime) == runtime.choices


@pytest.mark.parametrize(("table", "known"), EVERY, ids=NAMES)
def test_every_setting_has_words_and_a_default_that_suits(table: str, known: KnownSetting) -> None:
    assert known.doc.endswith(".")
    assert known.accepts(known.default)
    assert type(known.default) is known.kind
    assert getattr(getattr(Settings(), table), known.key) == known.default
    limited = known.low is not None and known.high is not None
    assert limited == (known.kind in (int, float) and not known.choices)


def test_every_setting_of_an_array_has_words_and_an_example_or_a_default_that_suits() -> None:
    events, command, timeout = describe(HookSettings)
    assert (events.required, command.required, timeout.required) == (True, True, False)
    for known in (events, command, timeout):
        assert known.doc.endswith(".")
        assert known.accepts(known.default)
    assert events.choices == ("mood", "face", "no_face", "paused", "error")
    assert events.wanted == 'an array of any of "mood", "face", "no_face", "paused", "error"'
    assert command.wanted == 'an array of texts in "quotes", at least one'


@pytest.mark.parametrize(
    ("value", "suits"),
    [
        (["mood", "error"], True),
        (["mood", "mode"], False),
        (["mood", 1], False),
        ([["mood"]], False),
        ([], False),
        ("mood", False),
        ({}, False),
    ],
)
def test_which_arrays_suit(value: object, suits: bool) -> None:
    assert describe(HookSettings)[0].accepts(value) is suits


@pytest.mark.parametrize(
    ("name", "value", "suits"),
    [
        ("camera.width", 64, True),
        ("camera.width", 4096, True),
        ("camera.width", 63, False),
        ("camera.width", 4097, False),
        ("camera.width", 640.0, False),
        ("camera.width", True, False),
        ("camera.width", "640", False),
        ("camera.fps", 5, True),
        ("camera.fps", 0.1, True),
        ("camera.fps", True, False),
        ("camera.fps", float("nan"), False),
        ("camera.fps", float("inf"), False),
        ("camera.fps", 10**400, False),
        ("camera.rotate", 90, True),
        ("camera.rotate", 0, True),
        ("camera.rotate", False, False),
        ("camera.rotate", 90.0, False),
        ("camera.rotate", 45, False),
        ("camera.loop", True, True),
        ("camera.loop", 1, False),
        ("service.log_level", "warning", True),
        ("service.log_level", "Warning", False),
        ("service.log_level", [], False),
        ("camera.source", "Küche.mp4", True),
        ("camera.source", "a\nb", False),
        ("camera.source", "a\0b", False),
        ("camera.source", "a\x7fb", False),
        ("camera.source", {}, False),
    ],
)
def test_what_suits(name: str, value: object, suits: bool) -> None:
    assert setting(name).accepts(value) is suits


def test_what_is_wanted_is_said_in_words() -> None:
    assert setting("camera.width").wanted == "a whole number from 64 to 4096"
    assert setting("camera.fps").wanted == "a number from 0.1 to 120"
    assert setting("camera.rotate").wanted == "one of 0, 90, 180, 270"
    assert setting("camera.loop").wanted == "true or false"
    assert setting("camera.source").wanted == 'one line of text in "quotes"'


def test_rules_name_settings_that_exist_and_the_defaults_keep_them() -> None:
    for rule in RULES:
        assert set(rule.keys) <= set(NAMES)
        assert rule.holds(Settings())


def test_a_field_without_words_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="width has no documentation"):
        describe(_Bare)


@dataclass
class _Bare:
    width: int = 1


def test_importing_the_settings_imports_nothing_heavy() -> None:
    code = "import serenbox.settings, sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert {name.split(".")[0] for name in done.stdout.split()}.isdisjoint({"numpy", "cv2", "paho"})
