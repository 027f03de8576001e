"""Pictures of the data, of a run and of an evaluation, each as a PNG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from serenbox.mood.plot import as_png
from serenbox.results import EMOTIONS
from training.metrics import CALIBRATION_BINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from training.fit_settings import Augmentation
    from training.robustness import Trial

ACROSS = 7
"""Faces per row."""

_LABELS = range(len(EMOTIONS))


def draw_curves(history: Sequence[dict[str, float]]) -> bytes:
    """Draw loss and accuracy of training and PublicTest over the epochs, as a PNG file."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, title in ((quantity, "Training (augmented)"), (f"val_{quantity}", "PublicTest")):
            axes.plot(epochs, [row[name] for row in history], label=title)
        axes.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axes.grid(alpha=0.3)
        axes.legend()
    return as_png(figure)


def draw_confusion(report: dict[str, Any]) -> bytes:
    """Draw the confusion matrices of an evaluation, one per truth, as a PNG file."""
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
        axes.set_xticks(_LABELS, EMOTIONS, rotation=40)
        axes.set_yticks(_LABELS, EMOTIONS)
        title = f"{report['split']}, {name}: accuracy {figures['accuracy']:.1%}"
        axes.set(xlabel="answer", ylabel="truth", title=title)
    return as_png(figure)


