"""The installer of the service for tests: as it is called, and its single steps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "systemd"
INSTALL = FOLDER / "install.sh"


def run_installer(*words: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("bash") or "bash", str(INSTALL), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path},
    )


def tools(folder: Path, **scripts: str) -> str:
    """Make a folder of programs in front of the machine's own, and return the search path."""
    folder.mkdir()
    for name, script in scripts.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


class Machine:
    """A folder in place of a machine's root, in which single steps of the installer are run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.etc = self.root / "etc" / "serenbox"
        self.drop_ins = self.root / "etc/systemd/system/serenbox.service.d"
        shutil.copytree(FOLDER, folder / "systemd")
        self._script = folder / "systemd" / "install.sh"
        functions, end, _ = self._script.read_text().partition("\nwheel=\n")
        assert end
        moved = re.sub(r"/(opt|etc|var|run|usr/local)/", rf"{self.root}/\1/", functions)
        (folder / "work").mkdir()
        self._script.write_text(f'{moved}\nwheel=\nwork={folder}/work\nlog={folder}/log\n"$@"\n')
        for path in (self.etc, self.drop_ins, self.root / "opt/serenbox/bin"):
            path.mkdir(parents=True)
        self.prefix = self.root / "opt/serenbox"
        (self.prefix / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
        self.write_tool("python", f"echo '{self.pip_version}'", self.prefix / "bin")
        self._folder = folder
        self._path = tools(
            folder / "bin",
            getent="exit 2",
            cp="for n in $(seq 40); do echo No space left on device; done >&2; exit 1",
        )

    @property
    def pip_version(self) -> str:
        """What pip of a sound virtual environment says."""
        return f"pip 25.0 from {self.prefix}/lib/python3.13/site-packages/pip (python 3.13)"

    def write_program(self, settings: str) -> None:
        """Install a program that prints these settings."""
        self.write_tool("serenbox", f"printf '{settings}'", self.prefix / "bin")

    def write_tool(self, name: str, script: str, folder: Path | None = None) -> None:
        """Write a shell script that stands in for a program of the machine."""
        program = (folder or self._folder / "bin") / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(
        self,
        *words: str,
        folder: Path | None = None,
        script: Path | None = None,
        variables: dict[str, str] | None = None,
        mounted: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a function of the script, or any command after its definitions.

        If something is to be mounted meanwhile, its files that are left are counted at the end.
        """
        command = [shutil.which("bash") or "bash", str(script or self._script), *words]
        if mounted is not None:
            steps = (
                f"mount -t tmpfs none {mounted} && touch {mounted}/paused || exit 9; "
                f'"$@"; code=$?; echo "left: $(ls {mounted} | wc -l)"; exit $code'
            )
            command = ["unshare", "--map-root-user", "--mount", "sh", "-c", steps, "sh", *command]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": self._path, **(variables or {})},
            cwd=folder,
        )
