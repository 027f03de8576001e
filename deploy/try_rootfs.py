#!/usr/bin/env python3
"""Follow the Dockerfile's steps in clean Debian root file systems, where there is no Docker.

    sudo deploy/try_rootfs.py FOLDER [IMAGE...]

Every stage begins with a copy of a root file system that mmdebstrap makes, with Debian's Python in
the place of the image's; COPY, RUN, ENV, WORKDIR, USER and CMD do what the Dockerfile says. The
last stage is started as its user, with a read-only root; then deploy/test.sh asks it about the
IMAGEs. FOLDER is made, may be deleted, and holds some 900 MB. Needs root, mmdebstrap, util-linux,
curl and a network.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
PROGRAMS = ("mmdebstrap", "curl")
UNWANTED = ("tensorflow", "keras", "jax", "torch")


@dataclass(slots=True)
class Stage:
    """One stage of the build and what its instructions have set so far."""

    root: Path
    folder: str = "/"
    user: str = "0:0"
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin"})
    command: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Build, start and ask; return the exit code."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    if problem := obstacle(folder):
        print(f"{Path(__file__).name}: {problem}", file=sys.stderr)
        return 1
    folder.mkdir(parents=True)
    stage = build(folder)
    names = {path.name.lower() for path in stage.root.glob("opt/serenbox/lib/*/site-packages/*")}
    if found := [name for name in UNWANTED if name in names]:
        raise SystemExit(f"the container holds {found}, which it must not")
    return try_it(stage, arguments[1:])


def obstacle(folder: Path) -> str | None:
    """Return why nothing can be built here, if there is a reason, and what mends it."""
    if os.geteuid() != 0:
        return "it enters other root file systems, so it needs root: use sudo"
    if folder.exists():
        return f"{folder} is there already: name a folder that is not"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(missing)} is missing: apt install {' '.join(missing)}" if missing else None


def build(folder: Path) -> Stage:
    """Follow every instruction and return the last stage."""
    stages: dict[str, Stage] = {}
    made: dict[str, Path] = {}
    stage: Stage | None = None
    for word, rest in instructions((HERE / "Dockerfile").read_text("utf-8")):
        print(f"== {word} {rest}", flush=True)
        if word == "FROM":
            name = rest.partition(" AS ")[2] or "last"
            stage = stages[name] = Stage(folder / name)
            image = rest.split()[0]
            if image not in made:
                made[image] = folder / f"base-{len(made)}"
                make_root(made[image], image)
            subprocess.run(
                ["cp", "--archive", "--reflink=auto", made[image], stage.root], check=True
            )
        elif stage is None:
            raise SystemExit(f"{word} comes before FROM")
        else:
            follow(stage, stages, word, rest)
    if stage is None:
        raise SystemExit("the Dockerfile has no stage")
    return stage


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: word and rest, without comments, lines joined."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", kept)
    parts = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(word, rest.strip()) for word, rest in parts]


def follow(stage: Stage, stages: dict[str, Stage], word: str, rest: str) -> None:  # noqa: C901 - a table
    """Do what one instruction says; one that is not known is a mistake."""
    match word:
        case "WORKDIR":
            stage.folder = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "COPY":
            copy(stage, stages, shlex.split(rest))
        case "RUN":
            run(stage, ["/bin/sh", "-c", rest])
        case "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                stage.variables[name] = value.replace("$PATH", stage.variables["PATH"])
        case "USER":
            stage.user = rest
        case "CMD":
            stage.command = json.loads(rest)
        case "EXPOSE" | "HEALTHCHECK":
            pass
        case _:
            raise SystemExit(f"{word} is not followed here: teach {__file__} to")


def make_root(root: Path, image: str) -> None:
    """Make the root file system of the Debian release that the image is named after."""
    release = image.rpartition("-")[2]
    options = ["--quiet", "--mode=root", "--variant=minbase", f"--include={PACKAGES}"]
    # As in the image, which has none of these either.
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
    subprocess.run(["mmdebstrap", *options, release, str(root), *mirror(release)], check=True)
    for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copyfile(Path("/", name), root / name)


def mirror(release: str) -> list[str]:
    """Return the source that this machine's apt uses, if it has one of Debian."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = sorted({line for line in listed.stdout.split() if re.search("/debian/*$", line)})
    return [f"deb {found[0]} {release} main"] if found else []


def copy(stage: Stage, stages: dict[str, Stage], words: list[str]) -> None:
    """Copy from the repository, less what .dockerignore says, or from another stage."""
    base = ROOT
    if words[0].startswith("--from="):
        base = stages[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    place = stage.root / os.path.normpath(Path(stage.folder, target)).lstrip("/")
    for source in sources:
        path = base / source.lstrip("/")
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__") if base == ROOT else None
            shutil.copytree(path, place, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            if base == ROOT and not allowed(source):
                raise SystemExit(f"{source} is not let through by Dockerfile.dockerignore")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def allowed(source: str) -> bool:
    """Tell whether the ignore file lets a name at the top through."""
    lines = (HERE / "Dockerfile.dockerignore").read_text("utf-8").split()
    return any(fnmatch.fnmatch(source, line[1:]) for line in lines if line.startswith("!"))


def entered(stage: Stage, command: list[str]) -> list[str]:
    """Return the command line that runs something in a stage, with nothing of our environment."""
    variables = [f"{name}={value}" for name, value in stage.variables.items()]
    chroot = ["chroot", f"--userspec={stage.user}", str(stage.root)]
    return [*chroot, "/usr/bin/env", "-i", f"--chdir={stage.folder}", *variables, *command]


def run(stage: Stage, command: list[str]) -> None:
    """Run something in a stage."""
    subprocess.run(entered(stage, command), check=True)


def try_it(stage: Stage, images: list[str]) -> int:
    """Start the server with a read-only root, look at it, ask it, and end it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    stage.variables["PORT"] = str(port)
    root = shlex.quote(str(stage.root))
    # Mounts of a namespace of their own end with the last process in it.
    mounts = (
        f"mount --bind {root} {root} && mount --rbind /dev {root}/dev"
        f" && mount -t proc proc {root}/proc && mount -t tmpfs tmpfs {root}/tmp"  # noqa: S108 - a mount
        f" && mount -o remount,bind,ro {root}"
    )
    line = f"{mounts} && exec {shlex.join(entered(stage, stage.command))}"
    server = subprocess.Popen(["unshare", "--mount", "/bin/sh", "-c", line])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(server, f"{url}/healthz")
        look_at(server.pid, stage)
        asked = subprocess.run([HERE / "test.sh", url, *images], check=False) if images else None
    finally:
        server.send_signal(signal.SIGTERM)
        ended = server.wait(30)
    print(f"the server ended with {ended}")
    return ended or (asked.returncode if asked else 0)


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    """Wait until the server is healthy."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of ours
                print(answer.read().decode().strip())
                return
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the server did not start") from None
            time.sleep(0.2)
    raise SystemExit("the server does not answer")


def look_at(pid: int, stage: Stage) -> None:
    """Refuse a server that runs as root, or on a root file system that it can write to."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    user = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    if user is None or user[1] == "0":
        raise SystemExit("the server runs as root")
    enter = ["nsenter", "--mount", f"--target={pid}", "touch", f"{stage.root}/written"]
    if subprocess.run(enter, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        raise SystemExit("the root file system is not read-only")
    print(f"it runs as user {user[1]} on a read-only root")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