def draw_faces(images: Iterable[NDArray[Any]], titles: Sequence[str]) -> bytes:
    """Draw grey faces, 0..255, in rows of `ACROSS`, each below its title, as a PNG file."""
    rows = -(-len(titles) // ACROSS)
    figure = Figure(figsize=(1.4 * ACROSS, 1.7 * rows), layout="constrained")
    for axes in figure.subplots(rows, ACROSS, squeeze=False).flat:
        axes.axis("off")
    for axes, image, title in zip(figure.axes, images, titles, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=8)
    return as_png(figure)


def draw_examples(images: NDArray[np.uint8], truth: NDArray[np.int64], each: int = 2) -> bytes:
    """Draw the first faces of every emotion, one column per emotion, as a PNG file.

    Args:
        images: (n, 48, 48) grey pixels.
        truth: (n,) index into `EMOTIONS`.
        each: how many faces per emotion.

    """
    columns = [np.flatnonzero(truth == label)[:each] for label in range(len(EMOTIONS))]
    blank = np.full_like(images[0], np.iinfo(np.uint8).max)
    shown = [
        images[column[row]] if row < len(column) else blank
        for row in range(each)
        for column in columns
    ]
    return draw_faces(shown, [*EMOTIONS, *[""] * (len(shown) - len(EMOTIONS))])


def draw_augmented(
    face: NDArray[np.uint8], size: int, settings: Augmentation, seed: int = 0
) -> bytes:
    """Draw a face as it is, followed by augmented ones, as a PNG file.

    Args:
        face: (48, 48) grey pixels.
        size: side of the network's input, pixels.
        settings: limits of the augmentation.
        seed: seed of the augmentation.

    """
    from training.augment import augment

    rng = np.random.default_rng(seed)
    varied = [augment(face, size, settings, rng)[0] for _ in range(2 * ACROSS - 1)]
    return draw_faces([face, *varied], ["as it is", *["varied"] * len(varied)])


def draw_answers(
    images: NDArray[np.uint8],
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> bytes:
    """Draw the first faces, each above the bars of its scores, as a PNG file.

    Args:
        images: (n, 48, 48) grey pixels.
        scores: (n, 7) in the order of `EMOTIONS`.
        truth: (n,) index into `EMOTIONS`; its bar is dark.

    """
    count = min(ACROSS, len(images))
    figure = Figure(figsize=(1.6 * count, 3.4), layout="constrained")
    grid = figure.subplots(2, count, squeeze=False)
    for column in range(count):
        face, bars = grid[:, column]
        face.imshow(images[column], cmap="gray", vmin=0, vmax=255)
        face.set_title(EMOTIONS[truth[column]], fontsize=9)
        face.axis("off")
        colors = ["tab:blue" if label == truth[column] else "lightblue" for label in _LABELS]
        bars.barh(_LABELS, scores[column], color=colors)
        bars.set(xlim=(0, 1), xticks=(0, 1))
        bars.set_yticks(_LABELS, EMOTIONS if column == 0 else [""] * len(EMOTIONS))
        bars.invert_yaxis()
    return as_png(figure)


def draw_calibration(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> bytes:
    """Draw accuracy over confidence, as a PNG file.

    This is the reliability diagram of Guo et al. 2017 (arXiv 1706.04599), with as many bins as the
    expected calibration error, above the number of faces in each bin.

    Args:
        scores: (n, 7) in the order of `EMOTIONS`.
        truth: (n,) index into `EMOTIONS`.

    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    faces, _ = np.histogram(confidence, edges)
    hits, _ = np.histogram(confidence[right], edges)
    filled = faces > 0
    centres = (edges[:-1] + edges[1:])[filled] / 2
    figure = Figure(figsize=(5, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    width = 0.9 / CALIBRATION_BINS
    above.bar(centres, hits[filled] / faces[filled], width, label="right")
    above.plot((0, 1), (0, 1), color="black", linestyle="dashed", label="as sure as right")
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title="Calibration")
    above.legend()
    below.bar(centres, faces[filled], width)
    below.set(xlabel="score of the answer", ylabel="faces")
    return as_png(figure)


def draw_trade_off(
    scores: NDArray[np.float32], truth: NDArray[np.int64], chosen: tuple[float, float | None]
) -> bytes:
    """Draw the accuracy of the rest over the share of faces left uncertain, as a PNG file.

    The line is for a single threshold for all emotions, from 0 upwards; the point is for the
    model's own thresholds, which differ.

    Args:
        scores: (n, 7) in the order of `EMOTIONS`.
        truth: (n,) index into `EMOTIONS`.
        chosen: The share of faces that the model calls uncertain, and the accuracy of the rest.

    """
    order = np.argsort(-scores.max(axis=1), kind="stable")
    right = (scores.argmax(axis=1) == truth)[order]
    accuracy = right.cumsum() / np.arange(1, len(right) + 1)
    uncertain = 1 - np.arange(1, len(right) + 1) / len(right)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    shown = uncertain <= 0.6
    axes.plot(100 * uncertain[shown], 100 * accuracy[shown], label="one limit for all emotions")
    if chosen[1] is not None:
        axes.plot(100 * chosen[0], 100 * chosen[1], "o", color="black", label="the model's limits")
    axes.set(xlabel="uncertain, % of the faces", ylabel="accuracy of the rest, %")
    axes.set_title("What uncertain buys")
    axes.grid(alpha=0.3)
    axes.legend()
    return as_png(figure)


def draw_robustness(trials: Sequence[Trial], title: str) -> bytes:
    """Draw accuracy and macro-recall over the amount of each change, as a PNG file."""
    from training.robustness import CHANGES

    names = list(dict.fromkeys(trial.change for trial in trials))
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    grid = figure.subplots(2, 4, sharey=True)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    for axes, name in zip(grid.flat, names, strict=False):
        mine = [trial for trial in trials if trial.change == name]
        amounts = [trial.amount for trial in mine]
        for label in ("accuracy", "macro_recall"):
            values = [100 * getattr(trial, label) for trial in mine]
            axes.plot(amounts, values, marker="o", label=label.replace("_", "-"))
        axes.axvline(CHANGES[name].plain, color="grey", linestyle="dotted")
        axes.set(title=name, xlabel=CHANGES[name].unit)
        axes.grid(alpha=0.3)
    grid[0, 0].set_ylabel("%")
    grid[1, 0].set_ylabel("%")
    grid[0, 0].legend()
    figure.suptitle(title, parse_math=False)
    return as_png(figure)


def draw_mistakes(
    images: NDArray[np.uint8],
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> bytes:
    """Draw the most confident wrong answers, the most confident first, as a PNG file.

    Args:
        images: (n, 48, 48) grey pixels.
        scores: (n, 7) in the order of `EMOTIONS`.
        truth: (n,) index into `EMOTIONS`.

    """
    hardest = surest_mistakes(scores, truth)[: 3 * ACROSS]
    if not len(hardest):
        return draw_faces(images[:1], ["no mistake"])
    titles = [
        f"{EMOTIONS[scores[face].argmax()]} {scores[face].max():.0%}\nnot {EMOTIONS[truth[face]]}"
        for face in hardest
    ]
    return draw_faces(images[hardest], titles)


def surest_mistakes(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows whose top score is that of a wrong emotion, the highest score first."""
    wrong = np.flatnonzero(scores.argmax(axis=1) != truth)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")]
