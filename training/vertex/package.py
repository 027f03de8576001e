"""Pack `training` and `serenbox`, parts of which it uses, as a source distribution.

Their dependencies are read from the project's own pyproject.toml, so they are listed only once.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from serenbox.errors import reason_of
from training.commit import PACKED, git_commit
from training.quiet import quiet

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "serenbox-training"
OLDEST_SETUPTOOLS = 77
"""The first version that supports SPDX licence expressions (PEP 639)."""
EXTRAS = ("training", "cluster")
"""The project's extras that the training needs."""


def main() -> int:
    """Pack into the folder named on the command line and print the path of the result."""
    try:
        print(pack(Path(sys.argv[1])))
    except ImportError:
        needed = f"setuptools>={OLDEST_SETUPTOOLS}"
        print(f"setup.sh: {needed} is needed: run `pip install '{needed}'`", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"setup.sh: {sys.argv[1]} cannot be written: {reason_of(error)}", file=sys.stderr)
        return 1
    return 0


def pack(folder: Path) -> Path:
    """Build a source distribution in `folder`, which is created if missing.

    Returns:
        Its path.

    Raises:
        ImportError: setuptools is not installed, or too old.
        OSError: it cannot be written.

    """
    import setuptools
    from setuptools import build_meta

    if int(setuptools.__version__.partition(".")[0]) < OLDEST_SETUPTOOLS:
        raise ImportError(setuptools.__version__)
    target = folder.resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        lay_out(stage)
        with contextlib.chdir(stage), quiet():
            file: str = build_meta.build_sdist(str(target))
    return target / file


def lay_out(stage: Path) -> None:
    """Copy the code into the folder `stage` and describe it there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    code = [*project["tool"]["setuptools"]["packages"], "training"]
    for package in code:
        source = ROOT / package.replace(".", "/")
        shutil.copytree(source, stage / source.relative_to(ROOT), ignore=_all_but_code)
    for name in project["project"]["license-files"]:
        shutil.copy(ROOT / name, stage)
    (stage / "training" / PACKED).write_text(f"{git_commit() or ''}\n", "ascii")
    (stage / "pyproject.toml").write_text(_describe(project["project"], code), "utf-8")


def _all_but_code(_: str, names: list[str]) -> list[str]:
    """List what `copytree` must skip: all but modules; subpackages are copied one by one."""
    return [name for name in names if not name.endswith((".py", ".typed"))]


def _describe(project: dict[str, Any], code: list[str]) -> str:
    """Return the text of a pyproject.toml; JSON strings and lists are valid TOML."""
    extras = project["optional-dependencies"]
    needs = [*project["dependencies"], *(need for extra in EXTRAS for need in extras[extra])]
    fields = {
        "name": NAME,
        "version": project["version"],
        "description": "The training of SerenBox, packed to run elsewhere",
        "requires-python": project["requires-python"],
        "license": project["license"],
        "license-files": project["license-files"],
        "dependencies": needs,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(
        [
            "[build-system]",
            f'requires = ["setuptools>={OLDEST_SETUPTOOLS}"]',
            'build-backend = "setuptools.build_meta"',
            "[project]",
            *lines,
            "[tool.setuptools]",
            f"packages = {json.dumps(code)}",
            "[tool.setuptools.package-data]",
            f'training = ["{PACKED}"]',
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
