"""Make sure that FER+'s votes belong to the faces of a FER2013."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.errors import DataError
from training.labels import SPLITS

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from training.data import Faces
    from training.sources import RawFaces

    Source = str | os.PathLike[str]

_LEAST_AGREEMENT = 0.4
"""FER+'s majority is FER2013's label for 64 % of the usable faces of *Training* and *PublicTest*,
and for 18 or 19 % if the rows are in another order."""

_ENOUGH = 300
"""Usable faces of a split that are enough to judge: 57 % or more of each 300 in a row agree."""


def check_splits(splits: NDArray[np.str_], raw: RawFaces, ferplus: Source, fer2013: Source) -> None:
    """Make sure that FER+'s rows name the (n,) splits of the faces.

    Raises:
        DataError: There are more or fewer, or other ones.

    """
    if len(splits) != len(raw.splits):
        msg = f"{ferplus} has {len(splits)} rows, {fer2013} has {len(raw.splits)}: not a pair"
        raise DataError(msg)
    if not np.array_equal(splits, raw.splits):
        row = int(np.argmax(splits != raw.splits)) + 1
        msg = (
            f"{ferplus} says that face {row} is of {splits[row - 1]}, {fer2013} that it is of "
            f"{raw.splits[row - 1]}: not a pair; give both files as they were published"
        )
        raise DataError(msg)


def check_agreement(faces: Faces, ferplus: Source, fer2013: Source) -> None:
    """Make sure that FER+ sees the same emotions in the faces as FER2013, by and large.

    Raises:
        DataError: The rows of a split are in another order.

    """
    agreed = faces.truth("ferplus") == faces.labels
    for split in SPLITS:
        judged = agreed[faces.usable & (faces.splits == split)]
        if len(judged) >= _ENOUGH and judged.mean() < _LEAST_AGREEMENT:
            msg = (
                f"{ferplus} and {fer2013} agree on only {judged.mean():.0%} of the emotions of "
                f"{split}, so their rows are in different orders: give both files as they were "
                "published"
            )
            raise DataError(msg)
