"""Tests of `docs/mqtt.md`: its tables, its session and its recipes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from dataclasses import fields
from pathlib import Path

from serenbox.mood.types import Mood, TrackedFace
from serenbox.outputs.homeassistant import discovery_message
from serenbox.outputs.messages import MOOD_LABELS, event_message, mood_message, stats_message
from serenbox.outputs.topics import Topics
from serenbox.results import EMOTIONS, Box, Face
from serenbox.settings.schema import MqttSettings
from tests.mosquitto import PATIENCE, listening, required_program, running_mosquitto, wait_for
from tests.slot_consumer import HARNESS, compile_cpp

TEXT = (Path(__file__).parent.parent / "docs" / "mqtt.md").read_text(encoding="utf-8")
SCORES = dict.fromkeys(EMOTIONS, 1 / 7)
FACE = TrackedFace(1, Face(Box(0, 0, 9, 9), "happy", 0.5, SCORES), primary=True)
MOOD = mood_message("serenbox", 0.0, "sensing", Mood("happy", 0.5, SCORES, 0.0), 0.0, [FACE])
EVENT = event_message(MOOD, "sad")
TOPICS = Topics.of("serenbox", MqttSettings())
STATS = stats_message(
    "serenbox",
    0.0,
    "sensing",
    version="1",
    uptime=1.0,
    camera="",
    frames=1,
    fps=1.0,
    latency_ms={},
    temperature_c=None,
    throttled=None,
    memory_mb=1.0,
    outputs={},
)


def block(language: str, containing: str = "") -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return next(str(found) for found in blocks if containing in found)


def rows(after: str) -> set[str]:
    """Return the names in the first column of the table after these words."""
    table = TEXT.split(after, 1)[1].split("|---", 1)[1].split("\n\n", 1)[0]
    first = (line.split("|")[1] for line in table.splitlines()[1:])
    return {name for cell in first for name in re.findall(r"`(\w+)`", cell)}


def test_the_tables_name_every_field() -> None:
    assert rows("### mood") == set(MOOD)
    assert rows("Each of `faces`:") == set(MOOD["faces"][0])
    assert rows("### event") == set(EVENT) - set(MOOD)
    assert rows("### stats") == set(STATS)
    for label in MOOD_LABELS:
        assert f"`{label}`" in TEXT


def test_the_table_of_topics_is_complete() -> None:
    topics = Topics.of("DEVICE", MqttSettings(prefix="PREFIX", discovery_prefix="HOME"))
    listed = set(re.findall(r"^\| `(\w+(?:/\w+)+)` \|", TEXT, re.MULTILINE))
    made = {getattr(topics, field.name) for field in fields(topics)} - {topics.own}
    assert {topic.replace("serenbox_DEVICE", "ID") for topic in made} == listed


def test_the_session_shows_messages_as_they_are_made() -> None:
    shown = [line.split(" ", 1) for line in block("text", "availability online").splitlines()]
    made = {"mood": MOOD, "event": EVENT, "stats": STATS}
    seen = set()
    for topic, payload in shown:
        kind = topic.rsplit("/", 1)[-1]
        seen.add(kind)
        if kind in made:
            assert list(json.loads(payload)) == list(made[kind])
    assert seen == {"availability", "config", "mood", "event", "stats", "command"}


def test_the_announcement_is_json() -> None:
    assert set(json.loads(block("json"))["components"]) == {"mood", "sensing"}


def test_the_shell_recipe(tmp_path: Path) -> None:
    required_program("mosquitto_sub")
    script, heard = tmp_path / "on-mood.sh", tmp_path / "heard"
    script.write_text(block("sh", "Usage: on-mood.sh"))
    with running_mosquitto(tmp_path) as broker, listening(broker) as listener:
        recipe = subprocess.Popen(
            ["sh", str(script), "happy", f"echo on >> {heard}"],
            env={**os.environ, "PORT": str(broker.port)},
            start_new_session=True,
        )
        try:
            log = broker.log
            wait_for(lambda: "serenbox/+/event" in log.read_text(), "the recipe to listen")
            for label in ("sad", "happy", "paused", "happy"):
                message = {**EVENT, "mood": label, "previous": "happy"}
                text = json.dumps(message, separators=(",", ":"))
                listener.publish("serenbox/serenbox/event", text)
            wait_for(lambda: heard.exists() and len(heard.read_text()) >= 6, "the command")
            listener.publish("serenbox/serenbox/event", "not JSON \\")
        finally:
            os.killpg(recipe.pid, signal.SIGTERM)
            recipe.wait(PATIENCE)
        assert heard.read_text() == "on\non\n"


def test_the_lamp_is_on_only_for_a_happy_mood_of_a_box_that_is_online(tmp_path: Path) -> None:
    sketch, program = tmp_path / "lamp.ino", tmp_path / "lamp"
    sketch.write_text(block("cpp"))
    compile_cpp(
        f'-DSKETCH="{sketch}"',
        f"-I{HARNESS / 'stand_ins'}",
        *("-include", str(HARNESS / "stand_ins" / "Arduino.h")),
        *(str(HARNESS / "lamp.cpp"), "-o", str(program)),
    )
    happy, sad = (f'{TOPICS.mood} {{"mood":"{label}"}}' for label in ("happy", "sad"))
    online, offline = (f"{TOPICS.availability} {word}" for word in ("online", "offline"))
    steps = [
        (happy, "off"),  # retained, perhaps from a box that has gone
        (offline, "off"),
        (online, "on"),
        (sad, "off"),
        (happy, "on"),
        (offline, "off"),
        (online, "on"),
        ("lost", "off"),
        (happy, "off"),
    ]
    heard = "".join(f"{step}\n" for step, _ in steps)
    ran = subprocess.run([program], input=heard, capture_output=True, text=True, check=True)
    assert [set(line.split()) for line in ran.stdout.splitlines()] == [{lamp} for _, lamp in steps]


def test_the_command_that_forgets_a_box(tmp_path: Path) -> None:
    required_program("mosquitto_sub")
    with running_mosquitto(tmp_path) as broker, listening(broker) as listener:
        for topic in (TOPICS.mood, TOPICS.availability, TOPICS.discovery):
            listener.publish(topic, "kept", retain=True)
        command = block("sh", "--remove-retained").replace("_sub", f"_sub -p {broker.port}")
        subprocess.run(["sh", "-c", command], timeout=PATIENCE, check=False)
        wait_for(lambda: sum(not one.payload for one in listener.received) == 3, "three removals")
    emptied = [one.topic for one in listener.received if not one.payload]
    assert emptied[0] == TOPICS.discovery  # else Home Assistant takes the others for moods
    assert set(emptied[1:]) == {TOPICS.mood, TOPICS.availability}


def test_the_automation_names_entities_that_there_are() -> None:
    """Home Assistant makes an entity's name from those of the device and the component."""
    recipe = block("yaml")
    announced = discovery_message("serenbox", TOPICS, version="1", stats_interval=30)
    entities = {
        f"{component['platform']}.{announced['device']['name']}_{component['name']}".lower()
        for component in announced["components"].values()
        if "name" in component
    }
    named = set(re.findall(r"entity_id: (\w+\.serenbox\w*)", recipe))
    assert named == {"sensor.serenbox_mood", "switch.serenbox_sensing"}
    assert named <= entities
    assert re.findall(r"to: (\w+)", recipe)[0] in MOOD_LABELS
