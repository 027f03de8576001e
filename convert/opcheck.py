"""Checks that the oldest supported runtime would load a model, and that it is int8 throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import RefusedError

if TYPE_CHECKING:
    from convert.flatbuffer import Structure

OLDEST_RUNTIME = "tflite-runtime 2.14"
"""The last tflite-runtime, and the only runtime there is for 32-bit ARM."""

MAX_VERSIONS: dict[str, int] = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "CONCATENATION": 4,
    "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7,
    "DEQUANTIZE": 5,
    "EXPAND_DIMS": 1,
    "FULLY_CONNECTED": 10,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 2,
    "LOGISTIC": 3,
    "MAXIMUM": 4,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MINIMUM": 4,
    "MUL": 7,
    "PACK": 4,
    "PAD": 4,
    "PADV2": 4,
    "PRELU": 1,
    "QUANTIZE": 3,
    "REDUCE_MAX": 3,
    "RELU": 3,
    "RELU6": 3,
    "RELU_0_TO_1": 1,
    "RELU_N1_TO_1": 1,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 4,
    "RESIZE_NEAREST_NEIGHBOR": 4,
    "SHAPE": 1,
    "SLICE": 6,
    "SOFTMAX": 3,
    "SPLIT": 4,
    "SQUEEZE": 2,
    "STRIDED_SLICE": 8,
    "SUB": 5,
    "SUM": 2,
    "TANH": 3,
    "TRANSPOSE": 6,
}
"""The newest version of each operation that tflite-runtime 2.14.0 has a kernel for.

TensorFlow registers them in `tensorflow/lite/core/kernels/register.cc` (tag v2.14.0); these values
were read back from the released runtime by loading one-operation models of every version. Only
operations used in convolutional image networks are listed.
"""

_INTEGERS = {"int8", "uint8", "int32", "int64", "bool"}
"""Weights and activations are int8, the input may be uint8; biases and shapes are int32 or 64."""


_TOLERANCE = 1e-6
"""A few times the rounding error of a scale, which is a float32."""


def check_operators(structure: Structure) -> None:
    """Refuse a model that the oldest supported runtime cannot load.

    Raises:
        RefusedError: That runtime does not know an operation or its version; the message names it.

    """
    for operator in structure.operators:
        newest = MAX_VERSIONS.get(operator.name)
        if newest is None:
            raise RefusedError(
                f"the finished model uses {operator.name}, which is not among the operations known "
                f"to run as int8 in {OLDEST_RUNTIME}: replace the layer that needs it"
            )
        if operator.version > newest:
            raise RefusedError(
                f"the finished model uses {operator.name} version {operator.version}, and "
                f"{OLDEST_RUNTIME} loads only versions up to {newest}: convert with an older "
                "TensorFlow, or replace the layer that needs it"
            )


def check_integers(structure: Structure) -> None:
    """Refuse a model that is not quantised throughout, from raw pixels to int8 logits.

    Raises:
        RefusedError: A tensor is not of an integer type, the input is not raw uint8 pixels, or the
            output is not int8 with a scale.

    """
    for tensor in structure.tensors:
        if tensor.dtype not in _INTEGERS:
            raise RefusedError(
                f"the finished model is not int8 throughout: {tensor.name!r} is {tensor.dtype}"
            )
    (pixels,) = structure.inputs
    # With a step of 1 the integers are the raw pixels; the zero point may be any of them.
    step = pixels.scale[0] if pixels.scale else 0.0
    if pixels.dtype != "uint8" or abs(step - 1) > _TOLERANCE:
        raise RefusedError(
            f"the input of the finished model is {pixels.dtype} with scale {step:g} and zero point "
            f"{pixels.zero_point}, not raw uint8 pixels: give the right --scale"
        )
    (logits,) = structure.outputs
    if logits.dtype != "int8" or len(logits.scale) != 1:
        raise RefusedError(
            f"the output of the finished model is {logits.dtype} with scales {list(logits.scale)}, "
            "not int8 logits with a single one: end the model in a Dense layer"
        )
