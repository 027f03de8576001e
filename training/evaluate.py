"""Measure a model honestly on one split: raw, without duplicates, and against ten annotators."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.results import EMOTIONS
from training.annotators import majority_again, one_against_others
from training.errors import DataError
from training.files import write_atomically
from training.metrics import measure
from training.published import LEFT_OUT, PUBLISHED_LABELS, published_truth

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from serenbox.model_file import ScoreSpec
    from training.data import Faces
    from training.predict import Prediction

AGREED_VOTES = 6
"""How many of ten votes one emotion needs for the annotators to be said to agree."""


def evaluate(
    faces: Faces, prediction: Prediction, shown: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Measure a prediction against every available truth.

    Args:
        faces: the faces of one split.
        prediction: a model's scores for them, row by row.
        shown: (n,) whether training shows the same photograph (`Faces.shown_in_training`), to
            measure the others by themselves.

    Returns:
        JSON-ready figures: `fer2013` (`raw`, `deduplicated`, and with `shown` `unseen`: neither
        duplicates nor near copies of training faces) and, with votes, `ferplus` (the same,
        `agreed`: only faces on which six of ten annotators agree, and `published`: faces and
        classes as in papers on FER+), `annotators` (how far they agree among themselves) and
        `uncertain` (the share of faces that the model's thresholds hold back, and the accuracy on
        the rest).

    """
    subsets = {"raw": np.ones(len(faces), np.bool_), "deduplicated": ~faces.duplicate}
    if shown is not None:
        subsets["unseen"] = ~faces.duplicate & ~shown
    report: dict[str, Any] = {
        "model": prediction.model,
        "scores": {
            "temperature": prediction.spec.temperature,
            "prior_exponent": prediction.spec.prior_exponent,
        },
        "split": str(faces.splits[0]),
        "data_sha256": faces.sha256,
        "fer2013": _against(prediction.scores, faces.labels, subsets),
    }
    if faces.votes is not None and faces.ballots is not None:
        seen = usable_faces(faces)
        subsets["agreed"] = faces.votes.max(axis=1) >= AGREED_VOTES
        usable = {name: mask & seen for name, mask in subsets.items()}
        truth = faces.votes.argmax(axis=1)
        report["ferplus"] = _against(prediction.scores, truth, usable)
        published = published_truth(faces.ballots)
        counted = {"published": published != LEFT_OUT}
        report["ferplus"] |= _against(prediction.scores, published, counted, PUBLISHED_LABELS)
        report["annotators"] = {
            "one_against_others": one_against_others(faces.votes[seen]),
            "majority_again": majority_again(faces.votes[seen]),
        }
        report["uncertain"] = held_back(prediction.scores[seen], truth[seen], prediction.spec)
    return report


def usable_faces(faces: Faces) -> NDArray[np.bool_]:
    """Return (n,) which faces of a split are usable.

    Raises:
        DataError: none is.

    """
    if not faces.usable.any():
        msg = "FER+'s annotators saw none of the seven emotions in any face of the split"
        raise DataError(msg)
    return faces.usable


def _against(
    scores: NDArray[np.float32],
    truth: NDArray[np.int64],
    subsets: dict[str, NDArray[np.bool_]],
    labels: tuple[str, ...] = EMOTIONS,
) -> dict[str, Any]:
    return {
        name: asdict(measure(scores[mask], truth[mask], labels))
        for name, mask in subsets.items()
        if mask.any()
    }


def held_back(
    scores: NDArray[np.float32], truth: NDArray[np.int64], spec: ScoreSpec
) -> dict[str, float | None]:
    """Return the share of faces called uncertain, and the accuracy on the others."""
    named = reaches_threshold(scores, spec)
    right = scores.argmax(axis=1)[named] == truth[named]
    return {
        "share": float(1 - named.mean()),
        "accuracy_of_the_rest": float(right.mean()) if len(right) else None,
    }


def reaches_threshold(scores: NDArray[np.float32], spec: ScoreSpec) -> NDArray[np.bool_]:
    """Return (n,) whether the top score of each face reaches its threshold, so that it is named."""
    limits = np.array([spec.thresholds[emotion] for emotion in EMOTIONS])
    return np.asarray(scores.max(axis=1) >= limits[scores.argmax(axis=1)])


def answers_csv(faces: Faces, scores: NDArray[np.float32]) -> str:
    """List each face's row in the split, its FER2013 label, the answer and the scores, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["face", "label", "answer", *EMOTIONS])
    for row, (label, score) in enumerate(zip(faces.labels, scores, strict=True)):
        answer = EMOTIONS[int(score.argmax())]
        writer.writerow([row, EMOTIONS[int(label)], answer, *(f"{value:.6f}" for value in score)])
    return text.getvalue()


def write_evaluation(
    folder: Path, report: dict[str, Any], faces: Faces, scores: NDArray[np.float32]
) -> None:
    """Write the figures, the answers and their pictures into a folder, each file atomically."""
    from training.plots import draw_calibration, draw_confusion, draw_trade_off

    write_atomically(folder / "evaluation.json", (json.dumps(report, indent=2) + "\n").encode())
    write_atomically(folder / "answers.csv", answers_csv(faces, scores).encode())
    write_atomically(folder / "confusion.png", draw_confusion(report))
    truth, usable = faces.labels, np.ones(len(faces), np.bool_)
    if faces.votes is not None:
        truth, usable = faces.votes.argmax(axis=1), faces.usable
    scores, truth = scores[usable], truth[usable]
    write_atomically(folder / "calibration.png", draw_calibration(scores, truth))
    if "uncertain" in report:
        chosen = (report["uncertain"]["share"], report["uncertain"]["accuracy_of_the_rest"])
        write_atomically(folder / "uncertain.png", draw_trade_off(scores, truth, chosen))


def summary(report: dict[str, Any]) -> str:
    """Return the figures as a few lines of text for the user."""
    lines = [f"{report['model']['file']} ({report['model']['runtime']}) on {report['split']}"]
    for truth, name in (("fer2013", "FER2013 labels"), ("ferplus", "FER+ majority")):
        lines += [
            f"  {name}, {subset}: {figures['faces']} faces, accuracy {figures['accuracy']:.2%}, "
            f"macro-recall {figures['macro_recall']:.2%}, macro-F1 {figures['macro_f1']:.3f}, "
            f"calibration error {figures['expected_calibration_error']:.3f}"
            for subset, figures in report.get(truth, {}).items()
        ]
    best = report.get("ferplus", report["fer2013"])["raw"]
    for emotion, figures in best["classes"].items():
        lines.append(
            f"  {emotion:>9}: {figures['support']:4d} faces, "
            f"precision {_share(figures['precision'])}, recall {_share(figures['recall'])}"
        )
    if "uncertain" in report:
        rest = _share(report["uncertain"]["accuracy_of_the_rest"])
        lines.append(f"  uncertain: {report['uncertain']['share']:.1%}; the rest is right {rest}")
    if "annotators" in report:
        figures = report["annotators"]
        lines.append(
            f"  annotators: one agrees with the majority of the others on "
            f"{figures['one_against_others']:.1%}; the majority would be the same again on "
            f"{figures['majority_again']:.1%}"
        )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "  --  " if value is None else f"{value:6.2%}"
