"""Tests of `docs/hooks.md` and `docs/diffuser.md`: their tables, examples and figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from serenbox.hooks.events import EventReader
from serenbox.hooks.lines import LENGTH, LINES
from serenbox.hooks.process import GRACE, KEPT_VARIABLES
from serenbox.outputs.messages import MOOD_LABELS, event_message, mood_message
from serenbox.settings import load_settings
from serenbox.settings.check import MAX_ENTRIES
from serenbox.settings.schema import DiffuserSettings, HookEvent
from tests.hook_output import script

if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).parent.parent
HOOKS, DIFFUSER = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("hooks", "diffuser")
)
FOLLOWER = (ROOT / "examples" / "diffuser" / "slot_follower.h").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def rows(text: str, after: str) -> dict[str, str]:
    """Return the second column of the table after these words, by the names in the first."""
    table = text.split(after, 1)[1].split("|---", 1)[1].split("\n\n", 1)[0]
    cells = [line.split("|")[1:3] for line in table.splitlines()[1:]]
    return {name: second for first, second in cells for name in re.findall(r"`(\w+)`", first)}


@pytest.mark.parametrize("text", [HOOKS, DIFFUSER], ids=["hooks", "diffuser"])
def test_the_settings_can_be_loaded(text: str, tmp_path: Path) -> None:
    for number, block in enumerate(found := blocks(text, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        load_settings(path)
    assert found


def test_every_event_is_explained() -> None:
    assert tuple(rows(HOOKS, "## When")) == get_args(HookEvent)


def test_the_messages_are_as_they_are_made() -> None:
    change, error = map(json.loads, blocks(HOOKS, "json"))
    mood = mood_message("serenbox", 0.0, "sensing", None, 0.0)
    (_, face) = EventReader().read("event", event_message(mood | {"mood": "happy"}, "no_face"))
    assert list(change) == list(face.message)
    assert (change["event"], change["previous"]) == ("face", "no_face")
    failed = mood_message("serenbox", 0.0, "no_camera", None, 0.0, problem="gone")
    (told,) = EventReader().read("mood", failed)
    assert list(error) == list(told.message)


def run(path: str, message: dict[str, Any], folder: Path) -> str:
    done = subprocess.run(
        [path],
        input=json.dumps(message, separators=(",", ":")) + "\n",
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    return done.stdout


def test_the_examples_do_what_they_say(tmp_path: Path) -> None:
    message = event_message(mood_message("den", 0.0, "sensing", None, 0.0), "happy")
    shell = next(block for block in blocks(HOOKS, "sh") if block.startswith("#!"))
    (python,) = blocks(HOOKS, "python")
    script(tmp_path / "mosquitto_pub", 'echo "$@"')
    lamp = script(tmp_path / "on-mood", shell.partition("\n")[2])
    assert run(lamp, message | {"mood": "sad"}, tmp_path) == "-t home/lamp -m warm\n"
    assert run(lamp, message | {"mood": "fear", "previous": "sad"}, tmp_path).endswith("plain\n")
    told = script(tmp_path / "told", python.partition("\n")[2], interpreter=sys.executable)
    error = message | {"source": "mqtt", "problem": "it has gone"}
    assert run(told, error, tmp_path) == "-t home/alert -m mqtt: it has gone\n"


def test_the_figures_of_hooks_are_those_of_the_code() -> None:
    flowing = " ".join(HOOKS.split())
    listed = re.search(r"It gets the variables (.*?) where the service has them", flowing)
    assert listed
    assert re.findall(r"`(\w+)`", listed[1]) == list(KEPT_VARIABLES)
    assert f"at most {LINES} a minute and {LENGTH} bytes each" in flowing
    assert f"Up to {MAX_ENTRIES} `[[hooks]]`" in flowing
    assert GRACE == 2
    assert "SIGKILL two seconds later" in flowing


def test_the_measurement_tells_how_it_is_called() -> None:
    (module,) = re.findall(r"`python -m (\S+) PORTRAIT`", HOOKS)
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("usage: hooks.py [-h] PORTRAIT\n")


def test_the_table_of_the_diffuser_is_the_default() -> None:
    defaults = DiffuserSettings()
    table = {mood: cell.strip(" `") for mood, cell in rows(DIFFUSER, "## The rule").items()}
    assert table == {mood: getattr(defaults, mood) for mood in MOOD_LABELS}
    for key in ("dwell", "off_after", "minimum_on"):
        assert re.search(rf"`{key}` seconds\s+\({getattr(defaults, key):g}\)", DIFFUSER)


def test_the_automation_looks_again_when_home_assistant_starts() -> None:
    """A plug that was on stays on, and a box that went away meanwhile triggers no change."""
    (recipe,) = blocks(DIFFUSER, "yaml")
    assert re.findall(r"trigger: (\w+)", recipe) == ["state", "homeassistant"]
    assert "event: start" in recipe


def test_the_times_of_a_consumer_are_those_of_the_example() -> None:
    grace, freshness = (int(found) for found in re.findall(r"= (\d+)UL \* 1000", FOLLOWER))
    flowing = " ".join(DIFFUSER.split())
    assert f"has been gone for {grace} seconds" in flowing
    assert f"nothing was heard of the slot for {freshness} seconds" in flowing
