"""Find out which machines train one network together.

All machines run the same command. Each learns about the others from `TF_CONFIG`, which Vertex AI
and other schedulers set, or from Vertex AI's `CLUSTER_SPEC`, which differs in the names of its
groups (https://cloud.google.com/vertex-ai/docs/training/distributed-training).
`training.distribute` makes them work together.
"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINE = "jax"
"""The Keras back-end that trains on several machines."""

VARIABLES = ("TF_CONFIG", "CLUSTER_SPEC")
"""Environment variables in which schedulers list the machines."""

GROUPS = ("chief", "master", "workerpool0", "worker", "workerpool1")
"""Names of groups of machines that train, the chief's first."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The machines of one run, as one of them sees them."""

    addresses: tuple[str, ...] = ("",)
    """HOST:PORT of every machine, the chief first."""
    index: int = 0
    """Index of this machine in `addresses`."""

    @property
    def size(self) -> int:
        """How many machines there are."""
        return len(self.addresses)

    @property
    def chief(self) -> bool:
        """Whether this machine is the one that writes and reports."""
        return self.index == 0


ALONE = Cluster()
"""A single machine, without a cluster."""


def read_cluster(environment: Mapping[str, str]) -> Cluster:
    """Read from `TF_CONFIG` or `CLUSTER_SPEC` which machines train together; else return `ALONE`.

    Raises:
        RunError: the variable is malformed, or names a kind of machine that is not supported.

    """
    for name in VARIABLES:
        if text := environment.get(name, "").strip():
            return _parse(name, text)
    return ALONE


def _parse(name: str, text: str) -> Cluster:
    try:
        config = json.loads(text)
        groups = {group: list(hosts) for group, hosts in config.get("cluster", {}).items()}
        task = config.get("task") or {"type": "worker", "index": 0}
        kind, number = str(task["type"]), int(task["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = (
            f"{name} cannot be understood ({type(error).__name__}: {error}): it must be JSON "
            'like {"cluster": {"chief": ["HOST:PORT"], "worker": ["HOST:PORT"]}, '
            '"task": {"type": "worker", "index": 0}}; unset it to train on one machine'
        )
        raise RunError(msg) from error
    machines = _machines(name, groups)
    if len(machines) <= 1:
        return ALONE
    try:
        index = list(machines).index((kind, number))
    except ValueError as error:
        msg = f"{name} calls this machine {kind} {number}, but its cluster has no such machine"
        raise RunError(msg) from error
    return Cluster(tuple(machines.values()), index)


def _machines(variable: str, groups: dict[str, list[str]]) -> dict[tuple[str, int], str]:
    """Return the address of each (group, number), the chief first."""
    others = [name for name, addresses in groups.items() if addresses and name not in GROUPS]
    if others:
        msg = (
            f"{variable} has machines of the kind {', '.join(others)}, which have nothing "
            "to do here: start only a chief and workers"
        )
        raise RunError(msg)
    machines = {
        (name, number): str(address)
        for name in GROUPS
        for number, address in enumerate(groups.get(name, []))
    }
    wrong = [address for address in machines.values() if not address.rpartition(":")[2].isdecimal()]
    if len(machines) > 1 and wrong:
        msg = f"{variable} has the address {wrong[0]!r}, which is not HOST:PORT"
        raise RunError(msg)
    return machines


def choose_engine(cluster: Cluster) -> None:
    """Select the Keras back-end that several machines need; call this before importing Keras.

    Raises:
        RunError: KERAS_BACKEND names another one, or it is not installed.

    """
    if cluster.size == 1:
        return
    asked = os.environ.setdefault("KERAS_BACKEND", ENGINE)
    if asked != ENGINE:
        msg = f"KERAS_BACKEND is {asked}, but several machines train only on {ENGINE}: unset it"
        raise RunError(msg)
    if importlib.util.find_spec(ENGINE) is None:
        msg = f"several machines train on {ENGINE}, which is missing: pip install '.[cluster]'"
        raise RunError(msg)
