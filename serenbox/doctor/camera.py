"""Checks of the camera: its nodes, who may open them, and the memory its buffers come from."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from serenbox.addresses import has_host, site
from serenbox.cameras.listing import usb_cameras
from serenbox.doctor.nodes import group_name, open_nodes
from serenbox.doctor.reach import Reach
from serenbox.doctor.result import Result
from serenbox.errors import reason_of
from serenbox.system_text import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serenbox.doctor.roots import Person, Roots

_PI_CAMERAS = ("unicam", "rp1-cfe")
"""Names of the receivers of the Raspberry Pi's camera connector; their nodes exist only if a sensor
answered. The many other nodes of a Pi belong to its codecs."""

_SMALL_CMA = 64 * 1024
"""KiB. Enough for a handful of 640 x 480 buffers beside the sensor's own."""
_LITTLE_CMA = 16 * 1024
_DMA_HEAPS = ("vidbuf_cached", "linux,cma", "reserved", "default_cma_region")
"""The heaps that picamera2 looks for; it takes the first one that exists."""

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
"""Default port of each kind of stream, as in FFmpeg."""


_IN_MEMORY = "/dev/shm"  # noqa: S108 - nothing is written there
"""The folder of files in `/dev`."""


@dataclass(frozen=True, slots=True)
class CameraNode:
    """A video node that is a camera."""

    path: Path
    name: str
    kind: Literal["pi", "usb"]
    device: str = ""
    """Where the kernel has the device that the node belongs to; a camera may have several nodes."""


def find_cameras(roots: Roots) -> list[CameraNode]:
    """Return the cameras that the kernel has nodes for, those of the Raspberry Pi first."""
    folder = roots.sys / "class" / "video4linux"
    names = {path.parent.name: text_of(path) for path in sorted(folder.glob("video*/name"))}
    found = [
        CameraNode(roots.dev / node, name, "pi", _device(folder / node))
        for node, name in names.items()
        if name.startswith(_PI_CAMERAS)
    ]
    return found + [
        CameraNode(roots.dev / Path(camera.source).name, camera.name, "usb")
        for camera in usb_cameras(folder)
    ]


def _device(node: Path) -> str:
    """Return the device of a node: its folder holds the folder `video4linux`, which holds that."""
    return os.path.dirname(os.path.dirname(os.path.realpath(node)))  # noqa: PTH120 - plain text


def check_camera(
    source: str,
    cameras: Sequence[CameraNode],
    roots: Roots,
    reach: Reach | None = None,
    edit: str = "",
) -> Result:
    """Check whether the camera that the settings name is there.

    Args:
        source: The setting `camera.source`.
        cameras: The cameras that are there.
        roots: Where the nodes are.
        reach: What the service may reach; everything if None.
        edit: The command that changes the configuration.

    """
    name = "camera"
    if "://" in source:
        return _check_stream(source, reach or Reach(), edit)
    if _is_node(source):
        node = roots.dev / source.removeprefix("/dev/")
        if node.exists():
            return Result(name, "ok", f"{source} is there")
        return Result(name, "fail", f"{source} is not there", "ls -l /dev/video*")
    if not is_device(source):
        return _check_recording(source, edit)
    kind = source.partition(":")[0]
    wanted = [camera for camera in cameras if kind in ("auto", camera.kind)]
    number = source.partition(":")[2]
    if number:  # of a Raspberry Pi camera
        devices = list(dict.fromkeys(camera.device for camera in wanted))[int(number) :][:1]
        wanted = [camera for camera in wanted if camera.device in devices]
    if not wanted:
        pi = "rpicam-hello --list-cameras"
        mend = {"pi": pi, "usb": "lsusb"}.get(kind, f"lsusb; {pi}")
        what = {"pi": "no Raspberry Pi camera", "usb": "no USB camera"}.get(kind, "no camera")
        return Result(name, "fail", f"{what} is found: see that it is plugged in", mend)
    names = dict.fromkeys(camera.name for camera in wanted)
    return Result(name, "ok", f"{', '.join(names)} at {', '.join(str(c.path) for c in wanted)}")


def check_access(
    source: str, cameras: Iterable[CameraNode], person: Person, roots: Roots
) -> Result:
    """Check whether a person may open the nodes of the camera, and of the Pi's media devices."""
    if _is_node(source):
        named = roots.dev / source.removeprefix("/dev/")
        nodes = [named] if named.exists() else []
    else:
        kind = source.partition(":")[0]
        nodes = [camera.path for camera in cameras if kind in ("auto", camera.kind)]
    if needs_pi(source, cameras):
        nodes += sorted(roots.dev.glob("media*"))
    return _may_open("camera access", nodes, person)


