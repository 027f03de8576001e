"""Cross-fitting: what a network says of training faces that it was not trained with.

A few annotators' votes are a noisy sample of how people see a face. What a network has learnt from
other faces is an independent opinion, and the two together are a better target than either. Were
the network asked about faces it learnt from, it would partly repeat their votes, noise and all.
Each part of the faces is therefore judged by a network that was trained without it (cross-fitting:
Chernozhukov et al. 2018, doi 10.1111/ectj.12097).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_part(count: int, part: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell (count,) which training faces are in the i-th of k parts, for `part` (i, k) from 0.

    Parts are drawn by position, k apart: FER2013 stands in no order of emotions.
    """
    index, parts = part
    return np.asarray(np.arange(count) % parts == index)
