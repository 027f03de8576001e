import numpy as np
import pytest
from numpy.typing import NDArray

from convert.thresholds import (
    FEWEST_FACES,
    LOWEST_THRESHOLD,
    UNMEASURED_THRESHOLD,
    fit_temperature,
    fit_thresholds,
    negative_log_likelihood,
)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def first_on_top(confidences: list[float]) -> NDArray[np.float64]:
    """Scores of faces that all have the first of seven labels on top."""
    top = np.array(confidences)[:, np.newaxis]
    return np.hstack([top, np.repeat((1 - top) / 6, 6, axis=1)])


def test_likelihood_of_known_probabilities() -> None:
    logits = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    truth = np.array([0, 1])
    expected = -(np.log(0.5) + np.log(0.1)) / 2
    assert negative_log_likelihood(logits, truth, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_the_truth_is_found_again(temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (20_000, 7))
    probabilities = softmax(logits / temperature).cumsum(axis=1)
    truth = (rng.random((len(logits), 1)) > probabilities).sum(axis=1).clip(0, 6)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_minimum() -> None:
    rng = np.random.default_rng(2)
    logits, truth = rng.normal(0, 2, (300, 7)), rng.integers(0, 7, 300)
    truth[:200] = logits[:200].argmax(axis=1)
    best = fit_temperature(logits, truth)
    least = negative_log_likelihood(logits, truth, best)
    for other in (best * 0.99, best * 1.01):
        assert negative_log_likelihood(logits, truth, other) > least


def first_threshold(
    confidences: list[float], right: list[int], target_precision: float, max_uncertain: float
) -> float:
    """Return the threshold fitted to faces with the first label on top, each repeated ten times."""
    thresholds = fit_thresholds(
        first_on_top(confidences * 10),
        1 - np.array(right * 10),
        target_precision=target_precision,
        max_uncertain=max_uncertain,
    )
    return float(thresholds[0])


def test_the_lowest_threshold_that_reaches_the_target() -> None:
    # All six: 4/6. Without the lowest: 4/5, enough.
    threshold = first_threshold([0.95, 0.9, 0.85, 0.8, 0.7, 0.6], [1, 1, 1, 0, 1, 0], 0.8, 1)
    assert threshold == pytest.approx(0.65)


def test_a_label_that_is_right_often_enough_needs_only_the_lowest_threshold() -> None:
    assert first_threshold([0.9, 0.8, 0.7], [1, 1, 0], 0.6, 0.5) == LOWEST_THRESHOLD
    assert first_threshold([0.9, 0.8, 0.3], [1, 1, 1], 0.6, 0.5) == pytest.approx(0.55)


def test_the_share_goes_before_the_lowest_threshold() -> None:
    assert first_threshold([0.9, 0.38, 0.3, 0.2], [1, 0, 0, 0], 0.9, 0.5) == pytest.approx(0.34)


def test_no_more_than_the_stated_share_becomes_uncertain() -> None:
    # Two of six are a third, three would be half.
    threshold = first_threshold([0.99, 0.9, 0.8, 0.7, 0.6, 0.55], [1, 0, 0, 0, 0, 0], 1, 0.4)
    assert threshold == pytest.approx(0.65)


def test_equal_scores_are_kept_or_dropped_together() -> None:
    confidences, right = [0.9, 0.6, 0.6, 0.6], [1, 0, 0, 1]
    assert first_threshold(confidences, right, 1, 0.5) == LOWEST_THRESHOLD
    assert first_threshold(confidences, right, 1, 0.75) == pytest.approx(0.75)


@pytest.mark.parametrize("faces", [0, FEWEST_FACES - 1])
def test_a_label_seldom_on_top_must_be_more_likely_than_not(faces: int) -> None:
    scores = first_on_top([0.9] * (30 + faces))
    scores[30:] = scores[30:, ::-1]  # the last label on top
    truth = np.zeros(len(scores), np.int64)
    thresholds = fit_thresholds(scores, truth, target_precision=0.9, max_uncertain=0.3)
    assert (thresholds[0], thresholds[6]) == (LOWEST_THRESHOLD, UNMEASURED_THRESHOLD)


def test_nothing_may_become_uncertain_with_a_share_of_zero() -> None:
    rng = np.random.default_rng(3)
    scores = softmax(rng.normal(0, 2, (500, 7)))
    truth = rng.integers(0, 7, 500)
    thresholds = fit_thresholds(scores, truth, target_precision=1.0, max_uncertain=0.0)
    top = scores.argmax(axis=1)
    assert (scores.max(axis=1) >= thresholds[top]).all()
