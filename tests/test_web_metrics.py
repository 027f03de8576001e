from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serenbox.web.board import Board
from serenbox.web.metrics import exposition
from serenbox.web.wsgi import EVENTS, PICTURES
from tests.web_box import HAPPY, STATS, Mqtt

if TYPE_CHECKING:
    from serenbox.web.server import Server

ROOT = Path(__file__).parent.parent


def expose(stats: dict[str, Any] | None = STATS) -> str:
    board = Board("box", [Mqtt()])
    if stats:
        board.take("mood", HAPPY)
        board.take("stats", stats)
    server = cast(
        "Server",
        SimpleNamespace(
            streams={EVENTS: 2, PICTURES: 1}, refused=Counter({EVENTS: 3, PICTURES: 4}), dropped=0
        ),
    )
    text, content_type = exposition(board, lambda: server)("text/plain")
    assert content_type.startswith("text/plain")
    return text.decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures() -> None:
    found = samples(expose())
    assert found["serenbox_mood", (("mood", "happy"),)] == 1
    assert sum(value for (name, _), value in found.items() if name == "serenbox_mood") == 1
    assert found["serenbox_frames_total", ()] == 7
    latency = (("quantile", "0.95"), ("stage", "total"))
    assert found["serenbox_stage_latency_seconds", latency] == 0.02
    assert found["serenbox_temperature_celsius", ()] == 48
    assert found["serenbox_web_streams", ()] == 2
    assert found["serenbox_web_previews", ()] == 1
    assert found["serenbox_web_refused_streams_total", ()] == 7
    assert found["serenbox_output_connected", (("output", "mqtt"),)] == 0
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_what_nobody_tells_is_left_out() -> None:
    """Above all counters: after a reload they must not fall to 0 and rise again."""
    untold = expose(None)
    for name in ("temperature", "throttled", "frames_total", "build_info", "latency"):
        assert f"serenbox_{name}" not in untold.replace("stage_latency", "latency")
    assert "serenbox_state" in untold


def test_a_machine_that_cannot_tell_has_no_figures_of_its_heat() -> None:
    """Only a Raspberry Pi tells whether it is throttled; elsewhere 0 would be a lie."""
    assert samples(expose())["serenbox_throttled", ()] == 0
    assert samples(expose({**STATS, "throttled": True}))["serenbox_throttled", ()] == 1
    figures = expose({**STATS, "throttled": None, "temperature_c": None})
    assert "serenbox_throttled" not in figures
    assert "serenbox_temperature" not in figures
    assert "serenbox_frames_total" in figures


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=x", "*/*", "nonsense"])
def test_whatever_is_accepted_something_is_told(accept: str) -> None:
    server = cast("Server", SimpleNamespace(streams=Counter(), refused=Counter(), dropped=0))
    text, _ = exposition(Board("box"), lambda: server)(accept)
    assert b"serenbox_state" in text


def test_names_keep_the_conventions() -> None:
    for family in text_string_to_metric_families(expose()):
        assert re.fullmatch(r"(serenbox|process)_[a-z_]+", family.name)
        assert family.documentation
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total")
        assert not re.search(r"_(ms|milliseconds|mb|percent|minutes)(_|$)", family.name)


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(r"(?:serenbox|process)_\w+", text)}
    known = {name for name, _ in samples(expose())}
    assert len(asked) >= 8
    assert names <= known
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_the_dashboard_shows_the_present_and_not_all_that_was() -> None:
    """By default Grafana asks for a whole range and shows the last value of each series."""
    dashboard: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
    panels = {panel["title"]: panel for panel in dashboard["panels"]}
    for title in ("Mood", "Outputs connected"):  # series come and go
        (target,) = panels[title]["targets"]
        assert (target["instant"], target["range"]) == (True, False)


def test_prometheus_asks_as_often_as_the_dashboard_counts_on() -> None:
    """By default Grafana's intervals suit one scrape every 15 seconds."""
    text = (ROOT / "docs" / "web.md").read_text("utf-8")
    configuration = re.search(r"```yaml\n# prometheus\.yml\n(.*?)```", text, re.DOTALL)
    assert configuration
    seconds = re.search(r"scrape_interval: (\d+)s\b", configuration[1])
    assert seconds
    assert int(seconds[1]) <= 15
