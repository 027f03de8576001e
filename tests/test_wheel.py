"""The wheel as a stranger gets it: built from the tree, installed into an empty environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LARGEST_WHEEL = 5_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_is_light_and_holds_the_device_only(wheel: Path) -> None:
    assert wheel.stat().st_size <= LARGEST_WHEEL
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"serenbox"}
    for name in ("emotion.tflite", "face_detection_short_range.tflite", "NOTICE"):
        assert f"serenbox/models/{name}" in names


def test_wheel_works_in_an_empty_environment(
    wheel: Path, portrait_file: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([binaries / "pip", "install", "--quiet", str(wheel)], check=True)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [binaries / "serenbox-detect", "--json", str(portrait_file)],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
        env=environment,
    )

    (face,) = json.loads(done.stdout)["faces"]
    assert face["emotion"] == "happy"
    listed = subprocess.run(
        [binaries / "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    )
    installed = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert installed.isdisjoint({"tensorflow", "keras", "torch", "jax"})
