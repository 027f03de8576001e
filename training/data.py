"""FER2013 faces with their labels, FER+ votes, official splits and known defects."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from serenbox.errors import reason_of
from serenbox.results import EMOTIONS
from training.errors import DataError, RunError
from training.files import write_atomically
from training.labels import FERPLUS_COLUMNS, SPLITS
from training.near_copies import show_one_of
from training.pairing import check_agreement, check_splits
from training.sources import RawFaces, pictures_in, read_faces, read_votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LabelSet = Literal["fer2013", "ferplus"]
"""Whose labels count: FER2013's single label, or the votes of FER+'s ten annotators."""


@dataclass(frozen=True, eq=False)
class Faces:
    """A set of FER2013 faces; every array has one row per face."""

    images: NDArray[np.uint8]
    """(n, 48, 48) grey pixels, 0..255."""
    labels: NDArray[np.int64]
    """(n,) FER2013's label as an index into `EMOTIONS`."""
    splits: NDArray[np.str_]
    """(n,) `Training`, `PublicTest` or `PrivateTest`."""
    duplicate: NDArray[np.bool_]
    """(n,) whether the same pixels occur in another split, or earlier in the same one."""
    ballots: NDArray[np.int64] | None
    """(n, 10) FER+ votes in the order of `FERPLUS_COLUMNS`, or None without FER+."""
    sha256: dict[str, str]
    """Hash of each file read, by its role (`fer2013`, `ferplus`)."""

    def __len__(self) -> int:
        """Count the faces."""
        return len(self.images)

    def __getitem__(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Faces:
        """Select faces by a mask or by indices."""
        ballots = None if self.ballots is None else self.ballots[chosen]
        return Faces(
            self.images[chosen],
            self.labels[chosen],
            self.splits[chosen],
            self.duplicate[chosen],
            ballots,
            self.sha256,
        )

    @cached_property
    def votes(self) -> NDArray[np.float32] | None:
        """(n, 7) votes for the seven emotions in the order of `EMOTIONS`, or None."""
        if self.ballots is None:
            return None
        emotions = list(FERPLUS_COLUMNS.values())
        columns = [emotions.index(label) for label in EMOTIONS]
        return self.ballots[:, columns].astype(np.float32)

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) whether FER+ annotators saw one of the seven emotions; all True without FER+.

        None of their other answers (contempt, unknown, not a face) has more votes than the emotion.
        """
        if self.ballots is None or self.votes is None:
            return np.ones(len(self), np.bool_)
        return np.asarray(
            (self.votes.max(axis=1) > 0)
            & (self.votes.max(axis=1) >= _other_votes(self.ballots).max(axis=1))
        )

    @cached_property
    def near_copy(self) -> NDArray[np.bool_]:
        """(n,) whether a *Training* face is a near copy of a face of a test split."""
        training = self.splits == "Training"
        marks = np.zeros(len(self), np.bool_)
        marks[training] = show_one_of(self.images[training], self.images[~training])
        return marks

    def select(self, split: str) -> Faces:
        """Select the faces of one split.

        Raises:
            DataError: the split has no face.

        """
        chosen = self[self.splits == split]
        if not len(chosen):
            msg = f"the data hold no face of the split {split}; the splits are {', '.join(SPLITS)}"
            raise DataError(msg)
        return chosen

    def shown_in_training(self, split: str) -> NDArray[np.bool_]:
        """Return (n,) whether a *Training* face is a near copy of each face of a test split.

        Equal pixels count, too.

        Raises:
            DataError: the split has no face.

        """
        return show_one_of(self.select(split).images, self.images[self.splits == "Training"])

    def truth(self, label_set: LabelSet) -> NDArray[np.int64]:
        """Return the (n,) true label of each face; for FER+, the emotion with the most votes."""
        if label_set == "fer2013":
            return self.labels
        return np.asarray(self._votes_or_error().argmax(axis=1), np.int64)

    def targets(self, label_set: LabelSet) -> NDArray[np.float32]:
        """Return the (n, 7) distributions to learn: one-hot for FER2013, vote shares for FER+."""
        if label_set == "fer2013":
            return np.eye(len(EMOTIONS), dtype=np.float32)[self.labels]
        votes = self._votes_or_error()
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), np.float32)

    def _votes_or_error(self) -> NDArray[np.float32]:
        if self.votes is None:
            msg = "these labels need FER+'s votes: give their file with --ferplus"
            raise DataError(msg)
        return self.votes


def _other_votes(ballots: NDArray[np.int64]) -> NDArray[np.int64]:
    others = [column for column, label in enumerate(FERPLUS_COLUMNS.values()) if label is None]
    return ballots[:, others]


def load_faces(
    path: str | os.PathLike[str], ferplus: str | os.PathLike[str] | None = None
) -> Faces:
    """Read FER2013 (through a cache) and, if given, FER+; mark the duplicates.

    Args:
        path: `fer2013.csv` (plain, .gz, .xz) or Kaggle's folder.
        ferplus: FER+'s CSV file; needs the CSV file of FER2013, whose rows it follows.

    Raises:
        DataError: something cannot be read or does not fit; the message names the line or path.

    """
    source = Path(path)
    digest = hash_source(source)
    raw = _cached_faces(source, digest)
    sha256 = {"fer2013": digest}
    ballots = None
    if ferplus is not None:
        if source.is_dir():
            msg = "FER+ follows the rows of fer2013.csv: give --data that file, not folders"
            raise DataError(msg)
        ballots, splits = read_votes(Path(ferplus))
        sha256["ferplus"] = hash_source(Path(ferplus))
        check_splits(splits, raw, ferplus, path)
    faces = Faces(*raw, mark_duplicates(raw), ballots, sha256)
    if ferplus is not None:
        check_agreement(faces, ferplus, path)
    return faces


def hash_source(path: Path) -> str:
    """Hash a file's content, or a folder's file names and contents, with SHA-256.

    Raises:
        DataError: it cannot be read.

    """
    digest = hashlib.sha256()
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        for member in pictures_in(path):
            digest.update(os.fsencode(member.relative_to(path)))
            digest.update(member.read_bytes())
    except OSError as error:
        place = error.filename or path
        msg = f"{place} cannot be read: {reason_of(error)}; give the path of the data"
        raise DataError(msg) from error
    return digest.hexdigest()


def _cached_faces(source: Path, digest: str) -> RawFaces:
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # this user has no home, as in some containers
        return read_faces(source)
    cache = Path(home) / "serenbox" / f"fer2013-{digest[:16]}.npz"
    try:
        with cache.open("rb") as file, np.load(file) as arrays:
            return RawFaces(arrays["images"], arrays["labels"], arrays["splits"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # none yet, out of reach or damaged: read the source
    raw = read_faces(source)
    content = io.BytesIO()
    np.savez(content, images=raw.images, labels=raw.labels, splits=raw.splits)
    # Failing to write the cache costs only time.
    with contextlib.suppress(RunError):
        write_atomically(cache, content.getvalue())
    return raw


def mark_duplicates(raw: RawFaces) -> NDArray[np.bool_]:
    """Mark (n,) every face whose pixels occur in another split, or earlier in its own.

    A *Training* face that a test split also holds is thus marked in both.
    """
    keys = [hashlib.sha256(image.tobytes()).digest() for image in raw.images]
    seen_in: dict[bytes, set[str]] = {}
    for key, split in zip(keys, raw.splits, strict=True):
        seen_in.setdefault(key, set()).add(str(split))
    met: set[tuple[bytes, str]] = set()
    marks = []
    for key, split in zip(keys, raw.splits, strict=True):
        marks.append(len(seen_in[key]) > 1 or (key, str(split)) in met)
        met.add((key, str(split)))
    return np.array(marks, np.bool_)


def training_faces(faces: Faces, label_set: LabelSet) -> Faces:
    """Select the faces to train on.

    These are the *Training* faces that occur in no test split, not even as a near copy. Each is
    taken once only; those of constant colour and, for FER+, those that are not `usable` are left
    out.

    Raises:
        DataError: a class has no face left.

    """
    chosen = faces[~faces.near_copy].select("Training")
    chosen = chosen[~chosen.duplicate & ~constant(chosen.images)]
    if label_set == "ferplus":
        chosen = chosen[chosen.usable]
    counts = np.bincount(chosen.truth(label_set), minlength=len(EMOTIONS))
    empty = [label for label, count in zip(EMOTIONS, counts, strict=True) if not count]
    if empty:
        msg = f"the Training split has no usable face of {', '.join(empty)}"
        raise DataError(msg)
    return chosen


def constant(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (n,) whether each image has one colour only."""
    flat = images.reshape(len(images), -1)
    return np.asarray(flat.min(axis=1) == flat.max(axis=1))


def describe(faces: Faces) -> list[str]:
    """Return lines that describe the data: counts per split and class, duplicates, blanks."""
    lines = []
    for split in SPLITS:
        part = faces.splits == split
        if not part.any():
            continue
        counts = np.bincount(faces.labels[part], minlength=len(EMOTIONS))
        named = _named(EMOTIONS, counts)
        lines.append(
            f"{split}: {part.sum()} faces ({named}); {faces.duplicate[part].sum()} duplicates, "
            f"{constant(faces.images[part]).sum()} of one colour"
        )
    return lines


def _named(labels: Sequence[str], counts: NDArray[np.int64]) -> str:
    return ", ".join(f"{label} {count}" for label, count in zip(labels, counts, strict=True))
