"""How serenbox-detect starts, and how it ends if it cannot work: usage, models, errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from serenbox.cli import detect
from tests.detect_process import Run, assert_error, runner, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""
    return runner(emotion_model, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: IMAGE"),
        (["--nonsense", "a.png"], "unrecognized arguments: --nonsense"),
        (["--min-confidence", "1.5", "a.png"], "must be a number from 0 to 1, not '1.5'"),
        (["--min-confidence", "nan", "a.png"], "must be a number from 0 to 1"),
        (["--min-face-score", "0", "a.png"], "must be a number from 0.1 to 1, not '0'"),
        (["--prior-exponent", "2", "a.png"], "must be a number from 0 to 1, not '2'"),
        (["--min-confidence", "high", "a.png"], "must be a number from 0 to 1"),
        (["--threads", "0", "a.png"], "must be a whole number from 1 to 64, not '0'"),
        (["--runtime", "onnx", "a.png"], "invalid choice: 'onnx'"),
    ],
)
def test_wrong_usage(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("usage: serenbox-detect ")
    assert complaint in output.err.splitlines()[-1]


def test_model_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "model.tflite").write_bytes(b"no model")
    for model in ("model.tflite", "missing.tflite"):
        process = run("--json", "--model", model, "a.png")
        assert_error(process, 2, model)
        assert process.stdout == b""


def test_runtime_that_is_missing(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    hide = (
        "import sys; sys.modules['tflite_runtime'] = sys.modules['ai_edge_litert'] = None; "
        "from serenbox.cli.detect import main; sys.exit(main())"
    )
    process = run("--json", "a.png", command=(sys.executable, "-c", hide))
    assert_error(process, 2, "pip install ai-edge-litert")
    without_opencv = hide.replace("'tflite_runtime'", "'cv2'")
    process = run("--json", "a.png", command=(sys.executable, "-c", without_opencv))
    assert_error(process, 2, "cv2", "-m pip install .` in SerenBox's checkout")


def test_help_and_version(run: Run) -> None:
    process = run("--help", model=False)
    assert (process.returncode, process.stderr) == (0, b"")
    for option in ("--json", "--cropped", "--annotate", "--prior-exponent", "Exit code:"):
        assert option in process.stdout.decode()
    process = run("--version", model=False)
    assert (process.returncode, process.stderr) == (0, b"")
    assert process.stdout.startswith(b"serenbox-detect ")


def test_start_is_lean(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    loaded = "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    script = f"import sys; from serenbox.cli.detect import main; main(); {loaded}"
    process = run("--help", model=False, command=(sys.executable, "-c", script))
    assert not {"numpy", "cv2", "ai_edge_litert", "importlib.metadata"} & set(
        process.stderr.decode().split()
    )
    process = run("--json", "a.png", command=(sys.executable, "-c", script))
    modules = set(process.stderr.decode().split())
    assert {"numpy", "cv2"} <= modules
    assert not {"PIL", "tensorflow", "keras", "torch", "scipy", "matplotlib", "skimage"} & modules


def test_unexpected_error_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody\nthought of this")

    monkeypatch.setattr(detect, "find_inputs", fail)
    assert detect.main(["a.png"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected ZeroDivisionError: nobody\\nthought of this" in line
    assert "--debug" in line
    assert detect.main(["--debug", "a.png"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_traceback_only_when_asked_for(run: Run) -> None:
    assert_error(run("missing.png"), 1, "no such file")
    process = run("--debug", "missing.png")
    assert process.returncode == 1
    assert b"Traceback" in process.stderr
    assert b"serenbox-detect: error: missing.png: there is no such file" in process.stderr
