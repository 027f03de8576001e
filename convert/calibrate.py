"""Chooses the faces on which the converter calibrates the range of every activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.data import training_faces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convert.source import FloatModel
    from training.data import Faces, LabelSet


def calibration_faces(faces: Faces, label_set: LabelSet, count: int) -> NDArray[np.uint8]:
    """Choose faces of the Training split, with the classes as balanced as the data allow.

    Args:
        faces: The whole data set.
        label_set: Whose labels give the class.
        count: How many faces; all of them if there are fewer.

    Returns:
        (n, 48, 48) grey faces, the classes taking turns; the same for the same arguments.

    Raises:
        DataError: The Training split has no usable face of some class.

    """
    training = training_faces(faces, label_set)
    return training.images[balanced(training.truth(label_set), count)]


def balanced(truth: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of `count` faces, the classes taking turns until each runs out.

    Args:
        truth: (n,) class of each face.
        count: How many indices; at most n are returned.

    """
    order = np.random.default_rng(0).permutation(len(truth))
    # The rank of each shuffled face within its class.
    turn = np.zeros(len(truth), np.int64)
    for label in np.unique(truth):
        mine = truth[order] == label
        turn[mine] = np.arange(mine.sum())
    return order[np.lexsort((truth[order], turn))][:count]


def representative(
    model: FloatModel, faces: NDArray[np.uint8]
) -> Iterator[list[NDArray[np.float32]]]:
    """Yield each face as the converter expects it: one (1, size, size, channels) input.

    The first face gets a black and a white pixel, which pin the range of the input to 0..255, so
    that its quantised values are the raw pixels.
    """
    for number, face in enumerate(faces):
        pixels = model.inputs(face[np.newaxis]).astype(np.float32)
        if number == 0:
            pixels[0, 0, 0], pixels[0, 0, 1] = 0, 255
        yield [pixels]
