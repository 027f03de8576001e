"""serenbox-detect as people and scripts meet it: real processes, real files."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from serenbox.cli import common, detect, table
from serenbox.cli.inputs import find_inputs
from serenbox.cli.table import Style
from serenbox.results import EMOTIONS, UNCERTAIN, Box, Face

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[..., subprocess.CompletedProcess[bytes]]

ROOT = Path(__file__).parent.parent
UNWANTED = {"NO_COLOR", "TERM", "OPENCV_LOG_LEVEL", "PYTHONUNBUFFERED"}
COMMAND = (sys.executable, "-m", "serenbox.cli.detect")


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"} | extra


@pytest.fixture
def run(emotion_model: Path, tmp_path: Path) -> Run:
    """Run the tool with the small model, in an empty folder that the test may fill."""

    def run_it(
        *arguments: str | bytes | Path,
        stdin: bytes = b"",
        command: Sequence[str] = COMMAND,
        model: bool = True,
        **extra: str,
    ) -> subprocess.CompletedProcess[bytes]:
        chosen = ("--model", emotion_model) if model else ()
        return subprocess.run(
            [*command, *chosen, *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(**extra),
            timeout=120,
            check=False,
        )

    return run_it


def save(path: Path, level: int = 250, size: tuple[int, int] = (60, 80)) -> Path:
    """Write a plain grey picture; the small model calls bright ones happy, dark ones sad."""
    assert cv2.imwrite(str(path), np.full((*size, 3), level, np.uint8))
    return path


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


def results(process: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(process.stdout)]


def assert_error(process: subprocess.CompletedProcess[bytes], code: int, *parts: str) -> None:
    """Check that the process ended with the code and one line of error with all the parts."""
    (line,) = lines(process.stderr)
    assert line.startswith("serenbox-detect: error: ")
    for part in parts:
        assert part in line
    assert process.returncode == code


# Reading


def test_json_of_a_photograph(run: Run, portrait: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "portrait.png"), portrait)
    process = run("--json", "portrait.png")
    assert (process.returncode, process.stderr) == (0, b"")
    (result,) = results(process)
    assert list(result) == ["image", "width", "height", "faces"]
    assert (result["image"], result["width"], result["height"]) == ("portrait.png", 512, 512)
    (face,) = result["faces"]
    assert list(face) == ["box", "emotion", "confidence", "scores"]
    x, y, width, height = face["box"]
    assert x < 224 < x + width
    assert y < 125 < y + height
    assert list(face["scores"]) == list(EMOTIONS)
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert face["confidence"] == max(face["scores"].values())


def test_every_face_of_a_group(run: Run, portrait: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """Eight heads in a picture 1800 pixels wide, each with a face about 70 pixels wide."""
    head = cv2.resize(portrait[20:260, 100:360], (180, 166), interpolation=cv2.INTER_AREA)
    group = np.full((1200, 1800, 3), 170, np.uint8)
    corners = [(x, y) for y in (200, 800) for x in (100, 600, 1100, 1550)]
    for x, y in corners:
        group[y : y + 166, x : x + 180] = head
    cv2.imwrite(str(tmp_path / "group.jpg"), group)
    (result,) = results(run("--json", "group.jpg"))
    found = {(face["box"][0] // 500, face["box"][1] // 600) for face in result["faces"]}
    assert len(result["faces"]) == len(found) == len(corners)


def test_no_face_is_an_answer(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "wall.png")
    process = run("--json", "wall.png")
    assert (process.returncode, process.stderr) == (0, b"")
    assert results(process) == [{"image": "wall.png", "width": 80, "height": 60, "faces": []}]
    assert lines(run("wall.png").stdout) == [
        "wall.png  80 \N{MULTIPLICATION SIGN} 60, no face found"
    ]


def test_cropped_takes_the_whole_picture_as_a_face(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "bright.png", 250, (48, 48))
    save(tmp_path / "dark.png", 5, (60, 80))
    cv2.imwrite(str(tmp_path / "tiny.png"), np.full((1, 1), 250, np.uint8))
    process = run("--json", "--cropped", "bright.png", "dark.png", "tiny.png")
    assert (process.returncode, process.stderr) == (0, b"")
    bright, dark, tiny = (result["faces"] for result in results(process))
    assert [(face["emotion"], face["box"]) for face in bright] == [("happy", [0, 0, 48, 48])]
    assert [(face["emotion"], face["box"]) for face in dark] == [("sad", [0, 0, 80, 60])]
    assert [(face["emotion"], face["box"]) for face in tiny] == [("happy", [0, 0, 1, 1])]


def test_upright_by_exif(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "plain.jpg").read_bytes()
    body = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    turned = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    (tmp_path / "turned.jpg").write_bytes(turned)
    (result,) = results(run("--json", "turned.jpg"))
    assert (result["width"], result["height"]) == (60, 80)


def test_min_confidence(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "grey.png", 150)

    def emotion(*arguments: str) -> str:
        (result,) = results(run("--json", "--cropped", "grey.png", *arguments))
        return str(result["faces"][0]["emotion"])

    assert emotion("--min-confidence", "0") == "happy"
    assert emotion("--min-confidence", "1") == UNCERTAIN
    assert emotion() == UNCERTAIN, "the model's own threshold is 0.4"


def test_prior_exponent(run: Run, tmp_path: Path, portrait: npt.NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), portrait)

    def disgust(*arguments: str) -> float:
        (result,) = results(run("--json", "--cropped", "face.png", *arguments, model=False))
        return float(result["faces"][0]["scores"]["disgust"])

    own = disgust()
    assert disgust("--prior-exponent", "1") < own < disgust("--prior-exponent", "0.3")


def test_min_face_score(run: Run, tmp_path: Path, portrait: npt.NDArray[np.uint8]) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), portrait)

    def faces(*arguments: str) -> int:
        (result,) = results(run("--json", "face.png", *arguments))
        return len(result["faces"])

    assert faces() == faces("--min-face-score", "0.85") == 1
    assert faces("--min-face-score", "1") == 0


def test_runtime_and_threads(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    process = run("--json", "--cropped", "a.png", "--runtime", "auto", "--threads", "2")
    assert results(process)[0]["faces"][0]["emotion"] == "happy"


def test_standard_input(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "a.png").read_bytes()
    (result,) = results(run("--json", "--cropped", "-", stdin=content))
    assert (result["image"], result["width"]) == ("-", 80)
    assert_error(run("-"), 1, "standard input: it is empty: pipe a picture")
    assert_error(run("-", stdin=b"hello"), 1, "standard input: it holds text")


# Which pictures


def test_folders_patterns_and_files(tmp_path: Path) -> None:
    inner = tmp_path / "in" / "b"
    inner.mkdir(parents=True)
    for name in ("z.png", "a.JPG", "notes.txt", ".hidden.png", "b/c.webp", "b/d[1].gif"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / ".git").mkdir()
    (tmp_path / "in" / ".git" / "x.png").touch()
    top = str(tmp_path / "in")

    def found(*names: str, skip: Path | None = None) -> list[str]:
        inputs = find_inputs(names, skip=skip)
        assert inputs.problems == []
        return [name.removeprefix(top + "/") for name in inputs.names]

    everything = ["a.JPG", "z.png", "b/c.webp", "b/d[1].gif"]
    assert found(top) == everything
    assert found(top, top + "/z.png", top + "/") == everything, "each once"
    assert found(top + "/z.png", top)[0] == "z.png"
    assert found(top + "/*.png") == ["z.png"]
    assert found(top + "/*") == ["a.JPG", "b/c.webp", "b/d[1].gif", "notes.txt", "z.png"]
    assert found(top + "/**/*.webp") == ["b/c.webp"]
    assert found(top + "/b/d[1].gif") == ["b/d[1].gif"], "a name that is there is no pattern"
    assert found(top, skip=inner) == ["a.JPG", "z.png"]
    assert found("-", "missing.jpg", "-") == ["-", "missing.jpg"]

    # The tool's own output folder is left out, unless it is named alone or in a pattern.
    assert found(top + "/**/*.*", skip=inner) == ["a.JPG", "notes.txt", "z.png"]
    assert found(top + "/*", skip=inner) == ["a.JPG", "notes.txt", "z.png"]
    assert found(*(f"{top}/{name}" for name in ("b", "z.png")), skip=inner) == ["z.png"]
    assert found(str(inner), skip=inner) == ["b/c.webp", "b/d[1].gif"]
    assert found(top + "/b/*.webp", skip=inner) == ["b/c.webp"]
    assert found(top + "/*.png", skip=tmp_path / "in") == ["z.png"]


def test_inputs_that_mean_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    assert_error(run("empty"), 2, "empty: there are no pictures in this folder", ".jpg, ")
    assert_error(run("*.jpg"), 2, "*.jpg: no picture matches this pattern")
    assert_error(run(""), 2, "an empty name is not a picture")
    process = run("a.png", "--annotate", "")
    assert process.returncode == 2
    assert b"argument --annotate: the name is empty" in process.stderr
    save(tmp_path / "a.png")
    process = run("--json", "empty", "a.png")
    assert_error(process, 1, "empty: there are no pictures")
    assert len(results(process)) == 1


# What is wrong with a picture


def test_photos_of_a_folder_that_cannot_be_read_are_not_left_out_silently(
    run: Run, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    save(photos / "a.png")
    (photos / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    process = run("--json", "--cropped", "photos")
    assert_error(process, 1, "photos/IMG_1.HEIC: it is in the format HEIC", "convert it to JPEG")
    assert [result["image"] for result in results(process)] == ["photos/a.png"]


def test_bad_pictures_do_not_stop_the_good_ones(run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    photo = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "1.jpg").write_bytes(photo[: len(photo) // 2])
    (tmp_path / "2.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_text("no picture")
    (tmp_path / "4.png").write_bytes(png_header(30_000, 30_000))
    (tmp_path / "5.png").mkdir()
    (tmp_path / "5.png" / "6.png").write_bytes(save(tmp_path / "a.png").read_bytes()[:-30])
    process = run(
        "--json", "1.jpg", "2.jpg", "3.jpg", "4.png", "5.png", "7.jpg", "a.png/b.png", "a.png"
    )
    assert process.returncode == 1
    assert [result["image"] for result in results(process)] == ["a.png"]
    expected = [
        "1.jpg: the JPEG is cut off after",
        "2.jpg: it is empty (0 bytes)",
        "3.jpg: it holds text, not a picture",
        "4.png: 30000 x 30000 pixels are 900.0 megapixels, more than the 64.0 that are decoded",
        "5.png/6.png: the PNG is cut off",
        "7.jpg: there is no such file",
        "a.png/b.png: it cannot be read (Not a directory)",
    ]
    errors = lines(process.stderr)
    assert len(errors) == len(expected), errors
    for line, beginning in zip(errors, expected, strict=True):
        assert line.startswith(f"serenbox-detect: error: {beginning}")


def test_libraries_do_not_write_to_standard_error(run: Run, tmp_path: Path) -> None:
    """libpng warns of a wrong checksum, libjpeg of stray bytes, and OpenCV of both."""
    png = bytearray(save(tmp_path / "a.png").read_bytes())
    png[-20] ^= 0xFF
    (tmp_path / "a.png").write_bytes(png)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "b.jpg").write_bytes(jpeg[:20_000] + jpeg[40_000:])
    process = run("--json", "a.png", "b.jpg")
    assert_error(process, 1, "a.png: ", "cannot decode this PNG")
    assert len(results(process)) == 1


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", "naïve ☺.png".encode(), b"two\nlines\x1b\x07.png"]
)
def test_strange_names(run: Run, tmp_path: Path, name: bytes) -> None:
    content = save(tmp_path / "a.png").read_bytes()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(content)
    (result,) = results(run("--json", name))
    assert os.fsencode(result["image"]) == name
    for encoding in ("utf-8", "ascii"):
        process = run(name, PYTHONIOENCODING=encoding)
        assert (process.returncode, process.stderr) == (0, b"")
        assert len(lines(process.stdout)) == 1
        assert b"\x1b" not in process.stdout
    assert_error(run(b"missing-" + name), 1, "no such file")


# Exit codes and behaviour


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


def start(
    emotion_model: Path, *arguments: str | Path, stdout: int | IO[bytes] = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "--model", emotion_model, *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def test_results_come_one_by_one_and_interruption_is_quiet(
    emotion_model: Path, tmp_path: Path
) -> None:
    """The second picture never arrives, but the result of the first is there."""
    picture = save(tmp_path / "a.png")
    with start(emotion_model, "--json", picture, "-") as process:
        assert process.stdout
        assert process.stderr
        assert select.select([process.stdout], [], [], 60)[0], "nothing came"
        assert json.loads(process.stdout.readline())["image"] == str(picture)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""


@pytest.mark.parametrize("form", [["--json"], []])
def test_closed_pipe_is_quiet(emotion_model: Path, tmp_path: Path, form: list[str]) -> None:
    content = save(tmp_path / "0.png").read_bytes()
    for number in range(1, 40):
        (tmp_path / f"{number}.png").write_bytes(content)
    with start(emotion_model, *form, tmp_path) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("form", ["--json", "--cropped", "--help"])
def test_full_disk_behind_standard_output(emotion_model: Path, tmp_path: Path, form: str) -> None:
    picture = save(tmp_path / "a.png")
    with (
        Path("/dev/full").open("wb") as full,
        start(emotion_model, form, picture, stdout=full) as process,
    ):
        assert process.stderr
        (line,) = lines(process.stderr.read())
        assert "standard output: the results cannot be written (No space left on device)" in line
        assert process.wait(timeout=60) == 1


def terminal_output(arguments: Sequence[str | Path], cwd: Path, **extra: str) -> str:
    """Return what the tool shows at a terminal."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=its, stdout=its, stderr=its, cwd=cwd, env=environment(**extra)
    ) as process:
        os.close(its)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal is gone when the process has ended
            while part := os.read(ours, 4096):
                seen += part
        os.close(ours)
        assert process.wait(timeout=60) == 0 if "-" not in arguments else 2
    return seen.decode()


