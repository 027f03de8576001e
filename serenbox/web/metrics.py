"""The metrics for Prometheus, named by its conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from serenbox.outputs.messages import MOOD_LABELS
from serenbox.results import EMOTIONS
from serenbox.web.wsgi import EVENTS, PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from serenbox.web.board import Board
    from serenbox.web.server import Server

_STATES = ("sensing", "paused", "no_camera")
_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


class BoxCollector(Collector):
    """Creates the metrics when somebody asks for them.

    Args:
        board: Where they come from.
        server: Returns the server, which counts its viewers.

    """

    def __init__(self, board: Board, server: Callable[[], Server]) -> None:
        self._board = board
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        health = self._board.health()
        yield from self._mood()
        if self._board.reported:  # else a counter would fall to 0 and rise again at every reload
            version = {"version": str(health["version"])}
            yield InfoMetricFamily("serenbox_build", "Version of SerenBox.", version)
            yield from _frames(health)
            yield from _box(health)
        yield from _outputs(health["outputs"])
        server = self._server()
        yield _gauge("serenbox_web_streams", "Viewers of live events.", server.streams[EVENTS])
        yield _gauge(
            "serenbox_web_previews", "Visitors who watch the camera live.", server.streams[PICTURES]
        )
        yield _counter(
            "serenbox_web_refused_streams",
            "Viewers turned away because there were too many.",
            server.refused.total(),
        )
        yield _counter(
            "serenbox_web_dropped_connections",
            "Visitors dropped for being too slow.",
            server.dropped,
        )

    def _mood(self) -> Iterator[Metric]:
        mood = self._board.mood
        yield _one_of("serenbox_state", "What the box is doing.", "state", mood["state"], _STATES)
        yield _one_of("serenbox_mood", "The current mood.", "mood", mood["mood"], MOOD_LABELS)
        yield _gauge(
            "serenbox_mood_confidence_ratio", "Confidence of the mood, 0 to 1.", mood["confidence"]
        )
        scores = GaugeMetricFamily(
            "serenbox_mood_score_ratio", "Smoothed probability, 0 to 1.", labels=["emotion"]
        )
        for emotion in EMOTIONS:
            scores.add_metric([emotion], _number(mood["scores"][emotion]))
        yield scores
        yield _gauge("serenbox_faces", "Faces in view.", mood["face_count"])
        changes = CounterMetricFamily(
            "serenbox_mood_changes", "Changes to each mood.", labels=["mood"]
        )
        for label in MOOD_LABELS:
            changes.add_metric([label], self._board.changes[label])
        yield changes


def exposition(board: Board, server: Callable[[], Server]) -> Callable[[str], tuple[bytes, str]]:
    """Return a function from an `Accept` header to the text for Prometheus and its content type."""
    registry = CollectorRegistry()
    registry.register(BoxCollector(board, server))
    ProcessCollector(registry=registry)

    def expose(accept: str) -> tuple[bytes, str]:
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # an odd version in the header
            encode, content_type = choose_encoder("")
        return encode(registry), content_type

    return expose


def _frames(health: Mapping[str, Any]) -> Iterator[Metric]:
    yield _counter("serenbox_frames", "Frames looked at.", health["frames"])
    yield _gauge("serenbox_frames_per_second", "Frames looked at per second.", health["fps"])
    latency = Metric("serenbox_stage_latency_seconds", "Recent latency by stage.", "summary")
    for stage, quantiles in health["latency_ms"].items():
        for name, quantile in _QUANTILES.items():
            if name in quantiles:
                labels = {"stage": stage, "quantile": quantile}
                latency.add_sample(latency.name, labels, _number(quantiles[name]) / 1e3)
    yield latency


def _box(health: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of the machine; those that are unknown are left out."""
    if health["temperature_c"] is not None:
        yield _gauge("serenbox_temperature_celsius", "Of the processor.", health["temperature_c"])
    if health["throttled"] is not None:
        yield _gauge(
            "serenbox_throttled",
            "1 while heat or low voltage slows the processor.",
            health["throttled"],
        )


def _outputs(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "serenbox_output_connected", "1 while the output is connected.", labels=["output"]
    )
    published = CounterMetricFamily(
        "serenbox_output_published_messages", "Messages published.", labels=["output"]
    )
    dropped = CounterMetricFamily(
        "serenbox_output_dropped_events", "Events that nobody received.", labels=["output"]
    )
    for name, health in outputs.items():
        connected.add_metric([name], _number(health.get("connected")))
        published.add_metric([name], _number(health.get("published")))
        dropped.add_metric([name], _number(health.get("dropped")))
    yield from (connected, published, dropped)


def _one_of(
    name: str, meaning: str, label: str, present: str, possible: tuple[str, ...]
) -> GaugeMetricFamily:
    """Return a gauge that is 1 for the present value and 0 for all other possible ones."""
    family = GaugeMetricFamily(name, f"{meaning} 1 for it, else 0.", labels=[label])
    for value in possible:
        family.add_metric([value], float(value == present))
    return family


def _gauge(name: str, meaning: str, value: object) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=_number(value))


def _counter(name: str, meaning: str, value: object) -> CounterMetricFamily:
    return CounterMetricFamily(name, meaning, value=_number(value))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
