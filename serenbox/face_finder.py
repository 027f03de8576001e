"""Finds faces in a picture with MediaPipe's BlazeFace (short range)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

from serenbox import blazeface, views
from serenbox.defaults import FACE_SCORE
from serenbox.errors import ModelError
from serenbox.model_file import read_model_bytes
from serenbox.models import FACE_MODEL, FACE_MODEL_SHA256
from serenbox.overlap import SAME_FACE, corners
from serenbox.results import Box, FaceLocation
from serenbox.runtime import LoadedModel, Runtime, open_model

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from serenbox.blazeface import Floats
    from serenbox.pixels import Pixels
    from serenbox.views import View

_WIDER = 1.6
"""A face that fills the picture is found only with space around it, in a view this many times as
wide. Photos are always looked at so: a small face, such as one behind, must not hide a large one.
In the frames of a camera this look would cost too much time, so it is tried only if the plain view
shows no face."""

_FIRST_LOOK = 0.8
"""A first look requires only this fraction of the minimum score: the second look decides."""

_TILE_CAUTION = 0.5
"""Dozens of tiles are dozens of chances for a false detection, so a face that only tiles show needs
a higher score: this fraction of the way from the minimum to 1."""

_SCALED = np.arange(256, dtype=np.float32) / np.float32(127.5) - 1
"""The network's input for each pixel value: -1 to 1."""


class FaceFinder:
    """Finds faces. Use it from one thread at a time.

    Args:
        path: A BlazeFace short range model; the shipped one if None.
        threads: CPU threads for one run, 1 to 64.
        runtime: Which TensorFlow Lite runtime to use.
        min_score: The minimum score of a face, above 0 and at most 1.

    Raises:
        ModelError: The model cannot be read or is not BlazeFace short range.
        RuntimeUnavailableError: The runtime is not installed or cannot run here.
        ValueError: An argument is out of its range.

    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        threads: int = 1,
        runtime: Runtime = "auto",
        min_score: float = FACE_SCORE,
    ) -> None:
        if not 0 < min_score <= 1:
            raise ValueError(f"min_score is {min_score}, and must be above 0 and at most 1")
        content = _read(path)
        self._model = open_model(content, threads=threads, runtime=runtime)
        _check(self._model)
        self._anchors = blazeface.make_anchors()
        self._buffers = np.empty((2, blazeface.INPUT_SIZE, blazeface.INPUT_SIZE, 3), np.uint8)
        self._min_score = min_score

    def find(
        self, image: Pixels, *, tiles: bool = False, known: Sequence[FaceLocation] = ()
    ) -> list[FaceLocation]:
        """Return the faces in a picture, largest first.

        Args:
            image: uint8, (height, width, 3), BGR.
            tiles: Also look at overlapping parts of the picture, to find small faces as in a group
                photo, and at the picture with space around it, to find a face that fills it. This
                takes about thirty more looks. Without it, a face that fills the picture is found
                only if no other is found or known.
            known: Faces whose place in this picture is already known: they are left out, and no
                time is spent on them.

        """
        height, width = image.shape[:2]
        picture = views.manageable(image)
        taken = _boxes(known, width, height)
        faces, scores = self._faces(image, views.whole(picture, 1), taken)
        if tiles or not (len(scores) or known):
            faces, scores = self._add_large(image, picture, taken, faces, scores)
        if tiles:
            faces, scores = self._add_small(image, picture, taken, faces, scores)
        located = (
            _location(
                [(x * width, y * height) for x, y in face.reshape(-1, 2).tolist()],
                float(score),
                width,
                height,
            )
            for face, score in zip(faces, scores, strict=True)
        )
        found = [face for face in located if face is not None]
        return sorted(found, key=lambda face: -face.box.width * face.box.height)

    def follow(self, image: Pixels, location: FaceLocation) -> FaceLocation | None:
        """Return where a face found a moment ago is now, or None if it has gone.

        This is one look, at twice the face's size: it finds a face that has moved by up to about
        half its width, in less than half the time of `find`.

        Args:
            image: uint8, (height, width, 3), BGR, as large as the one the face was found in.
            location: Where it was, in pixels.

        """
        height, width = image.shape[:2]
        x, y, right, bottom = box = corners(location.box)
        view = views.around_box(image, box)
        left, top, side = view.left, view.top, view.side
        known = ((x - left) / side, (y - top) / side, (right - left) / side, (bottom - top) / side)
        regressors, logits = self._answer(view, quick=True)
        found = blazeface.followed(regressors, logits, self._anchors, self._min_score, known)
        if not found:
            return None
        numbers, score = found
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return _location(
            [(left + x * side, top + y * side) for x, y in pairs], score, width, height
        )

    def _faces(self, image: Pixels, view: View, taken: Floats) -> tuple[Floats, Floats]:
        """Return the faces of one view that are not taken and that a second look confirms."""
        candidates, _ = self._look(view, _FIRST_LOOK * self._min_score)
        new = candidates[_new(candidates, taken)]
        return self._confirm(image, new, self._min_score, taken)

    def _add_large(
        self, image: Pixels, picture: Pixels, taken: Floats, faces: Floats, scores: Floats
    ) -> tuple[Floats, Floats]:
        """Return the faces found before, as they are, plus those that only a wider view shows."""
        others = np.concatenate((faces[:, :4], taken))
        large, strength = self._faces(image, views.whole(picture, _WIDER), others)
        return np.concatenate((faces, large)), np.concatenate((scores, strength))

    def _add_small(
        self, image: Pixels, picture: Pixels, taken: Floats, faces: Floats, scores: Floats
    ) -> tuple[Floats, Floats]:
        """Return the faces found before plus those that only tiles show."""
        candidates, strengths = [faces], [np.ones_like(scores)]
        for view in views.tiles(picture, max(image.shape[:2])):
            found, strength = self._look(view, _FIRST_LOOK * self._min_score)
            whole = views.wholly_inside(found, view)
            candidates.append(found[whole])
            strengths.append(strength[whole])
        merged, _ = blazeface.merge(np.concatenate(candidates), np.concatenate(strengths))
        new = merged[_new(merged, np.concatenate((faces[:, :4], taken)))]
        min_score = self._min_score + (1 - self._min_score) * _TILE_CAUTION
        small, strength = self._confirm(image, new, min_score, taken)
        return blazeface.merge(np.concatenate((faces, small)), np.concatenate((scores, strength)))

    def _confirm(
        self, image: Pixels, candidates: Floats, min_score: float, taken: Floats
    ) -> tuple[Floats, Floats]:
        """Look at each candidate again, closely; return the faces not taken, and their scores."""
        faces, scores = [candidates[:0]], [np.zeros(0, np.float32)]
        for candidate in candidates:
            seen, strength = self._look(views.around(image, candidate), min_score)
            same = blazeface.overlaps(candidate, seen) > SAME_FACE
            faces.append(seen[same][:1])
            scores.append(strength[same][:1])
        merged, strengths = blazeface.merge(np.concatenate(faces), np.concatenate(scores))
        new = _new(merged, taken)  # the second look may have moved one onto a taken face
        return merged[new], strengths[new]

    def _look(self, view: View, min_score: float) -> tuple[Floats, Floats]:
        """Return candidates (n, 16) in fractions of the picture's sides, and their scores (n,)."""
        regressors, logits = self._answer(view)
        candidates, scores = blazeface.merge(
            *blazeface.decode(regressors, logits, self._anchors, min_score)
        )
        low, high = view.bounds()
        points = candidates.reshape(-1, 8, 2) * (high - low) + low
        return points.reshape(-1, 16), scores

    def _answer(self, view: View, *, quick: bool = False) -> tuple[Floats, Floats]:
        """Return the network's output for a view: regressors (896, 16) and logits (896,)."""
        pixels = view.pixels(quick=quick, buffer=self._buffers[0])
        rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, self._buffers[1])
        regressors, logits = self._model.run_on(lambda array: cv2.LUT(rgb, _SCALED, array[0]))
        return regressors[0], logits[0, :, 0]


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


