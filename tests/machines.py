"""Small trees of files that stand in for a machine's /sys, /proc and /dev."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from serenbox.daemon import volatile
from serenbox.doctor import Roots
from serenbox.doctor.roots import Person

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

OVERLAY_ROOT = (
    "/ /media/root-ro ro - ext4 /dev/mmcblk0p2 ro",
    "/ /media/root-rw rw - tmpfs tmpfs-root rw",
    "/ / rw - overlay overlayroot rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay",
)
"""The mounts of a Raspberry Pi with the Overlay File System of raspi-config."""

STRANGER = Person("stranger", 54321, frozenset({54321}))
MEMBER = Person("member", 54321, frozenset({54321, os.getgid()}))


def bare_machine(folder: Path) -> Roots:
    """Make a machine without devices: its folders are empty."""
    found = Roots(*(folder / name for name in ("sys", "proc", "dev", "run", "etc")))
    for path in (found.sys / "class" / "video4linux", found.proc, found.dev, found.run, found.etc):
        path.mkdir(parents=True)
    return found


def make_node(path: Path) -> None:
    """Make a file that owner and group may use."""
    path.touch()
    os.chown(path, os.getuid(), os.getgid())
    path.chmod(0o660)


def add_node(roots: Roots, node: str, name: str, bus: str) -> None:
    """Connect a video device: a folder on its bus, the link to it, and its node."""
    device = roots.sys / "devices" / bus / "video4linux" / node
    device.mkdir(parents=True)
    (device / "name").write_text(f"{name}\n")
    (device / "index").write_text("0\n")
    (roots.sys / "class" / "video4linux" / node).symlink_to(device)
    make_node(roots.dev / node)


def add_pi(roots: Roots) -> None:
    """Make it a Raspberry Pi with a camera."""
    add_node(roots, "video0", "unicam-image", "platform/soc")
    add_node(roots, "video10", "bcm2835-codec-decode", "platform/codec")
    make_node(roots.dev / "media0")
    (roots.dev / "dma_heap").mkdir()
    make_node(roots.dev / "dma_heap" / "linux,cma")


def add_zone(roots: Roots, number: int, kind: str, temperature: str) -> None:
    zone = roots.sys / "class" / "thermal" / f"thermal_zone{number}"
    zone.mkdir(parents=True)
    (zone / "type").write_text(f"{kind}\n")
    (zone / "temp").write_text(f"{temperature}\n")


def mount(folder: Path, monkeypatch: pytest.MonkeyPatch, *mounts: str) -> None:
    """Replace the mounts of this machine; each as in /proc/self/mountinfo, from its fourth word."""
    file = folder / "mountinfo"
    file.write_text("".join(f"{n} 1 0:{n} {line}\n" for n, line in enumerate(mounts, 20)))
    monkeypatch.setattr(volatile, "_MOUNTS", file)
