from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from serenbox.model_file import ScoreSpec
from serenbox.results import EMOTIONS
from tests import fer2013
from training.data import Faces, load_faces
from training.errors import DataError
from training.evaluate import evaluate, summary
from training.labels import FERPLUS_COLUMNS
from training.predict import Prediction
from training.published import LEFT_OUT, PUBLISHED_LABELS, published_truth

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faces:
    """The faces of PublicTest, with votes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = fer2013.write_files(tmp_path)
    return load_faces(folder / "fer2013.csv", folder / "ferplus.csv").select("PublicTest")


def saying(answers: np.ndarray) -> Prediction:
    """Answer each face with one emotion, all the others scoring zero."""
    scores = np.eye(len(EMOTIONS), dtype=np.float32)[answers]
    spec = ScoreSpec(1.0, (1 / 7,) * 7, 0.0, dict.fromkeys(EMOTIONS, 0.0))
    return Prediction(scores, scores, spec, {"file": "a", "runtime": "b"})


def test_the_faces_that_training_does_not_show_are_measured_by_themselves(faces: Faces) -> None:
    shown = np.arange(len(faces)) % 2 == 0
    # Right on the faces that training shows, and nowhere else.
    answers = np.where(shown, faces.labels, (faces.labels + 1) % len(EMOTIONS))

    report = evaluate(faces, saying(answers), shown)

    accuracies = {name: figures["accuracy"] for name, figures in report["fer2013"].items()}
    assert accuracies == {"raw": 0.5, "deduplicated": 0.5, "unseen": 0.0}
    assert report["fer2013"]["unseen"]["faces"] == (~shown).sum()
    assert "unseen" not in evaluate(faces, saying(answers))["fer2013"]


@pytest.mark.parametrize(
    ("votes", "truth"),
    [
        ({"anger": 6, "neutral": 4}, "angry"),
        ({"anger": 5, "neutral": 5}, None),
        # Single votes do not count: three of five are more than half.
        ({"fear": 3, "surprise": 2, "sadness": 1, "anger": 1, "neutral": 1, "NF": 1}, "fear"),
        ({"fear": 4, "surprise": 2, "sadness": 2}, None),
        ({"contempt": 6, "neutral": 4}, "contempt"),
        ({"unknown": 6, "neutral": 4}, None),
        ({"NF": 10}, None),
        ({"anger": 1, "fear": 1}, None),
    ],
)
def test_disputed_faces_are_left_out_as_in_papers(votes: dict[str, int], truth: str | None) -> None:
    ballots = np.array([[votes.get(column, 0) for column in FERPLUS_COLUMNS]])

    (found,) = published_truth(ballots)

    assert found == (LEFT_OUT if truth is None else PUBLISHED_LABELS.index(truth))


def test_contempt_counts_as_an_error_where_papers_count_it(faces: Faces) -> None:
    assert faces.ballots is not None
    ballots = faces.ballots.copy()
    columns = list(FERPLUS_COLUMNS)
    ballots[0] = [8 if column == "contempt" else 0 for column in columns]
    ballots[1] = [5 if column in {"neutral", "fear"} else 0 for column in columns]
    changed = replace(faces, ballots=ballots)

    report = evaluate(changed, saying(faces.labels))

    figures = report["ferplus"]["published"]
    assert figures["faces"] == len(faces) - 1
    assert figures["accuracy"] == pytest.approx((len(faces) - 2) / (len(faces) - 1))
    assert figures["classes"]["contempt"]["recall"] == 0
    assert f"FER+ majority, published: {len(faces) - 1} faces" in summary(report)


def test_agreed_are_the_faces_with_six_equal_votes(faces: Faces) -> None:
    assert faces.ballots is not None
    ballots = faces.ballots.copy()
    ballots[:] = [6 if column == "neutral" else 0 for column in FERPLUS_COLUMNS]
    ballots[:3, list(FERPLUS_COLUMNS).index("neutral")] = 5

    report = evaluate(replace(faces, ballots=ballots), saying(faces.labels))

    assert report["ferplus"]["agreed"]["faces"] == len(faces) - 3
    assert report["ferplus"]["raw"]["faces"] == len(faces)


def test_uncertain_are_the_faces_below_the_threshold_of_their_answer(faces: Faces) -> None:
    wrong = np.where(np.arange(len(faces)) < 4, (faces.labels + 1) % len(EMOTIONS), faces.labels)
    certain = saying(wrong)
    scores = certain.scores.copy()
    scores[2:6] *= 0.4  # two that are wrong, two that are right
    thresholds = dict.fromkeys(EMOTIONS, 0.5)

    report = evaluate(
        faces, replace(certain, scores=scores, spec=certain.spec._replace(thresholds=thresholds))
    )

    assert report["uncertain"] == {
        "share": pytest.approx(4 / len(faces)),
        "accuracy_of_the_rest": pytest.approx((len(faces) - 6) / (len(faces) - 4)),
    }
    assert f"uncertain: {4 / len(faces):.1%}; the rest is right" in summary(report)


def test_a_split_that_shows_no_emotion_is_refused(faces: Faces) -> None:
    ballots = np.array([[10 if column == "NF" else 0 for column in FERPLUS_COLUMNS]] * len(faces))

    with pytest.raises(DataError, match="none of the seven emotions"):
        evaluate(replace(faces, ballots=ballots), saying(faces.labels))
