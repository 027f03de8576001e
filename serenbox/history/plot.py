"""The picture of the history: for each step of time, how long each mood lasted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from serenbox.history.steps import present_labels
from serenbox.mood.plot import as_png, mood_color
from serenbox.outputs.messages import MOOD_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from serenbox.history.steps import Step

_STATES = {"paused": "#5f6b67", "no_camera": "#2b2f2e"}
"""Colours of the states that are not moods."""

_UNKNOWN: dict[str, Any] = {"facecolor": "white", "edgecolor": "#c0c0c0", "hatch": "////"}
"""Not to be mistaken for an empty room, which is nearly white."""

_DAY = 24 * 3600.0
_LABELS = 13
"""Maximum time labels below a panel."""


def draw_history(panels: Sequence[tuple[str, Sequence[Step]]]) -> bytes:
    """Draw panels one below the other, as a PNG file. Unknown times are hatched.

    Args:
        panels: For each panel its title and its steps, all equally long.

    """
    figure = Figure(figsize=(12, 1 + 2.6 * len(panels)), layout="constrained")
    found = {label for _, steps in panels for label in present_labels(steps)}
    labels = [label for label in MOOD_LABELS if label in found]
    for axes, (title, steps) in zip(
        figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True
    ):
        _draw_panel(axes, steps, labels)
        axes.set(title=title)
    handles = [*figure.axes[0].get_legend_handles_labels()[0], Patch(label="not known", **_UNKNOWN)]
    figure.legend(
        handles=handles,
        ncols=len(handles),
        loc="outside lower center",
        frameon=False,
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.2,
    )
    return as_png(figure)


def _draw_panel(axes: Axes, steps: Sequence[Step], labels: Sequence[str]) -> None:
    axes.patch.set(**_UNKNOWN)
    times = [*(step.begin for step in steps), steps[-1].end]
    lower = [0.0] * len(times)
    for label in labels:
        index = MOOD_LABELS.index(label)
        # If the clock was set back, a step holds more seconds than its length: show shares.
        shares = [
            100 * step.seconds[index] / max(step.end - step.begin, step.known) for step in steps
        ]
        upper = [a + b for a, b in zip(lower, [*shares, shares[-1]], strict=True)]
        color = _STATES.get(label) or mood_color(label)
        axes.fill_between(times, lower, upper, step="post", color=color, linewidth=0, label=label)
        lower = upper
    axes.set(xlim=(times[0], times[-1]), ylim=(0, 100), ylabel="% of the time")
    _write_times(axes, times[0], times[-1])


def _write_times(axes: Axes, begin: float, end: float) -> None:
    """Label every few hours, or the beginning of days, with local time."""
    days = round((end - begin) / _DAY)
    if days > 2:
        every = -(-days // _LABELS)
        ticks = [_local(begin, day=number) for number in range(0, days + 2, every)]
    else:
        every = 2 * days
        hours = range(-time.localtime(begin).tm_hour % every, 24 * days + 2, every)
        ticks = [_local(begin, hour=number) for number in hours]
        # In spring, the clocks skip an hour: its label would be that of another one.
        ticks = [tick for tick in ticks if time.localtime(tick).tm_hour % every == 0]
    shown = [tick for tick in ticks if begin <= tick <= end]
    axes.set_xticks(shown, [_label(tick, days) for tick in shown])


def _local(begin: float, *, day: int = 0, hour: int | None = None) -> float:
    """Return when, by local time, a later day than that of `begin` starts, or a later hour."""
    first = time.localtime(begin)
    of_day = 0 if hour is None else first.tm_hour + hour
    fields = (first.tm_year, first.tm_mon, first.tm_mday + day, of_day, 0, 0, 0, 0, -1)
    return time.mktime(fields)


def _label(tick: float, days: int) -> str:
    """Return a label: the hour; the day where several are shown and one of them begins."""
    moment = time.localtime(tick)
    by_day = days > 2 or (days == 2 and moment.tm_hour == 0)
    return time.strftime("%a %d %b" if by_day else "%H:%M", moment)
