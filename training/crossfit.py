"""Cross-fitting: what a network says of training faces that it was not trained with.

A few annotators' votes are a noisy sample of how people see a face. What a network has learnt from
other faces is an independent opinion, and the two together are a better target than either. Were
the network asked about faces it learnt from, it would partly repeat their votes, noise and all.
Each part of the faces is therefore judged by a network that was trained without it (cross-fitting:
Chernozhukov et al. 2018, doi 10.1111/ectj.12097).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serenbox.classifier import scores_from_logits
from serenbox.results import EMOTIONS
from training.errors import RunError
from training.fit_settings import part_of
from training.fused import fold
from training.network import load_network
from training.predict import keras_logits, run_spec
from training.record import read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray


def in_part(count: int, part: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell (count,) which training faces are in the i-th of k parts, for `part` (i, k) from 0.

    Parts are drawn by position, k apart: FER2013 stands in no order of emotions.
    """
    index, parts = part
    return np.asarray(np.arange(count) % parts == index)


def unseen_answers(
    paths: Sequence[str],
    images: NDArray[np.uint8],
    *,
    label_set: str,
    data_sha256: dict[str, str],
) -> NDArray[np.float32]:
    """Ask networks about the training faces that each of them was trained without.

    Each is asked about the face and its mirror image, and the class prior is put back.

    Args:
        paths: `.keras` files of runs with `--leave-out`, one for each part; run.json beside them.
        images: (n, 48, 48) all training faces.
        label_set: whose labels they must have learnt.
        data_sha256: of the data they must have been trained with.

    Returns:
        (n, 7) probabilities in the order of `EMOTIONS`.

    Raises:
        RunError: A network or its record cannot be read, it was trained otherwise, or the parts
            do not make up the whole.

    """
    parts = [_part(Path(path), len(images), label_set, data_sha256) for path in paths]
    if sorted(parts) != [(index, len(parts)) for index in range(len(parts))]:
        msg = (
            "--cross-teacher needs one network for each part of the faces: of two runs, with "
            "--leave-out 1/2 and 2/2"
        )
        raise RunError(msg)
    answers = np.empty((len(images), len(EMOTIONS)), np.float32)
    for path, part in zip(paths, parts, strict=True):
        mine = in_part(len(images), part)
        answers[mine] = _answers(Path(path), images[mine])
    return answers


def _part(path: Path, count: int, label_set: str, data_sha256: dict[str, str]) -> tuple[int, int]:
    """Read which part of `count` faces a network does not know."""
    record = read_record(path.parent)
    part = part_of(record["settings"]["leave_out"])
    if part is None:
        msg = f"--cross-teacher {path} was trained with all faces: give one of --leave-out"
        raise RunError(msg)
    known = int(np.count_nonzero(~in_part(count, part)))
    for what, theirs, wanted in (
        ("labels", record["settings"].get("label_set"), label_set),
        ("data", record["data_sha256"], data_sha256),
        # Of other faces, as earlier versions chose them, the parts are others, too.
        ("faces", record.get("training_faces"), known),
    ):
        if theirs != wanted:
            msg = f"--cross-teacher {path} was trained with other {what} than this run"
            raise RunError(msg)
    return part


def _answers(path: Path, images: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    network = fold(load_network(path, "--cross-teacher"))
    spec = run_spec(path)
    views = (images, images[:, :, ::-1])
    size = network.input_shape[1]
    scores = [scores_from_logits(keras_logits(network, view, size), spec) for view in views]
    return np.asarray(np.mean(scores, axis=0))
