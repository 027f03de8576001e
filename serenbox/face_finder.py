"""Finds faces in a picture with MediaPipe's BlazeFace (short range)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from serenbox import blazeface
from serenbox.errors import ModelError
from serenbox.model_file import read_model_bytes
from serenbox.models import FACE_MODEL, FACE_MODEL_SHA256
from serenbox.results import Box, FaceLocation
from serenbox.runtime import LoadedModel, Runtime, open_model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import numpy.typing as npt

    from serenbox.blazeface import Floats

    Image = npt.NDArray[np.uint8]

_WIDER = 1.6
"""A face that fills the picture is not recognised as one until there is space around it: where the
plain view shows no face, a view this much wider is tried."""

_SPACE = 127
"""Grey, 0 to the network: finds more faces at the edge of a picture than black does."""

_FIRST_LOOK = 0.8
"""A first look needs only this part of the minimum score: the second look decides."""

_SECOND_LOOK = 2.0
"""Side of the second look in faces. It halves the jitter of a small face's box and keypoints, and
tells faces from other things better than the first."""

_TILE_CAUTION = 0.5
"""Dozens of tiles give chance dozens of chances, so what only they show needs a higher score: this
part of the way from the minimum to 1. Chosen on 12 mosaics of 16 to 144 portraits (97 % found) and
on 23 pictures without faces in three sizes each (tiles added nothing to the 9 false ones)."""

_TILE_PARTS = (4, 2)
"""Tiles have a quarter and a half of the picture's longer side."""

_TILE_OVERLAP = 1 / 3
"""Of neighbouring tiles. A face larger than that is found at the next larger size."""

_SMALLEST_TILE = 192
"""Pixels. Faces in smaller tiles would be too small to read an emotion from."""

_SIZE, _SAME = blazeface.INPUT_SIZE, blazeface.SAME_FACE_OVERLAP


@dataclass(frozen=True, slots=True)
class _View:
    """A square look at a picture, in pixels of it; it may reach beyond the picture."""

    picture: Image
    left: int
    top: int
    side: int

    def pixels(self) -> Image:
        """Return what is in view, (128, 128, 3), grey where it reaches beyond the picture."""
        x, y = max(0, self.left), max(0, self.top)
        part = self.picture[y : max(y, self.top + self.side), x : max(x, self.left + self.side)]
        pixels = np.full((_SIZE, _SIZE, 3), _SPACE, np.uint8)
        if not part.size:
            return pixels
        scale = _SIZE / self.side
        left, top = (min(_SIZE - 1, round(gap * scale)) for gap in (x - self.left, y - self.top))
        rows = min(_SIZE - top, max(1, round(part.shape[0] * scale)))
        columns = min(_SIZE - left, max(1, round(part.shape[1] * scale)))
        pixels[top : top + rows, left : left + columns] = _resized(part, columns, rows)
        return pixels

    def bounds(self) -> tuple[Floats, Floats]:
        """Return its top left and bottom right (x, y), in parts of the picture's sides."""
        corner = np.array((self.left, self.top), np.float32)
        size = np.array(self.picture.shape[1::-1], np.float32)
        return corner / size, (corner + self.side) / size


