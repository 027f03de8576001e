"""Train one network on several machines at once, with Keras on JAX.

Keras trains as if the devices of all machines were one: every machine contributes its part of each
batch, and the gradients, the statistics of batch normalization and the loss are those of the whole
batch. A run is therefore the same on any number of machines, up to the rounding of sums. Keras 3
does not train with TensorFlow's MultiWorkerMirroredStrategy
(https://github.com/keras-team/keras/issues/20585; still so in Keras 3.15.1).
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.addresses import is_loopback
from training.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from training.cluster import Cluster

GATHER_SECONDS = 900
"""How long machines wait for each other at the start; each installs its packages first."""

SILENCE_SECONDS = 30
"""How long a machine may be silent before the others give up."""

_LOST = re.compile("(ABORTED|CANCELLED|DEADLINE_EXCEEDED|INTERNAL|UNAVAILABLE|UNKNOWN): ")
"""How the engine's error messages begin when a machine does not answer; the classes vary."""


def join(cluster: Cluster) -> None:
    """Connect to the other machines.

    Raises:
        RunError: the machines do not come together.

    """
    if cluster.size == 1:
        return
    import jax

    # This service would swallow SIGTERM and only report it when asked.
    jax.config.update("jax_enable_preemption_service", False)  # noqa: FBT003 - jax's signature
    chief = cluster.addresses[0]
    host = chief.rpartition(":")[0].strip("[]")
    try:
        jax.distributed.initialize(
            chief,
            cluster.size,
            cluster.index,
            coordinator_bind_address=chief if is_loopback(host) else None,
            initialization_timeout=GATHER_SECONDS,
            heartbeat_timeout_seconds=SILENCE_SECONDS,
        )
    except RuntimeError as error:
        msg = f"the machines did not come together at {chief}: {_end_of_line(error)}"
        raise RunError(msg) from error


@contextmanager
def spread(cluster: Cluster, variables: Sequence[Any]) -> Iterator[None]:
    """Let Keras train over the devices of all machines inside the block.

    Args:
        cluster: the machines, which have joined.
        variables: all variables of a network, its metrics and its optimizer, with the same values
            on every machine. They keep the values that they are assigned inside the block.

    """
    if cluster.size == 1:
        yield
        return
    import jax
    import keras

    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    for variable in variables:
        # Keras could do this, but would first compare each variable across the machines.
        sharding = distribution.get_variable_layout(variable).backend_layout
        mine = keras.ops.convert_to_numpy(variable)
        variable.assign(jax.make_array_from_process_local_data(sharding, mine))
    with distribution.scope():
        yield
    for variable in variables:
        variable.assign(keras.ops.convert_to_numpy(variable))


def agree(cluster: Cluster, facts: Mapping[str, object]) -> None:
    """Make sure that all machines hold the same facts, listed in the same order.

    Raises:
        RunError: the facts differ; every machine raises it.

    """
    if cluster.size == 1:
        return
    from jax.experimental import multihost_utils

    digests = [
        hashlib.sha256(json.dumps(fact, sort_keys=True, default=str).encode()).digest()
        for fact in facts.values()
    ]
    mine = np.frombuffer(b"".join(digests), np.uint8).reshape(len(facts), -1)
    everyone: Any = multihost_utils.process_allgather(mine)
    same = (everyone == everyone[0]).all(axis=(0, 2))
    different = [name for name, equal in zip(facts, same, strict=True) if not equal]
    if different:
        msg = (
            f"the machines differ in {', '.join(different)}: start the same command everywhere, "
            "with --data, --out and all other files in folders that all of them see"
        )
        raise RunError(msg)


@contextmanager
def losing_no_machine(cluster: Cluster) -> Iterator[None]:
    """Turn the engine's failure to reach another machine into a readable error.

    Raises:
        RunError: a machine was lost inside the block.

    """
    try:
        yield
    except Exception as error:
        failure = _engine_failure(error)
        if cluster.size == 1 or failure is None:
            raise
        msg = (
            f"machine {cluster.index + 1} of {cluster.size} lost contact with another "
            f"({_end_of_line(failure)}): start all of them again, with --resume=auto"
        )
        raise RunError(msg) from error


def _engine_failure(error: BaseException | None) -> BaseException | None:
    """Find the engine's error about a lost machine, after which Keras may raise its own errors."""
    while error is not None and not _LOST.match(str(error)):
        error = error.__context__
    return error


def _end_of_line(error: BaseException) -> str:
    """Return the end of an error's first line, as the engine begins that line with repetitions."""
    return str(error).strip().partition("\n")[0][-120:] or type(error).__name__
