"""Collects the metadata that a finished model carries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from convert.provenance import describe_run
from convert.scoring import SPLIT, named_figures
from serenbox.model_file import InputSpec, ModelMetadata
from training.commit import git_commit

if TYPE_CHECKING:
    from convert.options import Options
    from convert.pipeline import Material, Measured
    from convert.verify import Comparison
    from training.data import LabelSet
    from training.metrics import Figures

TRUTHS: dict[LabelSet, str] = {
    "fer2013": "FER2013 labels",
    "ferplus": "FER+ majority",
}
"""How a model file names the labels that its figures are measured against."""


def how_made(options: Options, material: Material) -> dict[str, Any]:
    """Return how the int8 network was made, for `make_metadata`."""
    return {
        "calibration": {
            "split": "Training",
            "faces": len(material.calibration),
            "balanced_by": TRUTHS[options.label_set],
        },
        "fine_tuning": {"split": "Training", "steps": options.fine_tune},
    }


def make_metadata(
    options: Options, material: Material, measured: Measured, made: dict[str, Any]
) -> ModelMetadata:
    """Put together the metadata of a finished model.

    Args:
        options: What was asked for.
        material: What it was made from.
        measured: How good it is.
        made: How its int8 network was made, from `how_made`.

    """
    model = material.model
    return ModelMetadata(
        name=options.name,
        version=options.version,
        license=options.license,
        description=(
            f"Which of {len(options.labels)} emotions a face shows, from {model.size}x{model.size} "
            f"{model.color} pixels; int8. Scores fitted to {TRUTHS[options.label_set]}."
        ),
        labels=options.labels,
        input=InputSpec(model.color, (0, 255)),
        crop=options.crop,
        scores=measured.scores,
        training=_training(options, material, measured, made),
        accuracy={SPLIT: _accuracy(options, material, measured)},
        tensorflow=tf.__version__,
        commit=git_commit(),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _training(
    options: Options, material: Material, measured: Measured, made: dict[str, Any]
) -> dict[str, Any]:
    return {
        "dataset": "FER2013",
        "scale": options.scale,
        "run": describe_run(material.run),
        **made,
        "shift_fitted": {"split": "Training", "faces": len(material.training)}
        if measured.scores.shift
        else None,
        "scores_fitted": {
            "split": SPLIT,
            "truth": TRUTHS[options.label_set],
            "target_precision": options.target_precision,
            "max_uncertain": options.max_uncertain,
        },
        "data_sha256": material.faces.sha256,
    }


def _accuracy(options: Options, material: Material, measured: Measured) -> dict[str, Any]:
    return {
        "truth": TRUTHS[options.label_set],
        "raw": _pair(measured.comparison),
        "without_duplicates": _pair(measured.without_duplicates),
        "named": named_figures(
            measured.int8_logits, material.exam, measured.scores, options.labels
        ),
    }


def _pair(comparison: Comparison) -> dict[str, Any]:
    return {
        "faces": comparison.int8_figures.faces,
        "float": _figures(comparison.float_figures),
        "int8": _figures(comparison.int8_figures),
        "agreement": round(comparison.agreement, 4),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "accuracy": round(figures.accuracy, 4),
        "macro_recall": round(figures.macro_recall, 4),
        "macro_f1": round(figures.macro_f1, 4),
        "calibration_error": round(figures.expected_calibration_error, 4),
        "recall": {
            label: None if one.recall is None else round(one.recall, 4)
            for label, one in figures.classes.items()
        },
    }
