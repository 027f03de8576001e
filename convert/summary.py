"""Summarises in a few lines what a conversion achieved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.scoring import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.options import Options
    from convert.pipeline import Converted
    from serenbox.model_file import ScoreSpec


def summarize(options: Options, converted: Converted) -> str:
    """Return the lines to print: accuracy of float and int8, scores, and what becomes uncertain."""
    metadata = converted.metadata
    accuracy: dict[str, Any] = metadata.accuracy[SPLIT]
    lines = [
        f"{options.out}: {converted.size / 1e6:.2f} MB",
        f"{SPLIT}, {accuracy['truth']}:",
        *_accuracy(converted),
        *_scores(metadata.scores, accuracy["named"]),
    ]
    return "\n".join(lines)


def _accuracy(converted: Converted) -> Iterator[str]:
    comparison = converted.comparison
    for kind, figures in (("float", comparison.float_figures), ("int8", comparison.int8_figures)):
        yield (
            f"  {kind:5}  accuracy {figures.accuracy:.2%}  macro-recall {figures.macro_recall:.2%}"
            f"  ({figures.faces} faces)"
        )
    change = "loses" if comparison.drop >= 0 else "gains"
    points = f"int8 {change} {abs(comparison.drop):.2f} points"
    yield f"  the same answer on {comparison.agreement:.2%}; {points}"
    error = comparison.int8_figures.expected_calibration_error
    yield f"  confidence and accuracy of int8 differ by {error:.3f} (expected calibration error)"


def _scores(scores: ScoreSpec, named: dict[str, Any]) -> Iterator[str]:
    yield f"temperature {scores.temperature:g}, prior exponent {scores.prior_exponent:g}"
    if scores.shift:
        added = zip(scores.thresholds, scores.shift, strict=True)
        yield "added to the logits: " + ", ".join(f"{label} {by:+.2f}" for label, by in added)
    share, right = _percent(named["share"]), _percent(named["accuracy"])
    unsaid = _percent(named["accuracy_of_uncertain"])
    yield f"named: {share} of the faces, {right} of them right; of the uncertain ones {unsaid}"
    for label, figures in named["labels"].items():
        before, after = _percent(figures["precision_without"]), _percent(figures["precision"])
        yield (
            f"  {label:9} from {scores.thresholds[label]:.3f}: "
            f"{_percent(figures['uncertain'])} uncertain, right {before} -> {after}"
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
