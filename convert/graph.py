"""A calibrated float .tflite that can be changed before it is quantised.

TensorFlow's converter has already folded batch normalization and fused activations, and every
activation carries the range seen in calibration. TensorFlow's own quantiser later takes weights,
biases and ranges from here.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items()}
_DTYPES = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.INT32: np.int32}

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operations with weights and a bias as their second and third input."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    kind: str
    """Its name in the schema, such as `CONV_2D`."""
    inputs: tuple[int, ...]
    """Numbers of its input tensors; -1 for one that is omitted."""
    output: int
    """Number of its (only) output tensor."""
    options: Any
    """Strides, padding and the like; None where it has none."""

    @property
    def activation(self) -> int:
        """The fused activation, a value of `schema.ActivationFunctionType`."""
        return int(getattr(self.options, "fusedActivationFunction", 0) or 0)


class Graph:
    """The operations, constants and ranges of a one-input, one-output float .tflite."""

    def __init__(self, content: bytes) -> None:
        self._model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        self._graph = self._model.subgraphs[0]
        self._part_constants()

    def _part_constants(self) -> None:
        """Give every operation its own constants: the converter shares equal ones."""
        taken: set[int] = set()
        for operator in self._graph.operators:
            inputs = [int(number) for number in operator.inputs]
            for place, number in enumerate(inputs):
                if number >= 0 and self.is_constant(number):
                    if self._graph.tensors[number].buffer in taken:
                        inputs[place] = self._copy_constant(number)
                    taken.add(self._graph.tensors[inputs[place]].buffer)
            operator.inputs = np.array(inputs, np.int32)

    def _copy_constant(self, number: int) -> int:
        tensor = copy.copy(self._graph.tensors[number])
        self._model.buffers.append(copy.copy(self._model.buffers[tensor.buffer]))
        tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def to_bytes(self) -> bytes:
        """Return the .tflite as it is now."""
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self._model))

    @property
    def input(self) -> int:
        """Number of the input tensor."""
        return int(self._graph.inputs[0])

    @property
    def output(self) -> int:
        """Number of the output tensor."""
        return int(self._graph.outputs[0])

    @property
    def input_side(self) -> int:
        """Side of the square input, pixels."""
        return int(self._graph.tensors[self.input].shape[1])

    @property
    def nodes(self) -> list[Node]:
        """The operations, in the order in which they run."""
        codes = [
            max(code.builtinCode, code.deprecatedBuiltinCode) for code in self._model.operatorCodes
        ]
        return [
            Node(
                _NAMES.get(codes[operator.opcodeIndex], "unknown"),
                tuple(int(number) for number in operator.inputs),
                int(operator.outputs[0]),
                operator.builtinOptions,
            )
            for operator in self._graph.operators
        ]

    def only_reads(self, node: Node, tensor: int) -> bool:
        """Return whether a tensor is the first input of an operation and is used nowhere else."""
        read = [number for each in self.nodes for number in each.inputs]
        return node.inputs[0] == tensor and [*read, self.output].count(tensor) == 1

    def is_constant(self, tensor: int) -> bool:
        """Return whether a tensor's values are stored in the file."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def constant(self, tensor: int) -> NDArray[Any]:
        """Return the values of a constant tensor, float32 or int32."""
        entry = self._graph.tensors[tensor]
        data = bytes(self._model.buffers[entry.buffer].data)
        values = np.frombuffer(data, _DTYPES[entry.type])
        return values.reshape([] if entry.shape is None else entry.shape)

    def set_constant(self, tensor: int, values: NDArray[np.floating[Any]]) -> None:
        """Replace the values of a constant float32 tensor; the shape stays."""
        content = np.ascontiguousarray(values, np.float32).tobytes()
        self._model.buffers[self._graph.tensors[tensor].buffer].data = np.frombuffer(
            content, np.uint8
        )

    def range(self, tensor: int) -> tuple[float, float]:
        """Return the lower and the upper end of the range that an activation is quantised for.

        The range always includes 0, which needs an integer of its own.
        """
        seen = self._graph.tensors[tensor].quantization
        return min(float(seen.min[0]), 0.0), max(float(seen.max[0]), 0.0)

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """Set the range that an activation is quantised for."""
        seen = self._graph.tensors[tensor].quantization
        seen.min, seen.max = np.array([low], np.float32), np.array([high], np.float32)

    def remove(self, position: int) -> None:
        """Remove an operation; readers of its output then read its first input."""
        gone = self._graph.operators.pop(position)
        source, target = int(gone.inputs[0]), int(gone.outputs[0])
        for operator in self._graph.operators:
            operator.inputs = np.array(
                [source if number == target else number for number in operator.inputs], np.int32
            )


def fold_scaling(graph: Graph) -> bool:
    """Fold the pixel scaling at the start of the graph into the first convolution.

    Otherwise it is a separate operation on every pixel, and one that the runtimes round
    differently. After folding, the convolution reads integers: raw pixels minus the one that
    stands for 0. At the edge of the picture, where the convolution pads with 0, up to half a grey
    level is lost.

    Args:
        graph: Changed in place: `x * factor + offset` and a convolution become one operation.

    Returns:
        Whether it was folded: the graph must begin like that, one of the raw pixels must stand for
        0, and nothing else may read the pixels, scaled or not.

    """
    factor, offset, count = _scaling(graph)
    nodes = graph.nodes
    first = nodes[count] if count < len(nodes) else None
    if not count or first is None or first.kind != "CONV_2D" or factor <= 0:
        return False
    zero = round(-offset / factor)
    if not 0 <= zero <= 255 or not graph.only_reads(first, nodes[count - 1].output):
        return False
    weights, bias = first.inputs[1:3]
    kernel = graph.constant(weights)
    shift = (factor * zero + offset) * kernel.sum(axis=(1, 2, 3))
    graph.set_constant(bias, graph.constant(bias) + shift)
    graph.set_constant(weights, kernel * factor)
    for _ in range(count):
        graph.remove(0)
    graph.set_range(graph.input, -zero, 255 - zero)
    return True


def _scaling(graph: Graph) -> tuple[float, float, int]:
    """Return the factor and offset of the scaling at the start, and how many operations it has."""
    factor, offset, count = 1.0, 0.0, 0
    source = graph.input
    for node in graph.nodes:
        if node.kind not in ("MUL", "ADD", "SUB") or node.activation or len(node.inputs) != 2:
            break
        if not graph.is_constant(node.inputs[1]) or graph.constant(node.inputs[1]).size != 1:
            break
        if not graph.only_reads(node, source):
            break
        value = float(graph.constant(node.inputs[1]).reshape(-1)[0])
        if node.kind == "MUL":
            factor, offset = factor * value, offset * value
        else:
            offset += value if node.kind == "ADD" else -value
        source, count = node.output, count + 1
    return factor, offset, count
