"""`serenbox bench`, with real services, and with as little of everything as makes sense."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serenbox.bench import clip, parts
from serenbox.bench.figures import Figure, Report, as_json, as_table
from serenbox.bench.frames import STAGES, ratios
from serenbox.cli import bench
from serenbox.cli.bench import BenchTool, ended_in_order
from serenbox.cli.common import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from serenbox.face_finder import FaceFinder
from tests.daemon_process import wait_for
from tests.mosquitto import required_program

ROOT = Path(__file__).parent.parent


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = BenchTool().main(["--json", *arguments])
    printed = capsys.readouterr()
    assert not printed.err
    found: dict[str, Any] = json.loads(printed.out)
    return code, found


def test_frames(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, "--only", "frames", "--frames", "30")

    assert found["input"] == "a drawn face"
    latency = found["latency_ms"]
    assert [*STAGES] == list(latency)[: len(STAGES)]
    assert all(0 < ranks["p50"] <= ranks["p95"] <= ranks["p99"] for ranks in latency.values())
    assert set(found["figures"]) == {"latency_p50", "latency_p99"}
    well = all(figure["verdict"] == "ok" for figure in found["figures"].values())
    assert code == (EXIT_OK if well else EXIT_FAILED)
    assert found["ok"] == well


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_behind_when_it_is_ended(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "serenbox", "bench", "--only", "memory"]
    command = ["env", "--default-signal", *command]  # even if the tests ignore the signal
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as process:
        wait_for(lambda: list(tmp_path.glob("serenbox-bench-*/face.avi")), "the film it makes")
        process.send_signal(how)
        assert process.wait(60) == 128 + how
    assert list(tmp_path.iterdir()) == []


def test_an_end_that_is_swallowed_comes_again() -> None:
    def swallow_one() -> None:
        with ended_in_order():
            with contextlib.suppress(SystemExit):
                signal.raise_signal(signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(SystemExit) as ended:
        swallow_one()
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_stages_make_up_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = run(capsys, "--only", "frames", "--frames", "1")

    latency = {stage: ranks["p50"] for stage, ranks in found["latency_ms"].items()}
    parts = [latency[stage] for stage in STAGES[:-1]]
    assert sum(parts) == pytest.approx(latency["frame to event"], abs=0.01)
    bare = latency["bare face model"] + latency["bare emotion model"]
    assert bare == pytest.approx(latency["both bare"], abs=0.01)


def test_broker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    required_program("mosquitto")
    monkeypatch.setattr(parts, "_EVENTS", 5)

    _, found = run(capsys, "--only", "broker")

    figure = found["figures"]["publish_p50_ms"]
    assert figure["value"] == pytest.approx(found["latency_ms"]["publish to receive"]["p50"])
    assert figure["note"] == "5 events"


def test_no_broker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    code, found = run(capsys, "--only", "broker")

    figure = found["figures"]["publish_p50_ms"]
    assert code == EXIT_OK
    assert figure["verdict"] == "unknown"
    assert "apt install mosquitto" in figure["note"]


def test_memory_and_idle(capsys: pytest.CaptureFixture[str]) -> None:
    watching = ("--memory-seconds", "1", "--idle-seconds", "1")
    _, found = run(capsys, "--only", "memory", "--only", "idle", *watching)

    figures = found["figures"]
    assert 30 < figures["memory_mb"]["value"] < 500
    assert figures["memory_growth_mb"]["verdict"] == "unknown"  # a second is too short to tell
    # Linux counts in hundredths of a second, and so short a rest may take less than one.
    assert 0 <= figures["idle_percent"]["value"] < 100


def test_start(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = run(capsys, "--only", "start", "--starts", "1")

    figure = found["figures"]["start"]
    ours, bare = map(float, re.findall(r"([\d.]+) s", figure["note"]))
    assert figure["value"] == pytest.approx(ours / bare, rel=0.1)  # the note is rounded


def test_own_photo_as_a_table(capsys: pytest.CaptureFixture[str], portrait_file: Path) -> None:
    BenchTool().main(["--only", "frames", "--frames", "5", "--photo", str(portrait_file)])

    printed = capsys.readouterr()
    assert f"input: {portrait_file}" in printed.out
    assert "frame to event, p50" in printed.out
    assert not printed.err


def test_own_clip_without_a_face(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    film = tmp_path / "empty.avi"
    clip.write_clip(film, clip.empty_frames())

    code = BenchTool().main(["--only", "frames", "--frames", "5", "--input", str(film)])

    assert code == EXIT_USAGE
    assert "a face was found in only 0 of 5 frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "0"], "must be a whole number above 0, not '0'"),
        (["--starts", "many"], "must be a whole number above 0, not 'many'"),
        (["--idle-seconds", "nan"], "must be a number from 1, not 'nan'"),
        (["--only", "sound"], "invalid choice: 'sound'"),
        (["--photo", "a.jpg", "--input", "b.avi"], "not allowed with argument"),
        (["--input", "missing.avi"], "missing.avi: there is no such video: check the name"),
        (["--photo", "missing.jpg"], "missing.jpg"),
    ],
)
def test_wrong_calls(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert BenchTool().main(arguments) == EXIT_USAGE
    assert message in capsys.readouterr().err


def test_the_drawn_face_is_a_face() -> None:
    finder = FaceFinder()
    for frame in list(clip.face_frames(clip.drawn_face()))[::10]:
        (face,) = finder.find(frame)
        assert face.score > 0.7
    assert all(not finder.find(frame) for frame in list(clip.empty_frames())[::25])


def test_clip_of_any_picture() -> None:
    first = next(clip.face_frames(np.zeros((30, 1000, 3), np.uint8)))
    assert first.shape == (480, 640, 3)


def test_verdicts() -> None:
    def verdict(value: float | None) -> str:
        return Figure("start", "start", "x", 1.5, value).verdict

    assert [verdict(value) for value in (1.5, 1.51, None)] == ["ok", "over", "unknown"]


def test_report() -> None:
    report = Report({"input": "a\nclip"}, {"find": {50: 0.001, 99: 0.0025}})
    report.figures.append(Figure("memory_mb", "memory", "MB", 120.0, 93.456))
    assert report.well
    report.figures.append(Figure("start", "start to mood", "x", 1.5, 1.6, "0.6 s"))
    report.figures.append(Figure("idle", "idle", "%", 4.0, None, "only Linux reports it"))

    table = as_table(report).splitlines()
    assert table[0] == r"input: a\nclip"
    assert table[3].split() == ["find", "1.000", "2.500"]
    assert table[-3].split() == ["memory", "93.46", "MB", "120", "MB", "ok"]
    assert table[-2].split() == ["start", "to", "mood", "1.60", "x", "1.5", "x", "OVER", "0.6", "s"]
    assert "not measured" in table[-1]
    found = json.loads(as_json(report))
    assert found["ok"] is False
    assert found["latency_ms"] == {"find": {"p50": 1.0, "p99": 2.5}}
    assert found["figures"]["idle"]["value"] is None


def test_ratios() -> None:
    samples = {"both bare": [2.0, 2.0, 9.0], "frame to event": [2.0, 3.0, 8.0]}
    assert ratios(samples) == (1.5, 4.0)


def test_memory_growth() -> None:
    start = [(n, n / 10) for n in range(100)]  # growth at the start does not count
    flat = [(100 + 100 * n, 90.0 + n / 1000) for n in range(101)]
    growth, note = parts.memory_growth([*start, *flat])
    assert growth == pytest.approx(1.0)
    assert note == "over 10000 frames"
    assert parts.memory_growth(flat[:20])[0] is None


def test_every_part_is_known() -> None:
    assert tuple(parts.PARTS) == bench._PARTS
