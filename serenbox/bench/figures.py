"""What a benchmark reports, and its layout. Pure: nothing is measured here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serenbox.cli.common import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Percentiles = Mapping[int, float]

_SIGN = {"ok": "ok", "over": "OVER", "unknown": "-"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that has a limit."""

    key: str
    """Its name in JSON."""
    what: str
    """Its name for a person."""
    unit: str
    limit: float
    value: float | None
    """None if it could not be measured here; `note` says why."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `over` the limit, or `unknown`."""
        if self.value is None:
            return "unknown"
        return "ok" if self.value <= self.limit else "over"


@dataclass(slots=True)
class Report:
    """Everything that was measured."""

    about: dict[str, Any]
    """What was measured, and on what machine."""
    stages: dict[str, Percentiles] = field(default_factory=dict)
    """Seconds by stage and by percentile."""
    figures: list[Figure] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether no figure is over its limit."""
        return all(figure.verdict != "over" for figure in self.figures)


def as_json(report: Report) -> str:
    """Return the report as one JSON object; milliseconds for stages."""
    latencies = {
        stage: {f"p{rank}": round(1e3 * value, 4) for rank, value in ranks.items()}
        for stage, ranks in report.stages.items()
    }
    figures = {
        figure.key: {
            "value": None if figure.value is None else round(figure.value, 4),
            "limit": figure.limit,
            "unit": figure.unit,
            "verdict": figure.verdict,
            "note": figure.note,
        }
        for figure in report.figures
    }
    whole = {
        "schema": 1,
        "ok": report.well,
        **report.about,
        "latency_ms": latencies,
        "figures": figures,
    }
    return json.dumps(whole, ensure_ascii=False)


def as_table(report: Report) -> str:
    """Return the report as readable text, several lines."""
    lines = [f"{name}: {printable(str(value))}" for name, value in report.about.items()]
    lines += _stage_lines(report.stages)
    if report.figures:
        width = max(len(figure.what) for figure in report.figures)
        lines += ["", f"{'':<{width}}  {'measured':>12}  {'at most':>12}"]
        lines += [_figure_line(figure, width) for figure in report.figures]
    return "\n".join(lines)


def _stage_lines(stages: Mapping[str, Percentiles]) -> Sequence[str]:
    if not stages:
        return []
    width = max(map(len, stages))
    ranks = next(iter(stages.values()))
    head = "".join(f"  {f'p{rank}':>9}" for rank in ranks)
    lines = ["", f"{'milliseconds':<{width}}{head}"]
    for stage, values in stages.items():
        numbers = "".join(f"  {1e3 * value:9.3f}" for value in values.values())
        lines.append(f"{stage:<{width}}{numbers}")
    return lines


def _figure_line(figure: Figure, width: int) -> str:
    measured = "not measured" if figure.value is None else f"{figure.value:.2f} {figure.unit}"
    limit = f"{figure.limit:g} {figure.unit}"
    line = f"{figure.what:<{width}}  {measured:>12}  {limit:>12}  {_SIGN[figure.verdict]:<4}"
    return f"{line}  {printable(figure.note)}".rstrip()
