"""Draws a timeline: smoothed scores as lines, moods as a coloured band below them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from serenbox.annotate import COLORS
from serenbox.mood.types import NO_FACE
from serenbox.results import EMOTIONS, UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from serenbox.mood.timeline import Span

_GREYS = {"neutral": "#808080", UNCERTAIN: "#c8c8c8", NO_FACE: "#f4f4f4"}
"""Moods without a colour; the grey of `neutral` is dark enough for a line on white."""


def draw_timeline(
    title: str, times: Sequence[float], scores: Sequence[Sequence[float]], spans: Sequence[Span]
) -> bytes:
    """Draw a timeline and return it as a PNG file.

    Args:
        title: Written above it.
        times: Seconds of each frame.
        scores: The smoothed scores of each frame, in the order of `EMOTIONS`.
        spans: The moods.

    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
    for label, values in zip(EMOTIONS, zip(*scores, strict=True), strict=True):
        upper.plot(times, values, label=label, color=mood_color(label), linewidth=1.5)
    upper.set_title(title, parse_math=False)  # it may be any file's name
    upper.set(ylabel="smoothed score", ylim=(0, 1.02))
    upper.grid(alpha=0.3)
    upper.legend(ncols=len(EMOTIONS), loc="upper center", bbox_to_anchor=(0.5, -0.04))
    _draw_band(lower, spans)
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def mood_color(mood: str) -> str:
    """Return the colour of a mood for matplotlib: as in annotated photos, except for the greys."""
    if mood in _GREYS:
        return _GREYS[mood]
    blue, green, red = COLORS[mood]
    return f"#{red:02x}{green:02x}{blue:02x}"


def _draw_band(axes: Axes, spans: Sequence[Span]) -> None:
    whole = spans[-1].end - spans[0].start
    for span in spans:
        axes.axvspan(span.start, span.end, color=mood_color(span.mood), linewidth=0)
        if span.seconds > 0.06 * whole:
            middle = (span.start + span.end) / 2
            axes.text(middle, 0.5, span.mood, ha="center", va="center", fontsize=8, clip_on=True)
    axes.set(xlabel="seconds", ylabel="mood", ylim=(0, 1), yticks=[])
    if whole > 0:
        axes.set_xlim(spans[0].start, spans[-1].end)
