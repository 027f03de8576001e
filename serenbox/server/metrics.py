"""The server's metrics for Prometheus; none of them tells what a picture shows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from serenbox.server.settings import SHARED_FOLDER

if TYPE_CHECKING:
    from serenbox.server.engine import Engine

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests, seconds and faces, of all workers if they share a folder.

    Args:
        engine: The engine whose queue is shown.

    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "serenbox_requests", "Requests answered", ("path", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "serenbox_request_seconds",
            "Seconds from the head of a request to its answer",
            ("path",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._faces = Counter("serenbox_faces", "Faces found", registry=self._registry)
        self._waiting = Gauge(
            "serenbox_waiting",
            "Requests in the model or waiting for it",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        # Another worker may be asked for the figures, so this one's must be right at all times.
        engine.watch = self._waiting.set

    def count(self, path: str, code: int, seconds: float, faces: int) -> None:
        """Count one answer.

        Args:
            path: The URL rule that matched: not the path itself, so that there are only a few.
            code: The HTTP status.
            seconds: How long it took.
            faces: How many were found.

        """
        self._requests.labels(path, str(code)).inc()
        self._seconds.labels(path).observe(seconds)
        self._faces.inc(faces)

    def render(self) -> tuple[bytes, str]:
        """Return the figures in Prometheus's text format, and its media type."""
        registry = self._registry
        if os.environ.get(SHARED_FOLDER):
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
