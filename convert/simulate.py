"""The int8 model in a form that TensorFlow can train: it rounds, and gradients pass through.

This is quantisation-aware training (Jacob et al. 2018, arXiv 1712.05877) on the very graph that is
quantised afterwards: batch normalization is already folded, ranges stay as chosen, and weights are
rounded symmetrically to -127..127 per output channel, as TensorFlow Lite does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from convert.graph import WEIGHTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.graph import Graph, Node

SIMULATED = (*WEIGHTED, "ADD", "PAD", "MEAN")
"""The operations that can be simulated."""

_ACTIVATIONS: dict[int, Callable[[Any], Any]] = {
    schema.ActivationFunctionType.NONE: lambda values: values,
    schema.ActivationFunctionType.RELU: tf.nn.relu,
    schema.ActivationFunctionType.RELU6: tf.nn.relu6,
}


class _Weights:
    """Trainable weights and bias of one operation, in units that suit an optimizer."""

    def __init__(self, graph: Graph, node: Node) -> None:
        kernel, bias = (graph.constant(number) for number in node.inputs[1:3])
        # (outputs, ...) in the file, but (1, height, width, channels) where depthwise.
        self._channels_last = node.kind == "DEPTHWISE_CONV_2D"
        last = kernel.ndim - 1
        axes = tuple(range(last)) if self._channels_last else tuple(range(1, kernel.ndim))
        # With every channel's largest weight at 1, one learning rate suits all.
        self._unit = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-12)
        self._bias_unit = np.float32(np.abs(bias).mean() + 1e-6)
        self._original = (kernel, bias)
        self.kernel = tf.Variable(kernel / self._unit)
        self.bias = tf.Variable(bias / self._bias_unit)

    def exact(self) -> tuple[Any, Any]:
        """Return the initial kernel and bias."""
        return self._original

    def trained(self) -> tuple[Any, Any]:
        """Return the current kernel and bias."""
        return self.kernel * self._unit, self.bias * self._bias_unit

    def rounded(self) -> tuple[Any, Any]:
        """Return the kernel as int8 will hold it, and the bias unrounded: int32 is fine enough."""
        kernel = tf.convert_to_tensor(self.kernel)
        last = len(kernel.shape) - 1
        if not self._channels_last:
            kernel = tf.transpose(kernel, [*range(1, last + 1), 0])
        largest = tf.reduce_max(tf.abs(kernel), axis=list(range(last)))
        largest = tf.stop_gradient(tf.maximum(largest, 1e-12))
        kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, -largest, largest, narrow_range=True
        )
        if not self._channels_last:
            kernel = tf.transpose(kernel, [last, *range(last)])
        return kernel * self._unit, self.bias * self._bias_unit


class Simulation:
    """A graph as a function of batches: `exact` in floats, or `rounded` as int8 computes it."""

    def __init__(self, graph: Graph) -> None:
        """Take a graph whose operations are all in `SIMULATED`."""
        self._graph = graph
        self._nodes = graph.nodes
        self._weights = {
            node.output: _Weights(graph, node) for node in self._nodes if node.kind in WEIGHTED
        }

    @property
    def variables(self) -> list[Any]:
        """Everything that can be trained."""
        return [
            variable
            for weights in self._weights.values()
            for variable in (weights.kernel, weights.bias)
        ]

    def exact(self, pixels: Any) -> Any:
        """Return (n, labels) float logits of the initial weights.

        Args:
            pixels: (n, size, size, channels) inputs.

        """
        return self._run(pixels, _Weights.exact, _activated)

    def rounded(self, pixels: Any, noise: float = 0.0) -> Any:
        """Return (n, labels) logits as the int8 model computes them.

        Args:
            pixels: (n, size, size, channels) inputs.
            noise: Uniform noise added to every result before its activation, up to this many steps
                to either side: as in int8 itself, what ReLU makes 0 remains exactly 0. All n inputs
                share one draw.

        """

        def rounded(values: Any, node: Node) -> Any:
            low, high = self._graph.range(node.output)
            if noise:
                reach = noise * (high - low) / 255
                # Shared by all inputs: drawing for each would take as long as all the rest.
                values += tf.random.uniform(values.shape[1:], -reach, reach)
            return tf.quantization.fake_quant_with_min_max_args(_activated(values, node), low, high)

        return self._run(pixels, _Weights.rounded, rounded)

    def write_back(self) -> None:
        """Put the trained weights into the graph."""
        for node in self._nodes:
            if node.output in self._weights:
                values = self._weights[node.output].trained()
                for number, value in zip(node.inputs[1:3], values, strict=True):
                    self._graph.set_constant(number, value.numpy())

    def _run(
        self,
        pixels: Any,
        weights_of: Callable[[_Weights], tuple[Any, Any]],
        finish: Callable[[Any, Node], Any],
    ) -> Any:
        values = {self._graph.input: pixels}
        for node in self._nodes:
            first = values[node.inputs[0]]
            if node.kind == "PAD":  # moves values without rounding
                values[node.output] = tf.pad(first, self._graph.constant(node.inputs[1]))
                continue
            if node.kind in WEIGHTED:
                result = _apply(node, first, *weights_of(self._weights[node.output]))
            elif node.kind == "ADD":
                result = first + values[node.inputs[1]]
            else:
                axes = self._graph.constant(node.inputs[1]).reshape(-1).tolist()
                result = tf.reduce_mean(first, axis=axes, keepdims=bool(node.options.keepDims))
            values[node.output] = finish(result, node)
        return values[self._graph.output]


def obstacle(graph: Graph) -> str | None:
    """Return what in a graph cannot be simulated; None if all of it can."""
    for node in graph.nodes:
        if node.kind not in SIMULATED or node.activation not in _ACTIVATIONS:
            return node.kind
        if node.kind in WEIGHTED and (len(node.inputs) < 3 or min(node.inputs) < 0):
            return f"{node.kind} without a bias"
        variable = node.inputs if node.kind == "ADD" else node.inputs[:1]
        if any(graph.is_constant(number) for number in variable):
            return f"{node.kind} of a constant"
    return None


def _activated(values: Any, node: Node) -> Any:
    return _ACTIVATIONS[node.activation](values)


def _apply(node: Node, values: Any, kernel: Any, bias: Any) -> Any:
    if node.kind == "FULLY_CONNECTED":
        return tf.linalg.matmul(values, kernel, transpose_b=True) + bias
    options = node.options
    strides = [1, options.strideH, options.strideW, 1]
    padding = "SAME" if options.padding == schema.Padding.SAME else "VALID"
    dilations = [options.dilationHFactor, options.dilationWFactor]
    # The file holds (outputs, height, width, inputs) or, depthwise, (1, height, width, outputs)
    # with the same number of outputs for each input channel.
    if node.kind == "CONV_2D":
        kernel = tf.transpose(kernel, [1, 2, 3, 0])
        return tf.nn.conv2d(values, kernel, strides, padding, dilations=dilations) + bias
    kernel = tf.reshape(kernel, [*kernel.shape[1:3], values.shape[3], -1])
    return tf.nn.depthwise_conv2d(values, kernel, strides, padding, dilations=dilations) + bias
