"""Which face is whose from frame to frame, and which one makes the mood. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serenbox.results import Box

_REACH = 2.0
"""Faces are compared as boxes so many times as large: between two frames a quick head moves by
more than its own width."""

_SAME_PERSON = 0.2
"""Intersection over union of those boxes from which two faces can be one person's: a face may have
moved by its width and a third."""


@dataclass(frozen=True, slots=True)
class Track:
    """A face as it was last seen."""

    id: int
    """Counts up from 1."""
    box: Box
    seen: float
    """When, in seconds on the frames' clock."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whose face one of the boxes is."""

    index: int
    """Of the box among those given."""
    id: int
    primary: bool


class Tracker:
    """Gives faces their numbers and keeps the primary one as long as that makes sense.

    The primary face is the largest one. Another takes its place once it is `primary_lead` times
    larger, or once the primary one has been lost for `memory` seconds; until then there may be
    frames that have faces and no primary one.

    Args:
        max_faces: Faces to keep, at least 1.
        memory: Seconds for which a lost face keeps its number.
        primary_lead: At least 1.

    """

    def __init__(self, *, max_faces: int, memory: float, primary_lead: float) -> None:
        self._max_faces = max_faces
        self._memory = memory
        self._lead = primary_lead
        self._tracks: list[Track] = []
        self._primary: int | None = None
        self._last_id = 0

    def update(self, time: float, boxes: Sequence[Box]) -> list[Assignment]:
        """Return whose faces these are, largest first, at most `max_faces`.

        Args:
            time: Seconds on the frames' clock, not before that of the last call.
            boxes: All faces in the frame, in any order.

        """
        self._tracks = [track for track in self._tracks if time - track.seen <= self._memory]
        owners = _match(self._tracks, boxes)
        current = {
            index: Track(owners[index].id if index in owners else 0, box, time)
            for index, box in enumerate(boxes)
        }
        kept = sorted(current, key=lambda index: -self._weight(current[index]))[: self._max_faces]
        kept.sort(key=lambda index: -_area(current[index].box))
        now = {index: self._named(current[index]) for index in kept}
        seen = {track.id for track in now.values()}
        self._tracks = [*now.values(), *(old for old in self._tracks if old.id not in seen)]
        rivals = [track for track in self._tracks if track.id in {*seen, self._primary}]
        self._primary = max(rivals, key=self._weight).id if rivals else None
        return [Assignment(i, track.id, track.id == self._primary) for i, track in now.items()]

    def _weight(self, track: Track) -> float:
        """Return the area of a face as it counts among others: the primary one's counts more."""
        return _area(track.box) * (self._lead if track.id == self._primary else 1)

    def _named(self, track: Track) -> Track:
        """Return the track with a number of its own."""
        if track.id:
            return track
        self._last_id += 1
        return Track(self._last_id, track.box, track.seen)


def overlap(one: Box, other: Box, reach: float = 1.0) -> float:
    """Return the intersection over union, 0 to 1, of two boxes, each made `reach` times larger."""
    width = _shared(one.x, one.width, other.x, other.width, reach)
    height = _shared(one.y, one.height, other.y, other.height, reach)
    both = width * height
    return both / ((_area(one) + _area(other)) * reach**2 - both)


def _shared(start: int, length: int, other_start: int, other_length: int, reach: float) -> float:
    """Return how much of an axis two spans share, each grown around its middle."""
    centres = abs(start + length / 2 - other_start - other_length / 2)
    halves = (length + other_length) * reach / 2
    return max(0.0, min(halves - centres, length * reach, other_length * reach))


def _area(box: Box) -> int:
    return box.width * box.height


def _match(tracks: Sequence[Track], boxes: Iterable[Box]) -> dict[int, Track]:
    """Return the track of each box that has one, those that overlap most first."""
    pairs = [
        (shared, index, track)
        for index, box in enumerate(boxes)
        for track in tracks
        if (shared := overlap(track.box, box, _REACH)) > _SAME_PERSON
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[2].id))
    owners: dict[int, Track] = {}
    taken: set[int] = set()
    for _, index, track in pairs:
        if index not in owners and track.id not in taken:
            owners[index] = track
            taken.add(track.id)
    return owners
