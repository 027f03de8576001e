"""Describe a custom job of Vertex AI that runs `python -m training fit`, and submit it.

The description is the CustomJobSpec of
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec. Only the standard library
and the program `gcloud` are used, and `gcloud` only to submit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = "train.sh"

IMAGE = "python:3.13-slim-trixie"
"""From Docker Hub: Vertex AI's own TensorFlow images have Python 3.10, which is too old."""

_EPILOG = """\
Options with one value can also be variables: VERTEX_PACKAGE, VERTEX_DATA, VERTEX_MAX_HOURS and so
on; an option on the command line wins. Options of `python -m training fit` follow after a --:

  train.sh --region europe-west1 --package gs://bucket/code/serenbox_training-0.1.0.tar.gz \\
    --data gs://bucket/fer2013.csv --output gs://bucket/runs/first -- --epochs 20
"""


def main(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """Submit a job, or print it with --dry-run.

    Returns:
        The exit code: 0 done, 1 gcloud is not installed, 2 wrong usage, else that of gcloud.

    """
    parser = _parser(os.environ if environment is None else environment)
    options = parser.parse_args(arguments)
    _check(parser, options)
    description = json.dumps(job_spec(options), indent=2)
    if options.dry_run:
        try:
            print(description, flush=True)
        except BrokenPipeError:  # the reader has closed the pipe; Python would complain at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if shutil.which("gcloud") is None:
        print(
            f"{PROGRAM}: error: gcloud is not installed (https://cloud.google.com/sdk/docs/install);"
            " --dry-run shows the job without it",
            file=sys.stderr,
        )
        return 1
    return _submit(description, options)


def job_spec(options: argparse.Namespace) -> dict[str, Any]:
    """Return the CustomJobSpec, in the JSON form of Google's API.

    The first pool holds only the chief, the second the other machines, as `TF_CONFIG` groups them.
    """
    machine: dict[str, Any] = {"machineType": options.machine}
    if options.accelerator:
        kind, _, count = options.accelerator.partition(":")
        machine |= {"acceleratorType": kind, "acceleratorCount": int(count or 1)}
    pool = {
        "machineSpec": machine,
        "replicaCount": 1,
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
        "containerSpec": _container(options),
    }
    pools = [pool]
    if options.machines > 1:
        pools.append(pool | {"replicaCount": options.machines - 1})
    spec: dict[str, Any] = {
        "workerPoolSpecs": pools,
        "scheduling": {
            "timeout": f"{options.max_hours * 3600}s",
            "strategy": "SPOT" if options.spot else "STANDARD",
            # If one machine is lost, the others cannot continue: all restart from the checkpoint.
            "restartJobOnWorkerRestart": options.machines > 1,
        },
        "baseOutputDirectory": {"outputUriPrefix": options.output},
    }
    if options.service_account:
        spec["serviceAccount"] = options.service_account
    return spec


def _container(options: argparse.Namespace) -> dict[str, Any]:
    install = "python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore"
    more = "".join(f" {shlex.quote(requirement)}" for requirement in options.pip)
    # With exec, the training itself receives the signal that announces preemption.
    script = f'{install} "$0"{more} && exec python -m training fit "$@"'
    data = ["--data", options.data]
    if options.ferplus:
        data += ["--ferplus", options.ferplus]
    container: dict[str, Any] = {
        "imageUri": options.image,
        "command": ["sh", "-c", script, options.package.replace("gs://", "/gcs/", 1)],
        "args": [*data, "--resume=auto", *options.fit],
    }
    if options.env:
        container["env"] = [
            dict(zip(("name", "value"), pair.split("=", 1), strict=True)) for pair in options.env
        ]
    return container


def _submit(description: str, options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "job.json")  # gcloud expects YAML, which JSON is, too
        config.write_text(description, "utf-8")
        command = ["gcloud", "ai", "custom-jobs", "create", f"--config={config}"]
        command += [f"--region={options.region}", f"--display-name={options.name}"]
        if options.project:
            command.append(f"--project={options.project}")
        return subprocess.run(command, check=False).returncode  # noqa: S603 - a fixed program


_OPTIONS: tuple[tuple[str, str | None, str], ...] = (
    ("package", None, "gs:// address of what setup.sh packed"),
    ("data", None, "gs:// address of fer2013.csv, plain, .gz or .xz"),
    ("ferplus", "", "gs:// address of FER+'s votes, if they are to be learnt"),
    ("output", None, "gs:// address of a folder; the run goes to model/ in it"),
    ("region", "", "where it runs, such as europe-west1; needed to submit"),
    ("project", "", "Google Cloud project (default: gcloud's own)"),
    ("name", "serenbox-training", "what the job is called"),
    ("image", IMAGE, "container image with Python 3.11 or newer"),
    ("machine", "n2-standard-8", "machine type"),
    ("machines", "1", "how many machines train together"),
    ("accelerator", "", "TYPE or TYPE:COUNT per machine, such as NVIDIA_L4:1"),
    ("max-hours", "24", "end the job after this many hours"),
    ("service-account", "", "account the job runs as (default: Vertex AI's own)"),
)
"""Name, default (None: required) and help of each option that is also an environment variable."""

_ADDRESS = (r"gs://[a-z0-9][\w.-]+/.+", "like gs://BUCKET/NAME")
_NUMBER = ("[1-9][0-9]{0,3}", "a whole number from 1 to 9999")
_PATTERNS = (
    *((name, *_ADDRESS) for name in ("package", "data", "ferplus", "output")),
    *((name, *_NUMBER) for name in ("machines", "max-hours")),
    *((name, "[^ ]+", "one word") for name in ("image", "machine")),
    ("accelerator", r"[A-Z0-9_]+(:[1-9]\d?)?", "like NVIDIA_L4 or NVIDIA_L4:2"),
    ("env", r"[A-Za-z_]\w*=.*", "like NAME=VALUE"),
)
"""Name of an option, the pattern of its value, and that pattern in words."""

_MAY_BE_EMPTY = ("ferplus", "accelerator")
"""The options with a pattern that stand for nothing if they are empty."""


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Train the network on Vertex AI.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dry-run", action="store_true", help="print the job; submit nothing")
    for name, default, text in _OPTIONS:
        shown = f"{text} (default: {default})" if default else text
        value = environment.get(_variable(name)) or default
        parser.add_argument(f"--{name}", default=value, metavar="…", help=shown)
    parser.add_argument(
        "--spot", action="store_true", help="use cheaper machines, which may be taken away"
    )
    for name, text in (("pip", "one more package to install"), ("env", "NAME=VALUE for the job")):
        parser.add_argument(f"--{name}", action="append", default=[], metavar="…", help=text)
    parser.add_argument("fit", nargs="*", metavar="-- FIT OPTIONS", help="options of the training")
    return parser


def _variable(name: str) -> str:
    return f"VERTEX_{name.upper().replace('-', '_')}"


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Reject invalid options, and convert the numeric ones to int."""
    values = vars(options)
    missing = [name for name, default, _ in _OPTIONS if default is None and not values[name]]
    if not options.dry_run and not options.region:
        missing.append("region")
    if missing:
        wanted = ", ".join(f"--{name} (or ${_variable(name)})" for name in missing)
        parser.error(f"missing: {wanted}")
    for name, pattern, wanted in _PATTERNS:
        value = values[name.replace("-", "_")]
        for one in value if isinstance(value, list) else [value]:
            unused = not one and name in _MAY_BE_EMPTY
            if not unused and not re.fullmatch(pattern, one, re.DOTALL):
                parser.error(f"--{name} is {one!r}, not {wanted}")
    options.machines, options.max_hours = int(options.machines), int(options.max_hours)


if __name__ == "__main__":
    sys.exit(main())