def test_color_and_progress_only_on_a_terminal(
    run: Run, emotion_model: Path, tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png")
    arguments = ("--model", emotion_model, "--cropped", "a.png", "b.png")
    colored = terminal_output(arguments, tmp_path)
    assert "\x1b[1mhappy\x1b[0m" in colored
    assert "[1/2] a.png" in colored
    assert colored.rindex("\x1b[K") > colored.index("[2/2] b.png"), "the progress is wiped away"
    plain = terminal_output(arguments, tmp_path, NO_COLOR="1")
    assert "\x1b[1m" not in plain
    assert "[2/2] b.png" in plain
    assert "\x1b" not in terminal_output(arguments, tmp_path, TERM="dumb")
    assert "[1/1]" not in terminal_output(arguments[:-1], tmp_path)
    process = run("--cropped", "a.png", "b.png")
    assert process.stderr == b""
    assert b"\x1b" not in process.stdout


def test_terminal_as_standard_input_is_wrong_usage(emotion_model: Path, tmp_path: Path) -> None:
    seen = terminal_output(("--model", emotion_model, "-"), tmp_path)
    assert "standard input is a terminal: pipe a picture into it" in seen


# The table


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


# Annotated pictures


def test_annotate(run: Run, tmp_path: Path) -> None:
    for folder, level in (("one", 250), ("two", 5)):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "face.png", level, (500, 500))
    cv2.imwrite(str(tmp_path / "scan.pgm"), np.full((500, 500), 250, np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.p*")}
    arguments = ("--json", "--cropped", "--annotate", "out/new", "one", "two", "scan.pgm")
    process = run(*arguments)
    assert (process.returncode, process.stderr) == (0, b"")
    written = [result["annotated"] for result in results(process)]
    assert written == ["out/new/face.png", "out/new/face-2.png", "out/new/scan.png"]
    assert sorted(path.name for path in (tmp_path / "out/new").iterdir()) == [
        "face-2.png",
        "face.png",
        "scan.png",
    ]
    happy, sad = (cv2.imread(str(tmp_path / name)) for name in written[:2])
    assert happy is not None
    assert sad is not None
    assert tuple(happy[250, 0]) == (66, 228, 240)
    assert tuple(sad[250, 0]) == (178, 114, 0)
    assert {path: path.read_bytes() for path in before} == before

    assert results(run(*arguments))[0]["annotated"] == "out/new/face-3.png", "nothing is replaced"


def test_annotate_beside_a_link_to_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    process = run("--annotate", "out", "loop.jpg")
    assert process.returncode == 1
    assert b"loop.jpg: " in process.stderr
    assert b"bug in SerenBox" not in process.stderr


def test_annotate_into_the_folder_of_the_inputs(run: Run, tmp_path: Path) -> None:
    original = save(tmp_path / "a.jpg").read_bytes()
    process = run("--annotate", ".", "a.jpg")
    assert lines(process.stdout)[-1] == "  annotated: a-2.jpg"
    assert (tmp_path / "a.jpg").read_bytes() == original
    process = run("--json", "--annotate", "below", ".")
    assert [result["image"] for result in results(process)] == ["a-2.jpg", "a.jpg"]
    process = run("--json", "--annotate", "below", ".")
    assert [result["image"] for result in results(process)] == ["a-2.jpg", "a.jpg"]


def test_annotate_standard_input(run: Run, tmp_path: Path) -> None:
    content = save(tmp_path / "a.jpg").read_bytes()
    (result,) = results(run("--json", "--annotate", "out", "-", stdin=content))
    assert result["annotated"] == "out/stdin.png"


def test_output_folder_is_checked_before_the_work(run: Run, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for folder in ("a.png", "a.png/out", "/proc/out"):
        process = run("--json", "--annotate", folder, "a.png")
        assert_error(process, 2, f"{folder}: annotated pictures cannot be written there")
        assert process.stdout == b""


def test_full_disk_under_annotated_pictures(run: Run, tmp_path: Path) -> None:
    """A limit on file sizes makes a write fail half-way, as a full disk does."""
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)
    save(tmp_path / "small.png")
    limited = ("bash", "-c", 'ulimit -f 20; exec "$@"', "bash", *COMMAND)
    process = run("--json", "--annotate", "out", "large.png", "small.png", command=limited)
    assert_error(process, 1, "out/large.png: it cannot be written (File too large)")
    large, small = results(process)
    assert "annotated" not in large
    assert small["annotated"] == "out/small.png"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.png"]
