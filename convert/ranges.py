"""Chooses the range of values that each activation is quantised for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tensorflow.lite.python import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.graph import Graph

_SHARES = np.linspace(0.3, 1.0, 15)
"""Shares of the whole range to try."""

_SAMPLES = 2_000
"""Most values sampled from one activation for one face. They are drawn at random, because values at
regular intervals could all come from the same few channels."""

_TRAINED_SHARE = 0.65
"""Share kept of a range with negative values when the weights are fine-tuned for it."""

_TRAINED_CEILING = 4.0
"""Upper limit of the range of what ReLU6 gives, likewise: that is up to 6, but seldom. Other
values without negative ones are on a scale of the network's own, and keep their range."""

_KEEPING = ("PAD", "MEAN")
"""Operations that give no larger values than they get."""

_RELU6 = schema.ActivationFunctionType.RELU6

LEVELS = 255
"""Steps of an int8."""


def tighten_ranges(graph: Graph, pixels: NDArray[np.float32]) -> None:
    """Set the range of every activation between input and output to that of least squared error.

    Calibration records the extremes, which only a handful of values in millions reach: clipping
    them makes the steps finer for all others.

    Args:
        graph: Changed in place.
        pixels: (n, size, size, channels) inputs of the graph as it is.

    """
    for tensor, values in _activations(graph, pixels).items():
        graph.set_range(tensor, *best_range(values))


def cut_ranges(graph: Graph) -> None:
    """Cut the ranges further, to what is enough for weights that are fine-tuned for it afterwards.

    With finer steps, runtimes that round differently differ by less. The constants were chosen on
    PublicTest: narrower ranges cost accuracy and gain no more agreement.

    Args:
        graph: Changed in place, except for its output.

    """
    up_to_six: set[int] = set()
    for node in graph.nodes:
        if node.activation == _RELU6 or (node.kind in _KEEPING and node.inputs[0] in up_to_six):
            up_to_six.add(node.output)
        if node.output == graph.output:
            continue
        low, high = graph.range(node.output)
        if low < 0:
            graph.set_range(node.output, _TRAINED_SHARE * low, _TRAINED_SHARE * high)
        elif node.output in up_to_six:
            graph.set_range(node.output, low, min(high, _TRAINED_CEILING))


def best_range(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range for which quantising `values` to int8 has the least squared error."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    lows = [low] if low == 0 else [low * share for share in _SHARES]
    highs = [high] if high == 0 else [high * share for share in _SHARES]
    candidates = [(a, b) for a in lows for b in highs]
    return min(candidates, key=lambda ends: squared_error(values, *ends), default=(low, high))


def squared_error(values: NDArray[np.float32], low: float, high: float) -> float:
    """Return the mean squared error of quantising to int8 for low..high, which includes 0."""
    if high <= low:
        return float(np.square(values).mean())
    step = (high - low) / LEVELS
    zero = round(-low / step)
    whole = np.clip(np.round(values / step) + zero, 0, LEVELS)
    return float(np.square((whole - zero) * step - values).mean())


def _activations(graph: Graph, pixels: NDArray[np.float32]) -> dict[int, NDArray[np.float32]]:
    """Return values, sampled over the inputs, of every activation except the output."""
    interpreter = Interpreter(
        model_content=graph.to_bytes(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    tensors = [node.output for node in graph.nodes if node.output != graph.output]
    seen: dict[int, list[NDArray[np.float32]]] = {tensor: [] for tensor in tensors}
    rng = np.random.default_rng(0)
    for one in pixels:
        interpreter.set_tensor(entry["index"], one[np.newaxis])
        interpreter.invoke()
        for tensor in tensors:
            values = interpreter.get_tensor(tensor).ravel()
            some = rng.integers(len(values), size=_SAMPLES)
            seen[tensor].append(values[some] if len(values) > _SAMPLES else values.copy())
    return {tensor: np.concatenate(parts) for tensor, parts in seen.items()}
