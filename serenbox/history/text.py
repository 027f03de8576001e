"""The history as text: a table for a person, and CSV for other programs."""

from __future__ import annotations

import csv
import io
import time
from typing import TYPE_CHECKING

from serenbox.history.minutes import MINUTE
from serenbox.history.steps import present_labels
from serenbox.outputs.messages import MOOD_LABELS, timestamp
from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from serenbox.history.minutes import Summary
    from serenbox.history.steps import Step

_HOUR = 3600.0
_ROWS = 1440
"""Rows of CSV in one chunk."""

CSV_HEAD = ("time", *MOOD_LABELS, *(f"{emotion}_score" for emotion in EMOTIONS))


def as_table(steps: Sequence[Step], now: float) -> str:
    """Return the steps as a table for people, several lines.

    Args:
        steps: Hours, shown in minutes, or days, shown in hours.
        now: Seconds since 1970.

    """
    by_hour = steps[0].end - steps[0].begin <= _HOUR
    unit, form = (MINUTE, "%Y-%m-%d %H:%M") if by_hour else (_HOUR, "%Y-%m-%d %a")
    labels = present_labels(steps)
    indices = [MOOD_LABELS.index(label) for label in labels]
    widths = [max(7, len(label)) for label in ("known", *labels)]
    what = f"{len(steps)} hours, in minutes" if by_hour else f"{len(steps)} days, in hours"
    zone = time.strftime("%Z", time.localtime(now))
    lines = [f"The last {what}; local time ({zone})", "", _line("from", ["known", *labels], widths)]
    for step in steps:
        values = (step.known, *(step.seconds[index] for index in indices))
        cells = [f"{value / unit:.1f}" if value else "-" for value in values]
        lines.append(_line(time.strftime(form, time.localtime(step.begin)), cells, widths))
    known = sum(step.known for step in steps)
    if not known:
        return "\n".join([*lines, "", "nothing is known about this time"])
    totals = [sum(step.seconds[index] for step in steps) for index in indices]
    sums = [f"{value / unit:.1f}" for value in (known, *totals)]
    shares = ["", *(f"{value / known:.0%}" for value in totals)]
    return "\n".join([*lines, "", _line("total", sums, widths), _line("share", shares, widths)])


def as_csv(summaries: Iterable[Summary]) -> Iterator[str]:
    """Yield CSV with a header, in chunks of many lines, each without its last line break.

    Args:
        summaries: Of single minutes.

    """
    rows: list[Sequence[str]] = [CSV_HEAD]
    for summary in summaries:
        rows.append(_row(summary))
        if len(rows) >= _ROWS:
            yield _joined(rows)
            rows = []
    if rows:
        yield _joined(rows)


def _line(head: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    columns = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{head:<16}  {columns}".rstrip()


def _row(summary: Summary) -> list[str]:
    """Return the cells of a row: seconds to the millisecond; no scores if no face was seen."""
    scores = summary.mean_scores
    means = [""] * len(EMOTIONS) if scores is None else [f"{score:.4f}" for score in scores]
    seconds = [f"{value:.3f}" for value in summary.seconds]
    return [timestamp(summary.minute * MINUTE), *seconds, *means]


def _joined(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")