class FaceFinder:
    """Finds faces. Use it from one thread at a time.

    Args:
        path: A BlazeFace short range model; the shipped one where None.
        threads: CPU threads for one run.
        runtime: Which TensorFlow Lite runtime to use.
        min_score: How sure it must be of a face, 0 to 1.

    Raises:
        ModelError: The model cannot be read or is not BlazeFace short range.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        runtime: Runtime = "auto",
        min_score: float = 0.5,
    ) -> None:
        if not 0 < min_score <= 1:
            raise ValueError(f"min_score is {min_score}, and must be above 0 and at most 1")
        content = _read(path)
        self._model = open_model(content, threads=threads, runtime=runtime)
        _check(self._model)
        self._anchors = blazeface.make_anchors()
        self._min_score = min_score

    def find(self, image: Image, *, tiles: bool = False) -> list[FaceLocation]:
        """Return the faces in a picture, largest first.

        Args:
            image: uint8, (height, width, 3), BGR.
            tiles: Also look at overlapping parts of the picture, so that small faces, as in a group
                photo, are found. It takes some thirty looks more, 1.3 ms each on a PC.

        """
        height, width = image.shape[:2]
        picture = image
        # Halving is quick; reducing a large picture at once takes longer than looking at it.
        while max(picture.shape[:2]) >= 2 * _SIZE * max(_TILE_PARTS):
            picture = _halved(picture)
        faces, scores = self._faces(image, _whole(picture, 1), self._min_score)
        if not len(scores):
            faces, scores = self._faces(image, _whole(picture, _WIDER), self._min_score)
        if tiles:
            faces, scores = self._add_small(image, picture, faces, scores)
        located = (
            _location(face, float(score), width, height)
            for face, score in zip(faces, scores, strict=True)
        )
        found = [face for face in located if face is not None]
        return sorted(found, key=lambda face: -face.box.width * face.box.height)

    def _faces(self, image: Image, view: _View, min_score: float) -> tuple[Floats, Floats]:
        """Return the faces of one view of the image that a second look confirms."""
        candidates, _ = self._look(view, _FIRST_LOOK * self._min_score)
        return self._confirm(image, candidates, min_score)

    def _add_small(
        self, image: Image, picture: Image, faces: Floats, scores: Floats
    ) -> tuple[Floats, Floats]:
        """Return the faces found before and those that only tiles show."""
        candidates, strengths = [faces], [np.ones_like(scores)]
        for view in _tiles(picture, max(image.shape[:2])):
            found, strength = self._look(view, _FIRST_LOOK * self._min_score)
            whole = _wholly_inside(found, view)
            candidates.append(found[whole])
            strengths.append(strength[whole])
        merged, _ = blazeface.merge(np.concatenate(candidates), np.concatenate(strengths))
        known = [bool((blazeface.overlaps(box, faces) > _SAME).any()) for box in merged]
        min_score = self._min_score + (1 - self._min_score) * _TILE_CAUTION
        small, strength = self._confirm(image, merged[np.logical_not(known)], min_score)
        return blazeface.merge(np.concatenate((faces, small)), np.concatenate((scores, strength)))

    def _confirm(self, image: Image, candidates: Floats, min_score: float) -> tuple[Floats, Floats]:
        """Look at each candidate again, closely; return the faces and their scores."""
        faces, scores = [candidates[:0]], [np.zeros(0, np.float32)]
        for candidate in candidates:
            seen, strength = self._look(_around(image, candidate), min_score)
            same = blazeface.overlaps(candidate, seen) > _SAME
            faces.append(seen[same][:1])
            scores.append(strength[same][:1])
        return blazeface.merge(np.concatenate(faces), np.concatenate(scores))

    def _look(self, view: _View, min_score: float) -> tuple[Floats, Floats]:
        """Return candidates (n, 16) in parts of the picture's sides, and their scores (n,)."""
        pixels = cv2.cvtColor(view.pixels(), cv2.COLOR_BGR2RGB)
        regressors, logits = self._model.run((pixels.astype(np.float32) / 127.5 - 1)[np.newaxis])
        candidates, scores = blazeface.merge(
            *blazeface.decode(regressors[0], logits[0, :, 0], self._anchors, min_score)
        )
        low, high = view.bounds()
        return candidates * np.tile(high - low, 8) + np.tile(low, 8), scores


def _read(path: str | os.PathLike[str] | None) -> bytes:
    if path is not None:
        return read_model_bytes(path)
    advice = "in a checkout, run `pip install -e .`, which brings it; elsewhere, install again"
    if not FACE_MODEL.exists():
        raise ModelError(f"the face finder's model is missing at {FACE_MODEL}: {advice}")
    content = read_model_bytes(FACE_MODEL)
    if hashlib.sha256(content).hexdigest() != FACE_MODEL_SHA256:
        raise ModelError(
            f"the face finder's model {FACE_MODEL} is damaged: delete it, and {advice}"
        )
    return content


