"""The pictures of a run: learning curves and confusion matrix."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from serenbox.results import EMOTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence


def draw_curves(history: Sequence[dict[str, float]]) -> bytes:
    """Draw loss and accuracy of training and PublicTest over the epochs; gives a PNG file."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, title in ((quantity, "Training (augmented)"), (f"val_{quantity}", "PublicTest")):
            axes.plot(epochs, [row[name] for row in history], label=title)
        axes.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axes.grid(alpha=0.3)
        axes.legend()
    return _png(figure)


def draw_confusion(report: dict[str, Any]) -> bytes:
    """Draw the confusion matrices of an evaluation, one per truth; gives a PNG file."""
    truths = [
        (name, report[key]["raw"])
        for key, name in (("ferplus", "FER+ majority"), ("fer2013", "FER2013 labels"))
        if key in report
    ]
    figure = Figure(figsize=(6.5 * len(truths), 5.8), layout="constrained")
    grid = figure.subplots(1, len(truths), squeeze=False)[0]
    for axes, (name, figures) in zip(grid, truths, strict=True):
        counts = np.array(figures["confusion"])
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*counts.shape):
            axes.text(
                column,
                row,
                f"{shares[row, column]:.0%}\n{counts[row, column]}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if shares[row, column] > 0.5 else "black",
            )
        ticks = range(len(EMOTIONS))
        axes.set_xticks(ticks, EMOTIONS, rotation=40)
        axes.set_yticks(ticks, EMOTIONS)
        title = f"{report['split']}, {name}: accuracy {figures['accuracy']:.1%}"
        axes.set(xlabel="answer", ylabel="truth", title=title)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()
