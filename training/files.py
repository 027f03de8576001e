"""Write files so that nobody ever finds a half-written one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from serenbox.errors import reason_of
from training.errors import RunError

CHECKPOINT = "checkpoint.npz"
"""The state of a run after its last whole epoch, in its folder."""
MODEL = "model.keras"
"""The network of a finished run."""
RECORD = "run.json"
"""How that network was made; the last file that a run writes."""

_PART = ".part-"
"""How the names of the folders begin in which files are written."""

BUCKETS = Path("/gcs")
"""Where Vertex AI mounts Cloud Storage: gs://BUCKET is BUCKETS/BUCKET."""


def local_path(text: str) -> Path:
    """Return the local path of a file or folder, which may be given as a gs:// address.

    Raises:
        RunError: it is in Cloud Storage, which is not mounted here.

    """
    if not text.startswith("gs://"):
        return Path(text)
    if not BUCKETS.is_dir():
        msg = (
            f"{text} is in Cloud Storage, which is mounted at {BUCKETS} only on Vertex AI: "
            "give a path on this machine"
        )
        raise RunError(msg)
    return BUCKETS / text.removeprefix("gs://")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step: a reader sees the old or the new, never a part.

    This holds on Cloud Storage mounted with FUSE, too: what is written in one go and then closed
    becomes a whole object, and a rename copies the object before it deletes the original.

    Raises:
        RunError: it cannot be written there.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=_PART) as folder:
            temporary = Path(folder) / path.name
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise _refused(path, error) from error


def check_writable(folder: Path) -> None:
    """Make sure, before long work, that files can be written into a folder, which may be missing.

    Raises:
        RunError: They cannot.

    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryDirectory(dir=there, prefix=_PART):
            pass
    except OSError as error:
        raise _refused(folder, error) from error


def _refused(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} cannot be written: {reason_of(error)}; choose another folder or make room"
    )


def remove_parts(folder: Path) -> None:
    """Remove what a killed run has left half-written in its folder, to which nobody else writes."""
    for part in folder.glob(f"{_PART}*"):
        shutil.rmtree(part, ignore_errors=True)
