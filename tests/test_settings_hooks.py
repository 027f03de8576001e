"""Hooks are arrays of tables; with them, the diffuser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.settings import load_settings, read_settings
from serenbox.settings.check import MAX_PROBLEMS
from serenbox.settings.schema import HookSettings
from tests.settings_file import problems

if TYPE_CHECKING:
    from pathlib import Path

HOOK = '[[hooks]]\nevents = ["mood"]\ncommand = ["a"]\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serenbox.toml"


def test_reads_arrays_of_tables(config: Path) -> None:
    config.write_text(
        f"{HOOK}timeout = 3\n[camera]\nfps = 5\n"
        '[[hooks]]\ncommand = ["b", "", "c d"]\nevents = [\n  "face",\n  "no_face",\n]\n'
    )

    file = read_settings(config)

    assert file.settings.hooks == (
        HookSettings(("mood",), ("a",), 3.0),
        HookSettings(("face", "no_face"), ("b", "", "c d")),
    )
    assert type(file.settings.hooks[0].timeout) is float
    assert file.settings.camera.fps == 5
    assert file.lines["hooks.0.timeout"] == 4
    assert file.lines["hooks.1.events"] == 9
    config.write_text("hooks = [{events = ['error'], command = ['x']}]")
    assert load_settings(config).hooks == (HookSettings(("error",), ("x",)),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[hooks]\nevents = 1",
            "line 1: hooks is a table, and must be an array of tables: begin ea",
        ),
        (
            "hooks = 3",
            "line 1: hooks is 3, and must be an array of tables: begin each with [[hooks",
        ),
        (
            "hooks = [1]",
            "line 1: hooks is an array of other things, and must be an array of tables",
        ),
        (
            f"{HOOK}\n{HOOK}evnets = []",
            "line 8: hooks.evnets is not a setting: did you mean events",
        ),
        (f'{HOOK}shell = "x"', "line 4: hooks.shell is not a setting: those of [[hooks]] are even"),
        (f"{HOOK}timeout = 0", "line 4: hooks.timeout is 0, and must be a number from 0.1 to 3600"),
        ('[[hooks]]\nevents = ["face"]', "line 1: a [[hooks]] lacks command: add command = ["),
        (
            f"{HOOK}[[hooks]]\ncommand = ['b']",
            'line 4: a [[hooks]] lacks events: add events = ["mo',
        ),
        (
            "[[hooks]]\ncommand = ['a']\nevents = ['mood', 'faces']",
            'line 3: hooks.events holds the text "faces", and each must be one of "mood", "fa',
        ),
        (
            "[[hooks]]\ncommand = 'a b'\nevents = ['mood']",
            'line 2: hooks.command is the text "a b", and must be an array of texts in "quo',
        ),
        (
            "[[hooks]]\ncommand = []\nevents = ['mood']",
            "line 2: hooks.command is an empty array, and must be an array of texts",
        ),
        (
            "[[hooks]]\ncommand = ['a', 1]\nevents = ['mood']",
            "line 2: hooks.command holds 1, and each must be one line of text",
        ),
        (
            "[[hooks]]\ncommand = ['', 'a']\nevents = ['mood']",
            "line 2: hooks.command must begin with the name of a program",
        ),
        (
            "[[hooks]]\ncommand = [' ']\nevents = ['mood']",
            "line 2: hooks.command must begin with the name of a program",
        ),
        (HOOK * 17, "line 49: there are 17 [[hooks]], and at most 16 are allowed"),
        ("[[hook]]\nevents = []", "line 1: hook is not a setting: did you mean [[hooks]]?"),
        ("command = ['a']", "line 1: command is not in a table: put it under [[hooks]]"),
        (
            "[diffuser]\nenabled = true",
            "line 2: diffuser.enabled is true, and must be false if mqtt.enabled is false",
        ),
    ],
)
def test_says_what_is_wrong_with_hooks_and_the_diffuser(
    config: Path, text: str, problem: str
) -> None:
    (found,) = problems(config, text)

    assert found.startswith(problem)


def test_a_bad_hook_among_many_gets_few_words(config: Path) -> None:
    text = "".join(f"[[hooks]]\n{'x = 1' if number else 'y = 1'}\n" for number in range(16))

    assert len(problems(config, text)) == MAX_PROBLEMS


def test_an_empty_hook_lacks_everything(config: Path) -> None:
    found = problems(config, "\nhooks = [{}]")

    assert [problem.partition(": add")[0] for problem in found] == [
        "line 2: a [[hooks]] lacks command",
        "line 2: a [[hooks]] lacks events",
    ]
