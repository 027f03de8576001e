import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convert.__main__ import main
from serenbox.models import EMOTION_MODEL

FACE_FINDER = Path(__file__).parent.parent / "serenbox/models/face_detection_short_range.tflite"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A model without metadata."""
    if not FACE_FINDER.exists():
        pytest.skip("the face finder's weights are not there: run `pip install -e .`")
    path = tmp_path / "face.tflite"
    path.write_bytes(FACE_FINDER.read_bytes())
    return path


def test_a_file_without_metadata_says_so_and_shows_the_rest(
    plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--inspect", str(plain)]) == 0
    shown = capsys.readouterr().out
    assert "229,032 bytes" in shown
    assert hashlib.sha256(plain.read_bytes()).hexdigest() in shown
    assert "float32 1x128x128x3, not quantised" in shown
    assert "DEPTHWISE_CONV_2D version" in shown
    assert "metadata: none (the model carries no metadata" in shown


def test_the_same_as_json(plain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--inspect", str(plain), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["bytes"] == 229_032
    assert facts["inputs"][0]["shape"] == [1, 128, 128, 3]
    assert facts["metadata"] is None
    assert "no metadata" in facts["metadata_error"]
    assert {"name", "version", "count"} == set(facts["operators"][0])


@pytest.mark.parametrize(
    "content", [None, b"", b"\x00" * 64, b"\xff\xff\xff\x7fTFL3" + b"\xff" * 99]
)
def test_what_is_no_model_ends_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / "bad.tflite"
    if content is not None:
        path.write_bytes(content)
    assert main(["--inspect", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("python -m convert: error: ")
    assert str(path) in said.err
    assert said.err.count("\n") == 1


def test_without_litert_a_sentence_says_what_to_install(
    plain: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("convert.flatbuffer", "convert.inspection"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    assert main(["--inspect", str(plain)]) == 2
    assert "pip install ai-edge-litert" in capsys.readouterr().err


def test_inspecting_converts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model.keras", "--inspect", "x.tflite"]) == 2
    assert "--inspect looks at one file" in capsys.readouterr().err


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-u", "-m", "convert", "--inspect", str(EMOTION_MODEL)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
