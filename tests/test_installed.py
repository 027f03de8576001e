from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from serenbox.installed import INSTALL_AGAIN, SERVICE, how_to_install, install_command

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent


def test_an_environment_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/home/a b/bin/python")

    assert install_command() == "'/home/a b/bin/python' -m pip install ."
    assert install_command("web") == "'/home/a b/bin/python' -m pip install '.[web]'"
    assert how_to_install() == f"run `{install_command()}` in SerenBox's checkout"


def test_one_of_another_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "gone"))

    assert install_command() == f"sudo {shlex.quote(sys.executable)} -m pip install ."


def test_the_service_is_installed_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(SERVICE))

    assert install_command() == install_command("web") == INSTALL_AGAIN
    assert "-m pip install '.[server]'" in install_command("server"), "the script does not bring it"


def test_the_script_is_the_one_that_is_named() -> None:
    script = (ROOT / INSTALL_AGAIN.removeprefix("sudo ")).read_text("utf-8")

    assert f"readonly PREFIX={SERVICE}\n" in script
    assert '"${wheel}[web]"' in script


def test_nobody_is_told_to_install_it_by_name() -> None:
    """SerenBox is in no package index: a package of this name there would be somebody else's."""
    by_name = re.compile(r"pip install[^`\n]*[ '\"]serenbox\b(?!-venv)")
    places = [*ROOT.glob("serenbox/**/*.py"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]

    assert not [str(path) for path in places if by_name.search(path.read_text("utf-8"))]
