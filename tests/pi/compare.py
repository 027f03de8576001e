"""Compares what serenbox-detect --json printed on two machines: compare.py NAME REFERENCE OTHER."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NEAR = 2
"""Pixels by which a box may differ, because the last bits of the face finder's floats do."""


def read(path: str) -> dict[str, list[dict[str, Any]]]:
    """Return the faces of each picture by its file name."""
    lines = map(json.loads, Path(path).read_text("utf-8").splitlines())
    return {Path(line["image"]).name: line["faces"] for line in lines}


def difference(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> str:
    """Return what differs in faces or labels; empty if nothing does."""
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} faces"
    for mine, yours in zip(ours, theirs, strict=True):
        if mine["emotion"] != yours["emotion"]:
            return f"{mine['emotion']} and {yours['emotion']}"
        if any(abs(a - b) > NEAR for a, b in zip(mine["box"], yours["box"], strict=True)):
            return f"boxes {mine['box']} and {yours['box']}"
    return ""


def largest_score_difference(
    reference: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]
) -> float:
    """Return the largest difference of a score, 0 to 1."""
    differences: list[float] = [
        abs(score - yours["scores"][label])
        for name, faces in reference.items()
        for mine, yours in zip(faces, other[name], strict=True)
        for label, score in mine["scores"].items()
    ]
    return max(differences)


def main(name: str, reference_file: str, other_file: str) -> int:
    """Print the comparison in one line."""
    reference, other = read(reference_file), read(other_file)
    problems = [
        f"{picture}: {problem}"
        for picture, faces in reference.items()
        if (problem := difference(faces, other.get(picture, [])))
    ]
    face_count = sum(map(len, reference.values()))
    if len(reference) != 10 or face_count < 10:
        problems.append(f"the reference has {len(reference)} pictures and {face_count} faces")
    if problems:
        print(f"FAIL {name}: {'; '.join(problems)}")
        return 1
    score = largest_score_difference(reference, other)
    print(f"PASS {name}: {face_count} faces in {len(other)} photos; scores within {score:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