def _check(model: LoadedModel) -> None:
    size, rows = blazeface.INPUT_SIZE, sum(n * n * k for n, k in blazeface.ANCHOR_GRIDS)
    wanted = ((1, size, size, 3), (1, rows, 16), (1, rows, 1))
    shapes = tuple(tensor.shape for tensor in model.inputs + model.outputs)
    if shapes != wanted or model.inputs[0].dtype != np.float32:
        raise ModelError(
            f"the face finder's model has tensors of shapes {shapes}, not {wanted}: give it "
            "MediaPipe's face_detection_short_range.tflite"
        )


def _resized(image: Image, width: int, height: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    shrinking = width < image.shape[1] or height < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _halved(image: Image) -> Image:
    """Return the picture at half its size, without the last row or column of an odd number."""
    height, width = (max(1, length // 2) for length in image.shape[:2])
    return _resized(image[: 2 * height, : 2 * width], width, height)


def _reduced(image: Image, side: int) -> Image:
    """Return the picture with its longer side brought to `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    return _resized(image, max(1, round(width * scale)), max(1, round(height * scale)))


def _whole(picture: Image, sides: float) -> _View:
    """Return the view of so many times the picture's longer side, the picture in its middle."""
    height, width = picture.shape[:2]
    side = round(max(width, height) * sides)
    return _View(picture, (width - side) // 2, (height - side) // 2, side)


def _around(image: Image, candidate: Floats) -> _View:
    """Return the view in whose middle a candidate stands."""
    corners = candidate[:4].reshape(2, 2) * image.shape[1::-1]
    side = max(1, round(float((corners[1] - corners[0]).max()) * _SECOND_LOOK))
    left, top = (round(float(middle) - side / 2) for middle in corners.mean(axis=0))
    return _View(image, left, top, side)


def _tiles(picture: Image, longer: int) -> Iterator[_View]:
    """Yield overlapping parts that together cover the picture, smallest first.

    `longer` is the longer side, in pixels, of the image that the picture was reduced from.
    """
    for parts in _TILE_PARTS:
        if longer < parts * _SMALLEST_TILE:
            continue
        picture = _reduced(picture, _SIZE * parts)
        for top in _starts(picture.shape[0]):
            for left in _starts(picture.shape[1]):
                yield _View(picture, left, top, _SIZE)


def _starts(length: int) -> list[int]:
    """Return where tiles begin along one axis: evenly spread from edge to edge."""
    if length <= _SIZE:
        return [(length - _SIZE) // 2]
    steps = math.ceil((length - _SIZE) / (_SIZE * (1 - _TILE_OVERLAP)))
    return [round(step * (length - _SIZE) / steps) for step in range(steps + 1)]


def _wholly_inside(candidates: Floats, view: _View) -> npt.NDArray[np.bool_]:
    """Tell which candidates a tile does not cut off; the neighbouring tile sees the others whole.

    The edge of the picture cuts nothing off that could be seen elsewhere.
    """
    low, high = view.bounds()
    inside = (candidates[:, :2] >= low) | (low <= 0)
    inside &= (candidates[:, 2:4] <= high) | (high >= 1)
    return np.asarray(inside.all(axis=1))


def _location(candidate: Floats, score: float, width: int, height: int) -> FaceLocation | None:
    """Return the face, its box clipped to the image; None where nothing of it is inside."""
    points = candidate.reshape(-1, 2) * (width, height)
    corners = np.clip(points[:2], 0, (width, height))
    left, top, right, bottom = (round(float(number)) for number in corners.ravel())
    if right <= left or bottom <= top:
        return None
    keypoints = tuple((float(x), float(y)) for x, y in points[2:])
    return FaceLocation(Box(left, top, right - left, bottom - top), keypoints, score)
