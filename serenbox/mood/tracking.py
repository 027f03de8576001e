"""Matches faces from frame to frame, and picks the one that makes the mood. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from serenbox.overlap import corners, overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from serenbox.results import Box

_REACH = 2.0
"""Boxes of faces are enlarged this many times before they are compared: between two frames a quick
head moves by more than its own width."""

_SAME_PERSON = 0.2
"""Two faces can be one person's if the enlarged boxes' intersection over union exceeds this: a face
may move by its width and a third."""

_STEADIED = 0.2
"""Time constant of the average of a face's velocity, seconds: boxes jitter."""

_COURSE = 0.5
"""Seconds for which a face is expected to go on as it moved: about as long as one that passes
behind another is hidden. Within a longer time a head may have moved there and back."""


class Track(NamedTuple):
    """A face as it was last seen."""

    id: int
    """Counts up from 1."""
    box: Box
    seen: float
    """When, in seconds on the frames' clock."""
    velocity: tuple[float, float] = (0.0, 0.0)
    """To the right and down, pixels per second."""


class Assignment(NamedTuple):
    """Which tracked face a box belongs to."""

    place: int
    """The index of the box among those given."""
    id: int
    primary: bool


class Tracker:
    """Numbers faces and keeps the primary one as long as that makes sense.

    The primary face is the largest one. Another takes its place once it is `primary_lead` times
    as large, or once the primary one has been lost for `primary_memory` seconds; until then a frame
    may have faces but no primary one. A face that is in two frames in a row was not lost, however
    far apart in time they are.

    Args:
        max_faces: Faces to keep, at least 1.
        memory: Seconds for which a lost face keeps its number.
        primary_lead: At least 1.
        primary_memory: Seconds for which a lost face stays the primary one; `memory` if that is
            less.

    """

    def __init__(
        self,
        *,
        max_faces: int,
        memory: float,
        primary_lead: float,
        primary_memory: float = math.inf,
    ) -> None:
        self._max_faces = max_faces
        self._memory = memory
        self._lead = primary_lead
        self._primary_memory = primary_memory
        self._time = -math.inf
        self._tracks: list[Track] = []
        self._primary: int | None = None
        self._last_id = 0

    def update(self, time: float, boxes: Sequence[Box]) -> list[Assignment]:
        """Match the boxes to tracked faces; return at most `max_faces`, largest first.

        Args:
            time: Seconds on the frames' clock, not before that of the last call.
            boxes: All faces in the frame, in any order.

        """
        known = [
            track
            for track in self._tracks
            if track.seen == self._time or time - track.seen <= self._memory
        ]
        owners = _match(known, boxes, time)
        kept = self._largest(boxes, owners)
        now = [self._track(owners.get(index), boxes[index], time) for index in kept]
        seen = {track.id for track in now}
        unseen = [track for track in known if track.id not in seen]
        self._tracks = now + unseen
        self._time = time
        rivals = now + [track for track in unseen if self._is_missed(track)]
        self._primary = max(rivals, key=self._weight).id if rivals else None
        return [
            Assignment(index, track.id, track.id == self._primary)
            for index, track in zip(kept, now, strict=True)
        ]

    def misses(self, seconds: float) -> bool:
        """Return whether the last frame missed a face seen at most `seconds` before."""
        return any(track.seen < self._time <= track.seen + seconds for track in self._tracks)

    def _largest(self, boxes: Sequence[Box], owners: Mapping[int, Track]) -> list[int]:
        """Return which boxes to keep, largest first; the primary face is not crowded out."""
        areas: list[float] = [_area(box) for box in boxes]
        largest = sorted(range(len(boxes)), key=areas.__getitem__, reverse=True)
        if len(boxes) <= self._max_faces:
            return largest
        for index, owner in owners.items():
            areas[index] *= self._lead if owner.id == self._primary else 1
        heaviest = sorted(largest, key=areas.__getitem__, reverse=True)[: self._max_faces]
        return [index for index in largest if index in heaviest]

    def _is_missed(self, track: Track) -> bool:
        """Return whether an unseen face is still the primary one."""
        lost_for = self._time - track.seen
        return track.id == self._primary and lost_for <= min(self._memory, self._primary_memory)

    def _weight(self, track: Track) -> float:
        """Return the area of a face, weighted so that the primary one's counts more."""
        return _area(track.box) * (self._lead if track.id == self._primary else 1)

    def _track(self, owner: Track | None, box: Box, time: float) -> Track:
        """Return the track of a face in a box: its owner's, or a new one."""
        if owner:
            return Track(owner.id, box, time, _velocity(owner, box, time))
        self._last_id += 1
        return Track(self._last_id, box, time)


def _area(box: Box) -> int:
    return box.width * box.height


def _velocity(track: Track, box: Box, time: float) -> tuple[float, float]:
    """Return the velocity of a face that is now in a box; none if it was seen too long ago."""
    seconds = time - track.seen
    if seconds <= 0:
        return track.velocity
    if seconds >= _COURSE:
        return 0.0, 0.0
    old, (x, y) = track.box, track.velocity
    part = -math.expm1(-seconds / _STEADIED)
    across = (box.x - old.x + (box.width - old.width) / 2) / seconds
    down = (box.y - old.y + (box.height - old.height) / 2) / seconds
    return x + part * (across - x), y + part * (down - y)


def _likeness(track: Track, box: Box, time: float) -> float:
    """Return how well a box fits a track, 0 to 1; 0 if it cannot be the same person's.

    The last place counts as much as the place where the face should be by now: so faces that cross
    keep their numbers, and so do neighbours whose heads sway.
    """
    left, top, right, bottom = was = corners(track.box, _REACH)
    seconds = min(time - track.seen, _COURSE)
    x, y = (speed * seconds for speed in track.velocity)
    now = corners(box, _REACH)
    shares = overlap(was, now), overlap((left + x, top + y, right + x, bottom + y), now)
    return sum(shares) / 2 if max(shares) > _SAME_PERSON else 0.0


def _match(tracks: Sequence[Track], boxes: Iterable[Box], time: float) -> dict[int, Track]:
    """Return the track of each box that has one, those that fit best first."""
    pairs = [
        (likeness, index, track)
        for index, box in enumerate(boxes)
        for track in tracks
        if (likeness := _likeness(track, box, time))
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[2].id))
    owners: dict[int, Track] = {}
    taken: set[int] = set()
    for _, index, track in pairs:
        if index not in owners and track.id not in taken:
            owners[index] = track
            taken.add(track.id)
    return owners
