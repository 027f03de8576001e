"""The table that serenbox-detect shows to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serenbox.cli import common, table
from serenbox.cli.table import Style
from serenbox.results import EMOTIONS, UNCERTAIN, Box, Face
from tests.detect_process import Run, runner, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


def happy_face(emotion: str = "happy") -> Face:
    scores = dict.fromkeys(EMOTIONS, 0.04) | {"happy": 0.76}
    return Face(Box(10, 20, 30, 40), emotion, 0.76, scores)


def test_table() -> None:
    shown = table.render("a.png", 640, 480, [happy_face()] * 2, Style(), "annotated: x.png")
    assert shown.splitlines() == [
        "a.png  640 x 480, 2 faces",
        *[
            "",
            "   1  happy 76%  30 x 40 at 10, 20",
            "      angry     #                          4%",
            "      disgust   #                          4%",
            "      fear      #                          4%",
            "      happy     ##################        76%",
            "      neutral   #                          4%",
            "      sad       #                          4%",
            "      surprise  #                          4%",
        ],
        *[
            "",
            "   2  happy 76%  30 x 40 at 10, 20",
            "      angry     #                          4%",
            "      disgust   #                          4%",
            "      fear      #                          4%",
            "      happy     ##################        76%",
            "      neutral   #                          4%",
            "      sad       #                          4%",
            "      surprise  #                          4%",
        ],
        "",
        "  annotated: x.png",
    ]
    assert "uncertain, perhaps happy 76%" in table.render(
        "a.png", 640, 480, [happy_face(UNCERTAIN)], Style()
    )


def test_bars() -> None:
    blocks = Style(blocks=True)
    assert table.bar(0, blocks) == " " * 24
    assert table.bar(1, blocks) == "█" * 24
    assert table.bar(0.5, blocks) == "█" * 12 + " " * 12
    assert table.bar(1 / 192, blocks) == "▏" + " " * 23
    assert table.bar(1, Style()) == "#" * 24
    assert all(len(table.bar(score / 999, blocks)) == 24 for score in range(1000))


def test_ascii_where_the_encoding_has_no_blocks(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    ascii_table = run("--cropped", "a.png", PYTHONIOENCODING="ascii").stdout.decode("ascii")
    assert "80 x 60" in ascii_table
    assert "#####" in ascii_table
    assert "█████" in run("--cropped", "a.png").stdout.decode()


def test_control_characters_are_escaped() -> None:
    assert common.printable("a\n\x1b[1m\udce9\u202e b.png") == "a\\n\\x1b[1m\\udce9\\u202e b.png"
    assert common.printable("naïve ☺ 写真.png") == "naïve ☺ 写真.png"
