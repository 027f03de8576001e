"""From the names on a command line to the pictures they mean."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.errors import reason_of
from serenbox.image_header import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"
"""The name that stands for standard input."""

RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
"""Raw photos of cameras. Many are TIFF files in which only a small preview could be read."""

FOREIGN_SUFFIXES = (".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", *RAW_SUFFIXES)
"""Photos that cannot be read; those in a folder are listed all the same, to be reported."""

_ANY_DEPTH = re.compile(r"(?P<slash>^|/)(?:\*\*(?:/+|$))+")
"""The part of a pattern that stands for folders at any depth."""


@dataclass(slots=True)
class Inputs:
    """What the names mean.

    Attributes:
        names: The pictures in the order given, each once.
        problems: A sentence for each name without a picture, and each folder that cannot be read.

    """

    names: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_inputs(names: Iterable[str], *, skip: Path | None = None) -> Inputs:
    """Expand folders and patterns.

    A folder stands for the pictures in it and in all folders below, in the order of their names,
    including photos in a format that cannot be read, so that none is missing silently; hidden files
    and folders, pipes and devices are left out, and links to folders are not followed. A pattern
    (`*`, `?`, `[...]`, `**`) stands for what a shell would expand it to, except that no links to
    folders are followed under `**`; it arrives here if it was quoted or the shell found nothing.
    Any other name stands for itself, whether it exists or not.

    Args:
        names: The names given.
        skip: A folder to leave out even if it lies in another one that is named: the one to which
            the tool writes its own pictures.

    """
    found = Inputs()
    seen: set[str] = set()
    names = list(names)
    skip = _real(skip) if skip else None
    # A shell may have expanded `*` to that folder, too; named alone, it is meant.
    others = [name for name in names if skip is None or not _is_same(Path(name), skip)]
    for name in others or names:
        for path in _expand(name, skip, found.problems):
            # A file may be named as standard input is: `./-`.
            if (key := path if path == STDIN else str(Path(path).absolute())) not in seen:
                seen.add(key)
                found.names.append(path)
    return found


def _is_same(path: Path, folder: Path) -> bool:
    try:
        return _real(path) == folder
    except ValueError:  # an impossible name
        return False


def _expand(name: str, skip: Path | None, problems: list[str]) -> list[str]:
    if name == STDIN:
        return [name]
    if not name:
        problems.append("an empty name is not a picture: leave it out, or name one")
        return []
    if _is_folder(name):
        return _in_folder(name, skip, problems)
    if os.path.lexists(name) or not any(character in name for character in "*?["):
        return [name]
    paths: list[str] = []
    for match in sorted(set(_matches(name))):
        if not _lies_in(skip, match, below=name):
            paths += _walk(match, skip, problems) if _is_folder(match) else [match]
    if not paths:
        problems.append(f"{name}: no picture matches this pattern: check it, or name a folder")
    return paths


def _matches(pattern: str) -> Iterator[str]:
    """Yield what a pattern matches, some of it perhaps twice.

    `glob` alone would follow links to folders under `**`, even to a folder that holds the link.
    """
    import glob

    found = _ANY_DEPTH.search(pattern)
    if not found:
        yield from glob.glob(pattern)  # noqa: PTH207 - pathlib's is relative
        return
    head = pattern[: found.start()] + found["slash"]
    rest = pattern[found.end() :] or ("" if found[0].endswith("/") else "*")
    for top in _matches(head) if head else ("",):
        for place, folders, _ in os.walk(top or os.curdir):
            folders[:] = [name for name in folders if not name.startswith(".")]
            folder = glob.escape(place if top else place[len("./") :])
            for match in _matches(os.path.join(folder, rest)):  # noqa: PTH118 - keeps a slash
                if not (Path(match).is_symlink() and _is_folder(match)):
                    yield match


def _lies_in(folder: Path | None, match: str, below: str) -> bool:
    """Return whether a match is the folder or in it, unless the pattern names it outright."""
    if folder is None:
        return False
    fixed = _real(Path(re.split(r"[*?[]", below, maxsplit=1)[0] + "_").parent)
    return _real(Path(match)).is_relative_to(folder) and not fixed.is_relative_to(folder)


def _real(path: Path) -> Path:
    """Return where a path leads; `Path.resolve` raises on a link to itself before Python 3.13."""
    return Path(os.path.realpath(path))


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # no permission, or an impossible name: reading it will show
        return False


def _in_folder(folder: str, skip: Path | None, problems: list[str]) -> list[str]:
    before = len(problems)
    pictures = list(_walk(folder, skip, problems))
    if not pictures and len(problems) == before:
        problems.append(
            f"{folder}: there are no pictures in this folder or below it: "
            f"their names must end in {', '.join(SUFFIXES)}"
        )
    return pictures


def _walk(folder: str, skip: Path | None, problems: list[str]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        problems.append(
            f"{error.filename}: the folder cannot be read ({reason_of(error)}): "
            "check its permissions"
        )

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and _real(Path(place, name)) != skip
        )
        for name in sorted(files):
            path = Path(place, name)
            photo = name.lower().endswith((*SUFFIXES, *FOREIGN_SUFFIXES))
            if photo and not name.startswith(".") and not _is_special(path):
                yield str(path)


def _is_special(path: Path) -> bool:
    """Return whether this is a pipe, a socket or a device, whose reading might never end."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # a link to nothing, for example: reading it will show
        return False
