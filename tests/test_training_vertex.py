"""Vertex AI: the job it would be given, and the code that it would install."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import fer2013
from training.vertex import job

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
VERTEX = ROOT / "training" / "vertex"
NEEDED = [
    *("--package", "gs://a-bucket/code/serenbox_training-0.1.0.tar.gz"),
    *("--data", "gs://a-bucket/fer2013.csv", "--output", "gs://a-bucket/runs/first"),
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the few programs that the scripts call, and no gcloud."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("basename", "cat", "dirname", "git", "mktemp", "rm"):
        if program := shutil.which(name):
            (folder / name).symlink_to(program)
    return folder


def run(script: str, tools: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script with only the programs in `tools` and without the name of any project."""
    return subprocess.run(
        [VERTEX / script, *options],
        env={"PATH": str(tools), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


def described(capsys: pytest.CaptureFixture[str], *options: str, **variables: str) -> Any:  # noqa: ANN401
    """The job that these options describe."""
    assert job.main(["--dry-run", *options], variables) == 0
    return json.loads(capsys.readouterr().out)


EVERYTHING = [
    *NEEDED,
    *("--ferplus", "gs://a-bucket/fer2013new.csv", "--machines", "3", "--spot"),
    *("--accelerator", "NVIDIA_L4:2", "--machine", "g2-standard-24", "--max-hours", "5"),
    *("--service-account", "trainer@some-project.iam.gserviceaccount.com"),
    *("--pip", "jax[cuda12]", "--env", "KERAS_BACKEND=jax", "--", "--epochs", "3"),
]


@pytest.mark.parametrize("options", [NEEDED, EVERYTHING])
def test_google_knows_every_field_of_the_job(
    capsys: pytest.CaptureFixture[str], options: Sequence[str]
) -> None:
    from google.cloud.aiplatform_v1 import types  # takes a second; only this test needs it
    from google.protobuf import json_format

    spec = types.CustomJobSpec()
    description = described(capsys, *options)
    json_format.ParseDict(description, types.CustomJobSpec.pb(spec), ignore_unknown_fields=False)

    pool = spec.worker_pool_specs[0]
    assert pool.replica_count == 1
    assert pool.container_spec.command[0] == "sh"
    assert spec.scheduling.timeout.total_seconds() == 3600 * (5 if "5" in options else 24)
    assert spec.base_output_directory.output_uri_prefix == "gs://a-bucket/runs/first"
    with pytest.raises(json_format.ParseError, match="unheard"):
        json_format.ParseDict(description | {"unheard": 1}, types.CustomJobSpec.pb(spec))


def test_everything_that_is_asked_for_stands_in_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    spec = described(capsys, *EVERYTHING)

    assert [pool["replicaCount"] for pool in spec["workerPoolSpecs"]] == [1, 2]
    for pool in spec["workerPoolSpecs"]:
        assert pool["machineSpec"] == {
            "machineType": "g2-standard-24",
            "acceleratorType": "NVIDIA_L4",
            "acceleratorCount": 2,
        }
        container = pool["containerSpec"]
        assert container["command"][-1] == "/gcs/a-bucket/code/serenbox_training-0.1.0.tar.gz"
        assert "'jax[cuda12]'" in container["command"][2]
        assert container["args"][-2:] == ["--epochs", "3"]
        assert container["env"] == [{"name": "KERAS_BACKEND", "value": "jax"}]
    assert spec["scheduling"]["restartJobOnWorkerRestart"] is True
    assert spec["scheduling"]["strategy"] == "SPOT"
    assert spec["serviceAccount"].startswith("trainer@")


def test_variables_stand_for_options_and_options_win(capsys: pytest.CaptureFixture[str]) -> None:
    variables = {
        "VERTEX_PACKAGE": "gs://a-bucket/other.tar.gz",
        "VERTEX_DATA": "gs://a-bucket/other.csv",
        "VERTEX_OUTPUT": "gs://a-bucket/other",
        "VERTEX_MACHINE": "c3-standard-8",
        "VERTEX_MAX_HOURS": "2",
    }

    spec = described(capsys, "--machine", "n2-standard-4", **variables)

    pool = spec["workerPoolSpecs"][0]
    assert pool["machineSpec"]["machineType"] == "n2-standard-4"
    assert pool["containerSpec"]["args"][:2] == ["--data", "gs://a-bucket/other.csv"]
    assert spec["scheduling"]["timeout"] == "7200s"


def test_a_dry_run_needs_no_gcloud_and_a_submission_says_that_it_does(tools: Path) -> None:
    dry = run("train.sh", tools, "--dry-run", *NEEDED)
    real = run("train.sh", tools, "--region", "europe-west1", *NEEDED)

    assert dry.returncode == 0, dry.stderr
    assert json.loads(dry.stdout)["workerPoolSpecs"]
    assert real.returncode == 1
    assert "gcloud is not installed" in real.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "missing: --package (or $VERTEX_PACKAGE), --data (or $VERTEX_DATA), --output"),
        (NEEDED, "missing: --region (or $VERTEX_REGION)"),
        (["--dry-run", *NEEDED, "--data", "fer.csv"], "--data is 'fer.csv', not like gs://BUCKET"),
        (["--dry-run", *NEEDED, "--machines", "0"], "--machines is '0', not a whole number"),
        (["--dry-run", *NEEDED, "--accelerator", "L4:"], "--accelerator is 'L4:', not like"),
        (["--dry-run", *NEEDED, "--env", "=1"], "--env is '=1', not like NAME=VALUE"),
        # As an unset variable of a shell leaves them.
        (["--dry-run", *NEEDED, "--machines", ""], "--machines is '', not a whole number"),
        (["--dry-run", *NEEDED, "--max-hours", ""], "--max-hours is '', not a whole number"),
        (["--dry-run", *NEEDED, "--machine", ""], "--machine is '', not one word"),
        (["--dry-run", *NEEDED, "--image", ""], "--image is '', not one word"),
        (["--dry-run", *NEEDED, "--env", ""], "--env is '', not like NAME=VALUE"),
        (["--dry-run", *NEEDED, "--nowhere"], "nowhere"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as end:
        job.main(options, {})

    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_gcloud_gets_the_job(tools: Path, tmp_path: Path) -> None:
    # The real gcloud needs an account; this one only prints what it is given.
    shutil.copytree(tools, tmp_path, symlinks=True, dirs_exist_ok=True)
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\ncat "${4#--config=}"\nexit 7\n')
    gcloud.chmod(0o755)
    options = [*NEEDED, "--region", "europe-west1", "--project", "some-project", "--name", "mine"]

    done = run("train.sh", tmp_path, *options)

    assert done.returncode == 7
    lines = done.stdout.splitlines()
    assert lines[:3] == ["ai", "custom-jobs", "create"]
    assert {"--region=europe-west1", "--project=some-project", "--display-name=mine"} < set(lines)
    assert json.loads(done.stdout[done.stdout.index("{") :])["workerPoolSpecs"]


@pytest.fixture(scope="module")
def package(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What setup.sh makes."""
    folder = tmp_path_factory.mktemp("package") / "new"
    done = run("setup.sh", tools, folder)
    assert done.returncode == 0, done.stderr
    assert [str(path) for path in folder.iterdir()] == [done.stdout.strip()]
    return Path(done.stdout.strip())


def test_setup_says_what_it_wants(tools: Path) -> None:
    nothing, bucket = run("setup.sh", tools), run("setup.sh", tools, "gs://a-bucket/code")

    assert (nothing.returncode, bucket.returncode) == (2, 1)
    assert "usage:" in nothing.stderr
    assert "gcloud is not installed" in bucket.stderr


def test_setup_uploads_to_a_bucket(tools: Path, tmp_path: Path) -> None:
    shutil.copytree(tools, tmp_path, symlinks=True, dirs_exist_ok=True)
    gcloud = tmp_path / "gcloud"
    gcloud.write_text('#!/bin/sh\necho "$@" >&2\n[ -s "$3" ]\n')
    gcloud.chmod(0o755)

    done = run("setup.sh", tmp_path, "gs://a-bucket/code/")

    assert done.returncode == 0, done.stderr
    address = done.stdout.strip()
    assert re.fullmatch(r"gs://a-bucket/code/serenbox_training-[\d.]+\.tar\.gz", address)
    assert "storage cp" in done.stderr
    assert "gs://a-bucket/code/\n" in done.stderr


def test_the_package_names_all_it_needs_and_holds_code_only(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = archive.getnames()
        about = next(name for name in names if name.count("/") == 1 and name.endswith("PKG-INFO"))
        member = archive.extractfile(about)
        assert member is not None
        metadata = member.read().decode()

    needs = re.findall(r"^Requires-Dist: ([\w-]+)", metadata, re.MULTILINE)
    assert {"tensorflow", "keras", "jax", "numpy", "matplotlib", "ai-edge-litert"} <= set(needs)
    assert not [name for name in names if name.endswith((".keras", ".tflite", ".csv", ".ipynb"))]
    assert any(name.endswith("training/cluster.py") for name in names)


@pytest.fixture(scope="module")
def elsewhere(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the package, but nothing of this checkout.

    Its dependencies come from the environment of the tests, because TensorFlow is large.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "lib" / version / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(site), str(package)]
    subprocess.run(command, check=True, capture_output=True)
    # The .pth files in the lent folder, such as that of this checkout, are not run.
    (site / "lent.pth").write_text(str(Path(pytest.__file__).parent.parent) + "\n")
    return python


def run_the_job(python: Path, folder: Path, spec: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
    """Run the command of a job as Vertex AI would, but for the installation and the bucket."""
    container = spec["workerPoolSpecs"][0]["containerSpec"]
    script = container["command"][2].rpartition("exec python ")[2]
    arguments = [word.replace("gs://a-bucket", str(folder)) for word in container["args"]]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        ["sh", "-c", f"exec {python} {script}", container["command"][3], *arguments],
        cwd=folder,
        env=environment | {"AIP_MODEL_DIR": str(folder / "run"), "XDG_CACHE_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_package_trains_where_nothing_else_is(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fer2013.csv").write_text(fer2013.csv_text())
    small = "--backbone mobilenet_v1 --weights none --alpha 0.1"
    small += " --size 32 --small-epochs 0 --epochs 1"
    spec = described(capsys, *NEEDED, "--", *small.split())

    where = subprocess.run(
        [elsewhere, "-c", "import serenbox, training; print(serenbox.__file__, training.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    first = run_the_job(elsewhere, tmp_path, spec)
    again = run_the_job(elsewhere, tmp_path, spec)

    assert str(ROOT) not in where.stdout
    assert first.returncode == 0, first.stderr
    run = tmp_path / "run"
    record = json.loads((run / "run.json").read_text())
    if shutil.which("git") and (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", record["commit"])
    assert {"model.keras", "history.csv", "curves.png"} <= {path.name for path in run.iterdir()}
    assert again.returncode == 0, again.stderr
    assert "already holds the finished model" in again.stdout


def test_the_scripts_are_good_shell() -> None:
    if shutil.which("shellcheck") is None and os.environ.get("SERENBOX_REQUIRE_ALL") != "1":
        pytest.skip("shellcheck is not installed: apt install shellcheck")
    scripts = sorted(VERTEX.glob("*.sh"))
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)

    assert len(scripts) == 2
    assert (done.returncode, done.stdout) == (0, "")
