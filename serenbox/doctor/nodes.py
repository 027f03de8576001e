"""The command that lets somebody open the nodes of a camera."""

from __future__ import annotations

import grp
from typing import TYPE_CHECKING

from serenbox.doctor.roots import SERVICE_USER
from serenbox.doctor.systemd import UNIT

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from serenbox.doctor.roots import Person

_GROUP = "video"
"""The group that Debian gives cameras to, and that the unit adds to the service's user."""


def open_nodes(closed: Mapping[Path, os.stat_result], person: Person) -> str:
    """Return the command after which a person may open nodes.

    A group is joined only if that suffices and it is not root, whose files are the whole system.
    Otherwise udev gives the nodes to the group of cameras.

    Args:
        closed: What the person may not open now.
        person: Who is to open it.

    """
    opened = {node: _opens_by_group(found, person) for node, found in closed.items()}
    groups = {group_name(closed[node].st_gid) for node, opens in opened.items() if opens}
    subsystems = sorted({_subsystem(node) for node, opens in opened.items() if not opens})
    steps = [
        f"""echo 'SUBSYSTEM=="{subsystem}", GROUP="{_GROUP}", MODE="0660"' """
        f"| sudo tee /etc/udev/rules.d/99-serenbox-{subsystem}.rules"
        for subsystem in subsystems
    ]
    if steps:
        steps += ["sudo udevadm control --reload", "sudo udevadm trigger"]
        if _GROUP not in map(group_name, person.groups):
            groups.add(_GROUP)
    if groups:
        steps.append(f"sudo usermod --append --groups {','.join(sorted(groups))} {person.name}")
        if person.name == SERVICE_USER:
            steps.append(f"sudo systemctl restart {UNIT}")
    command = " && ".join(steps)
    return f"{command}  # then log in again" if groups and person.name != SERVICE_USER else command


def group_name(gid: int) -> str:
    """Return the name of a group; its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _opens_by_group(found: os.stat_result, person: Person) -> bool:
    """Return whether a node would be open if the person were in its group."""
    return found.st_gid not in {0, *person.groups} and found.st_mode >> 3 & 6 == 6


def _subsystem(node: Path) -> str:
    if node.parent.name == "dma_heap":
        return "dma_heap"
    return "media" if node.name.startswith("media") else "video4linux"