def _boxes(locations: Sequence[FaceLocation], width: int, height: int) -> Floats:
    """Return left, top, right, bottom of each face, (n, 4), in fractions of the picture's sides."""
    boxes = [corners(location.whole) for location in locations]
    sides = np.array((width, height, width, height), np.float32)
    return np.array(boxes, np.float32).reshape(-1, 4) / sides


def _new(candidates: Floats, taken: Floats) -> npt.NDArray[np.bool_]:
    """Return which candidates show none of the faces whose boxes (n, 4) are taken."""
    new = [not (blazeface.overlaps(one, taken) > SAME_FACE).any() for one in candidates]
    return np.array(new, bool)


def _location(
    points: Sequence[tuple[float, float]], score: float, width: int, height: int
) -> FaceLocation | None:
    """Return the face, its box clipped to the image; None if no part of it is inside.

    Args:
        points: Top left and bottom right corner and the six keypoints, in pixels.
        score: 0 to 1.
        width: Width of the image, in pixels.
        height: Height of the image, in pixels.

    """
    whole = _box(*points[:2])
    inside = _box(*((min(max(x, 0), width), min(max(y, 0), height)) for x, y in points[:2]))
    if inside.width <= 0 or inside.height <= 0:
        return None
    uncut = None if whole == inside else whole
    return FaceLocation(inside, tuple(points[2:]), score, uncut)


def _box(start: tuple[float, float], end: tuple[float, float]) -> Box:
    (left, top), (right, bottom) = ((round(x), round(y)) for x, y in (start, end))
    return Box(left, top, right - left, bottom - top)
