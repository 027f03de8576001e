"""Reads the structure of a .tflite file from its FlatBuffers data, without a runtime."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from serenbox.errors import ModelError, RuntimeUnavailableError

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise RuntimeUnavailableError(
        "the inside of a .tflite is read with LiteRT's schema: run `pip install ai-edge-litert`"
    ) from error

_CUSTOM = "CUSTOM"


@dataclass(frozen=True, slots=True)
class Operator:
    """One kind of operation in a model."""

    name: str
    """Its name in the schema, such as `CONV_2D`; `CUSTOM:` and its own name if it is custom."""
    version: int
    count: int
    """How many times it occurs."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input, an output, a constant or an intermediate value."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """Its name in the schema, in lower case, such as `uint8` or `float32`."""
    scale: tuple[float, ...]
    """Values of a quantisation step: empty if not quantised, several if one per channel."""
    zero_point: tuple[int, ...]
    """The integers that stand for 0.0, one per scale."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The operations and tensors of the first subgraph, the only one in our kind of model."""

    operators: tuple[Operator, ...]
    """In the order of first use."""
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensors: tuple[Tensor, ...]
    """All of them, constants included."""


def read_structure(content: bytes) -> Structure:
    """Read the structure of a .tflite file.

    Raises:
        ModelError: It is not a .tflite file, or it is damaged.

    """
    if content[4:8] != b"TFL3":
        raise ModelError("this is not a TensorFlow Lite model: give a .tflite file")
    try:
        return _read(content)
    except (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError("the model is damaged: copy or make the file again") from error


def _read(content: bytes) -> Structure:
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    tensors = tuple(_tensor(graph.Tensors(i)) for i in range(graph.TensorsLength()))
    kinds = [_kind(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    used = Counter(kinds[graph.Operators(i).OpcodeIndex()] for i in range(graph.OperatorsLength()))
    return Structure(
        operators=tuple(Operator(name, version, count) for (name, version), count in used.items()),
        inputs=tuple(tensors[graph.Inputs(i)] for i in range(graph.InputsLength())),
        outputs=tuple(tensors[graph.Outputs(i)] for i in range(graph.OutputsLength())),
        tensors=tensors,
    )


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


_OPERATOR_NAMES = _names(schema.BuiltinOperator)
_TYPE_NAMES = _names(schema.TensorType)


def _kind(code: Any) -> tuple[str, int]:
    # Old files hold the code in one byte, new ones in four; the larger one is right.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = _OPERATOR_NAMES.get(number, f"operation {number}")
    if name == _CUSTOM:
        name = f"{_CUSTOM}:{(code.CustomCode() or b'').decode()}"
    return name, code.Version()


def _tensor(tensor: Any) -> Tensor:
    quantization = tensor.Quantization()
    quantized = quantization is not None and quantization.ScaleLength() > 0
    return Tensor(
        name=(tensor.Name() or b"").decode(),
        shape=tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength())),
        dtype=_TYPE_NAMES[tensor.Type()].lower(),
        scale=tuple(quantization.ScaleAsNumpy().tolist()) if quantized else (),
        zero_point=tuple(quantization.ZeroPointAsNumpy().tolist()) if quantized else (),
    )