def check_dma_heap(roots: Roots, person: Person) -> Result:
    """Check that there is a heap for the Pi camera's buffers, and that a person may open it."""
    folder = roots.dev / "dma_heap"
    heaps = [folder / name for name in _DMA_HEAPS if (folder / name).exists()]
    if not heaps:
        seen = f"no heap in {folder}: the kernel has none, or it is older than 5.11"
        return Result("dma_heap", "fail", seen, "sudo apt full-upgrade && sudo reboot")
    return _may_open("dma_heap", heaps[:1], person)


def check_cma(meminfo: str) -> Result:
    """Check how much contiguous memory is left for the camera's buffers.

    Args:
        meminfo: The text of /proc/meminfo.

    """
    values = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    try:
        total, free = (int(values[key].split()[0]) for key in ("CmaTotal", "CmaFree"))
    except (KeyError, ValueError, IndexError):
        total = free = 0
    seen = f"{free // 1024} of {total // 1024} MiB free"
    more = "set dtoverlay=vc4-kms-v3d,cma-256 in: sudoedit /boot/firmware/config.txt"
    if total < _LITTLE_CMA:
        return Result("CMA", "fail", f"{total // 1024} MiB in all, too little for buffers", more)
    if total < _SMALL_CMA or free < _LITTLE_CMA:
        return Result("CMA", "warn", f"{seen}: buffers may not fit", more)
    return Result("CMA", "ok", seen)


def is_device(source: str) -> bool:
    """Return whether a source is a camera of this machine."""
    return source.partition(":")[0] in ("auto", "pi", "usb") or _is_node(source)


def recording_of(source: str) -> Path | None:
    """Return the file or folder that a source names; None if it names a camera, or no user."""
    if is_device(source) or "://" in source:
        return None
    try:
        return Path(source.removeprefix("scripted:")).expanduser()
    except RuntimeError:  # ~ of an unknown user
        return None


def needs_pi(source: str, cameras: Iterable[CameraNode]) -> bool:
    """Return whether the Raspberry Pi camera is, or may be, the one to use."""
    kind = source.partition(":")[0]
    return kind == "pi" or (kind == "auto" and any(camera.kind == "pi" for camera in cameras))


def _is_node(source: str) -> bool:
    """Return whether a source is a node in `/dev`."""
    return source.startswith("/dev/") and not source.startswith(f"{_IN_MEMORY}/")


def _check_stream(address: str, reach: Reach, edit: str) -> Result:
    if not has_host(address):
        return Result("camera", "fail", f"{site(address)} names no host and port", edit)
    parts = urlsplit(site(address))
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)
    found = reach.check("camera", host, port, f"ping -c 3 {host}")
    if found.state != "ok":
        return found
    return replace(found, seen=f"{found.seen}; whether it sends video was not tried")


def _check_recording(source: str, edit: str) -> Result:
    path = source.removeprefix("scripted:")
    try:
        Path(path).expanduser().stat()
    # A null byte in a name raises ValueError, and ~ of an unknown user RuntimeError.
    except (OSError, ValueError, RuntimeError) as error:
        reason = reason_of(error)
        seen = f"camera.source names no camera, and no recording is there: {path} ({reason})"
        return Result("camera", "fail", seen, edit)
    return Result("camera", "ok", f"a recording, {path}")


def _may_open(name: str, nodes: Sequence[Path], person: Person) -> Result:
    closed: dict[Path, os.stat_result] = {}
    for node in nodes:
        try:
            found = node.stat()
        except OSError:
            continue  # unplugged meanwhile, or never there
        if not _lets_in(node, found, person):
            closed[node] = found
    if not closed:
        what = ", ".join(map(str, nodes)) or "nothing to open"
        return Result(name, "ok", f"{what} by {person.name}" if nodes else what)
    found = next(iter(closed.values()))
    seen = (
        f"{person.name} may not open {', '.join(map(str, closed))} "
        f"(group {group_name(found.st_gid)}, mode {stat.S_IMODE(found.st_mode):04o})"
    )
    return Result(name, "fail", seen, open_nodes(closed, person))


def _lets_in(node: Path, found: os.stat_result, person: Person) -> bool:
    """Return whether a person may read and write a node."""
    if person.is_asking():  # the kernel also heeds access lists, by which a desktop gives cameras
        return os.access(node, os.R_OK | os.W_OK, effective_ids=True)
    return person.may(6, found)
