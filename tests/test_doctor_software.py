"""The checks of Python, models and runtime behind `serenbox check`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from serenbox.doctor import software
from serenbox.installed import install_command
from serenbox.model_file import append_metadata, load_model_file
from serenbox.models import EMOTION_MODEL, FACE_MODEL
from serenbox.settings import Settings
from serenbox.settings.schema import SensingSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from serenbox.model_metadata import ModelMetadata


INSTALL_AGAIN = f"{install_command()}  # in SerenBox's checkout"


def test_python_must_be_new_enough() -> None:
    assert software.check_python().state == "ok"
    assert software.check_python((3, 11, 0)).state == "ok"
    old = software.check_python((3, 10, 12))
    assert (old.state, old.seen) == ("fail", "3.10.12, and 3.11 is needed")
    assert old.mend


def test_shipped_models_are_whole_and_open(face_model: Path) -> None:
    digest = subprocess.run(
        ["sha256sum", EMOTION_MODEL], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    result = software.check_emotion_model(EMOTION_MODEL)
    assert result.state == "ok"
    assert digest in result.seen
    assert software.check_face_model(face_model).state == "ok"
    runtime = software.check_runtime(EMOTION_MODEL, Settings())
    assert runtime.state == "ok"
    assert "opens the model" in runtime.seen


def test_a_model_of_other_emotions_fails(tmp_path: Path, metadata: ModelMetadata) -> None:
    """The file is undamaged, but the service would not start with it."""
    labels = ("anger", *metadata.labels[1:])
    scores = metadata.scores._replace(
        thresholds=dict(zip(labels, metadata.scores.thresholds.values(), strict=True))
    )
    model, _ = load_model_file(EMOTION_MODEL)
    other = tmp_path / "other.tflite"
    changed = metadata._replace(labels=labels, scores=scores)
    other.write_bytes(append_metadata(model, changed))
    assert software.check_emotion_model(other).state == "ok"
    result = software.check_runtime(other, Settings(), "editor my.toml")
    assert result.state == "fail"
    assert result.mend == "editor my.toml"


def test_damaged_and_missing_models_fail(tmp_path: Path) -> None:
    content = bytearray(EMOTION_MODEL.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "emotion.tflite"
    damaged.write_bytes(content)
    result = software.check_emotion_model(damaged)
    assert result.state == "fail"
    assert "checksum" in result.seen
    missing = tmp_path / "missing.tflite"
    assert software.check_emotion_model(missing).state == "fail"
    assert software.check_runtime(missing, Settings()).state == "fail"
    # The script for the service would leave another environment as it is.
    assert software.check_face_model(missing).mend == INSTALL_AGAIN


def test_damaged_face_model_is_told_by_its_checksum(face_model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / FACE_MODEL.name
    damaged.write_bytes(face_model.read_bytes()[:-1] + b"\0\0")
    result = software.check_face_model(damaged)
    assert result.state == "fail"
    assert "damaged" in result.seen
    assert result.mend == f"sudo rm {damaged} && {INSTALL_AGAIN}"


def test_missing_runtime_fails_with_the_command_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    settings = Settings(sensing=SensingSettings(runtime="tflite-runtime"))
    named = software.check_runtime(EMOTION_MODEL, settings, "editor my.toml")
    assert (named.state, named.mend) == ("fail", "editor my.toml")
    assert 'set sensing.runtime = "auto"' in named.seen
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    none = software.check_runtime(EMOTION_MODEL, Settings(), "editor my.toml")
    # Not a package by its name: 32-bit ARM has another one.
    assert (none.state, none.mend) == ("fail", INSTALL_AGAIN)


def test_checksum_of_an_installed_file_is_found_in_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "serenbox" / "models"
    package.mkdir(parents=True)
    model = package / "emotion.tflite"
    shutil.copy(EMOTION_MODEL, model)
    info = tmp_path / "serenbox-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: serenbox\nVersion: 9.9\n")
    # The checksum of an empty file.
    recorded = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    (info / "RECORD").write_text(f"serenbox/models/emotion.tflite,{recorded},0\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = software.check_emotion_model(model)
    assert result.state == "warn"
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert f"but {empty} was installed" in result.seen
    assert software.recorded_sha256(tmp_path / "other.tflite") is None
