"""Measure how far FER+'s annotators agree among themselves on the seven emotions.

This is a yardstick for a model's accuracy. Votes for anything but the seven are left out, so the
annotators really agree a little less than these figures say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

_DRAWS = 20
"""How many times the votes are drawn again."""


def one_against_others(votes: NDArray[np.number[Any]]) -> float:
    """Return how often one annotator agrees with the majority of the others.

    Args:
        votes: (n, k) counts by face and emotion. If several emotions are tied for the lead, each
            counts as an equal fraction.

    Returns:
        The mean over faces and annotators, 0 to 1; faces with fewer than two votes are left out.

    """
    votes = votes[votes.sum(axis=1) > 1]
    agreed = np.zeros(len(votes))
    for emotion in range(votes.shape[1]):
        rest = votes.astype(np.int64)
        rest[:, emotion] -= 1
        leads = rest == rest.max(axis=1, keepdims=True)
        agreed += votes[:, emotion] * leads[:, emotion] / leads.sum(axis=1)
    return float((agreed / votes.sum(axis=1)).mean())


def majority_again(votes: NDArray[np.number[Any]]) -> float:
    """Return how often the majority would be the same if as many other annotators were asked.

    Each new annotator's vote is drawn from the shares of the given votes (the bootstrap of Efron
    1979), which favours the majority more than new people would.

    Args:
        votes: (n, k) counts by face and emotion.

    Returns:
        The mean over faces and draws, 0 to 1.

    """
    rng = np.random.default_rng(0)
    counts = votes.sum(axis=1).astype(np.int64)
    shares = votes.astype(np.float64) / counts[:, np.newaxis]
    majority = votes.argmax(axis=1)
    same = [
        (rng.multinomial(counts, shares).argmax(axis=1) == majority).mean() for _ in range(_DRAWS)
    ]
    return float(np.mean(same))
