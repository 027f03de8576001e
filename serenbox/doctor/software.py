"""Checks of what is installed: Python, the settings, the models and their runtime."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.doctor.files import is_hidden
from serenbox.doctor.mending import edit_settings, install_again
from serenbox.doctor.result import Result
from serenbox.doctor.roots import SERVICE_USER
from serenbox.errors import ModelError, RuntimeUnavailableError, SettingsError, reason_of
from serenbox.models import EMOTION_MODEL, FACE_MODEL, FACE_MODEL_SHA256
from serenbox.settings import Settings, find_settings_file, load_settings

if TYPE_CHECKING:
    from serenbox.doctor.roots import Person

OLDEST_PYTHON = (3, 11)


def check_python(found: tuple[int, ...] = sys.version_info[:3]) -> Result:
    """Check that Python is new enough."""
    text = ".".join(map(str, found))
    if found[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Result("python", "fail", f"{text}, and {wanted} is needed", "sudo apt full-upgrade")
    return Result("python", "ok", f"{text} on {platform.machine()}, {sys.executable}")


def check_settings(explicit: Path | None, person: Person) -> tuple[list[Result], Settings | None]:
    """Read the configuration; return the results, and the settings or None if they are wrong.

    Args:
        explicit: The configuration that was asked for; the usual one if None.
        person: Who is to read it. If another user asks, that user's own does not count.

    """
    path = find_settings_file(explicit, own=person.is_asking())
    if path is None:
        return [Result("settings", "ok", "no file, so the defaults apply")], Settings()
    try:
        settings = load_settings(path)
    except SettingsError as error:
        mend = _mend(error, path, explicit) or edit_settings(explicit, person)
        return [Result("settings", "fail", each, mend) for each in error.problems], None
    closed = None if explicit or person.is_asking() else _closed(path, person)
    return [closed or Result("settings", "ok", os.fspath(path))], settings


def check_emotion_model(path: Path, edit: str = "") -> Result:
    """Check that the emotion model is whole and, if it is a shipped one, as it was installed.

    Args:
        path: The model.
        edit: The command that changes the configuration.

    """
    from serenbox.model_file import load_model_file

    name = "emotion model"
    try:
        content, metadata = load_model_file(path)
    except ModelError as error:
        mend = install_again() if path == EMOTION_MODEL else edit
        return Result(name, "fail", str(error), mend)
    digest = hashlib.sha256(content).hexdigest()
    seen = f"{metadata.name} {metadata.version}, {len(metadata.labels)} labels, sha256 {digest}"
    wanted = recorded_sha256(path)
    if wanted is not None and wanted != digest:
        return Result(name, "warn", f"{seen}, but {wanted} was installed", install_again())
    return Result(name, "ok", seen)


def check_face_model(path: Path = FACE_MODEL) -> Result:
    """Check that the face finder's model is there and is the known file."""
    name = "face model"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return Result(name, "fail", f"{path}: {reason_of(error)}", install_again())
    if digest != FACE_MODEL_SHA256:
        seen = f"{path} is damaged: its sha256 is {digest}"
        return Result(name, "fail", seen, f"sudo rm {shlex.quote(str(path))} && {install_again()}")
    return Result(name, "ok", f"{path.name}, sha256 {digest}")


def check_runtime(path: Path, settings: Settings, edit: str = "") -> Result:
    """Open the emotion model with the runtime that the settings name.

    Args:
        path: The model.
        settings: The configuration.
        edit: The command that changes it.

    """
    from serenbox.classifier import EmotionClassifier

    sensing = settings.sensing
    try:
        model = EmotionClassifier(path, threads=sensing.threads, runtime=sensing.runtime)
    except RuntimeUnavailableError as error:
        if sensing.runtime != "auto":
            seen = f'{error}; or set sensing.runtime = "auto", to take what is installed'
            return Result("runtime", "fail", seen, edit)
        # The package says which runtime there is for this machine.
        return Result("runtime", "fail", str(error), install_again())
    except ModelError as error:
        mend = install_again() if path == EMOTION_MODEL else edit
        return Result("runtime", "fail", str(error), mend)
    return Result("runtime", "ok", f"{model.runtime} {_version(model.runtime)} opens the model")


def recorded_sha256(path: Path) -> str | None:
    """Return the checksum that the installed package records for one of its files; None for others.

    It is in RECORD, as url-safe base64 without padding
    (https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
    """
    try:
        files = distribution("serenbox").files or []
    except PackageNotFoundError:
        return None
    for file in files:
        if file.name == path.name and Path(str(file.locate())) == path and file.hash:
            return base64.urlsafe_b64decode(f"{file.hash.value}=").hex()
    return None


def _mend(error: SettingsError, path: Path, explicit: Path | None) -> str:
    """Return the command to use on a configuration that no editor would open; else nothing."""
    name = shlex.quote(os.fspath(path))
    if isinstance(error.__cause__, IsADirectoryError):
        return f"ls -l {name}"
    if isinstance(error.__cause__, PermissionError):
        return f"sudo serenbox check --config {name}" if explicit else "sudo serenbox check"
    return ""


def _closed(path: Path, person: Person) -> Result | None:
    """Return a failure if a person may not read a configuration, else None."""
    if is_hidden(path, person):
        real = os.path.realpath(path)
        seen = f"{path} leads to {real}, which is in a folder that the service cannot see"
        # Takes the place of the link. Not for everybody, as below.
        copy = f"install -g {SERVICE_USER} -m 640 {shlex.quote(real)} {shlex.quote(str(path))}"
        return Result("settings", "fail", seen, f"sudo {copy}")
    closed = person.closed(path, 4)
    if closed is None:
        return None
    seen = f"{person.name} may not read {path}: {closed} is closed to that user"
    name = shlex.quote(str(closed))
    if closed.is_dir():
        return Result("settings", "fail", seen, f"sudo chmod a+rx {name}")
    # Not to everybody: the file may hold the login of a camera.
    mend = f"sudo chgrp {SERVICE_USER} {name} && sudo chmod g+r {name}"
    return Result("settings", "fail", seen, mend)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
