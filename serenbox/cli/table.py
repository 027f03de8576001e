"""Readable results: for each face the emotion, its confidence, and a bar for each score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from serenbox.cli.common import printable
from serenbox.cli.terminal import shows_color
from serenbox.results import UNCERTAIN, Face

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BAR_WIDTH = 24
"""The length of the bar of a score of 1, in characters."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TIMES = "\N{MULTIPLICATION SIGN}"
_BOLD, _DIM, _CYAN, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[36m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal or file that gets the table can show.

    Attributes:
        blocks: Block characters and the multiplication sign; otherwise plain ASCII.
        color: Bold, dim and colored text.

    """

    blocks: bool = False
    color: bool = False


def style_for(stream: TextIO | None) -> Style:
    """Choose the style for a stream.

    Blocks are for encodings that have them.
    """
    try:
        (_EIGHTHS + _TIMES).encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        blocks = False
    else:
        blocks = True
    return Style(blocks=blocks, color=shows_color(stream))


def render(
    name: str, width: int, height: int, faces: Sequence[Face], style: Style, note: str = ""
) -> str:
    """Lay out the result of one picture, several lines without a final line break.

    Args:
        name: The picture.
        width: Its width in pixels.
        height: Its height in pixels.
        faces: What was found in it, in the order to show.
        style: What the output can show.
        note: A last line to add.

    """
    times = _TIMES if style.blocks else "x"
    found = {0: "no face found", 1: "1 face"}.get(len(faces), f"{len(faces)} faces")
    title = _paint(printable(name), _BOLD, style)
    lines = [f"{title}  {width} {times} {height}, {found}"]
    for number, face in enumerate(faces, 1):
        box = face.box
        place = f"{box.width} {times} {box.height} at {box.x}, {box.y}"
        lines += ["", f"  {number:>2}  {_verdict(face, style)}  {_paint(place, _DIM, style)}"]
        lines += _score_lines(face.scores, style)
    if note:
        lines += ["", f"  {printable(note)}"]
    return "\n".join(lines)


def bar(score: float, style: Style) -> str:
    """Draw a score of 0 to 1 as a bar, padded with blanks to `BAR_WIDTH`."""
    if not style.blocks:
        return ("#" * round(score * BAR_WIDTH)).ljust(BAR_WIDTH)
    full, eighths = divmod(round(score * BAR_WIDTH * 8), 8)
    return (_EIGHTHS[-1] * full + _EIGHTHS[eighths].strip()).ljust(BAR_WIDTH)


def _verdict(face: Face, style: Style) -> str:
    percent = f"{face.confidence:.0%}"
    if face.emotion != UNCERTAIN:
        return f"{_paint(face.emotion, _BOLD, style)} {percent}"
    top = max(face.scores, key=face.scores.__getitem__)
    return f"{_paint(UNCERTAIN, _BOLD, style)}, perhaps {top} {percent}"


def _score_lines(scores: Mapping[str, float], style: Style) -> list[str]:
    name_width = max(map(len, scores))
    top = max(scores, key=scores.__getitem__)
    return [
        f"      {label:<{name_width}}  "
        f"{_paint(bar(score, style), _CYAN if label == top else _DIM, style)} {score:>4.0%}"
        for label, score in scores.items()
    ]


def _paint(text: str, code: str, style: Style) -> str:
    return f"{code}{text}{_PLAIN}" if style.color else text
