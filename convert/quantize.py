"""From the float Keras model to an int8 .tflite.

TensorFlow's converter calibrates and, at the end, quantises. In between, the graph is made easier
to quantise: the pixel scaling is folded into the first convolution, ranges are tightened, and, on
request, the weights are fine-tuned for int8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.util import modify_model_io_type

from convert.calibrate import representative
from convert.errors import RefusedError
from convert.finetune import fine_tune
from convert.graph import Graph, fold_scaling
from convert.ranges import cut_ranges, tighten_ranges
from convert.simulate import obstacle
from training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.source import FloatModel

_FACES_FOR_RANGES = 120
"""Enough for stable ranges: each gives up to 2,000 values of every activation."""


def quantize(
    model: FloatModel,
    calibration: NDArray[np.uint8],
    training: NDArray[np.uint8],
    steps: int,
    say: Callable[[str], None],
) -> bytes:
    """Convert to full int8: uint8 raw pixels in, int8 logits out.

    Args:
        model: What to convert.
        calibration: (n, 48, 48) grey faces to calibrate on.
        training: (m, 48, 48) grey faces to fine-tune on.
        steps: Batches of them to fine-tune for; 0 leaves the weights as they are.
        say: Called with lines of progress.

    Returns:
        The .tflite, without metadata.

    Raises:
        RefusedError: TensorFlow cannot convert it to int8, or it cannot be fine-tuned.

    """
    try:
        with quiet():
            graph = Graph(_calibrated(model, calibration))
    except Exception as error:  # the converter raises almost anything
        raise _refused(error) from error
    fold_scaling(graph)

    def to_input(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = model.network.inputs[0].shape[3]
        return np.repeat(pixels, channels, axis=3) + np.float32(graph.range(graph.input)[0])

    with quiet():
        seen = model.inputs(calibration[:_FACES_FOR_RANGES])[..., :1].astype(np.float32)
        tighten_ranges(graph, to_input(seen))
        if steps:
            cut_ranges(graph)
    if steps:
        blocking = obstacle(graph)
        if blocking:
            raise RefusedError(
                f"the model has {blocking}, which cannot be fine-tuned: convert without --fine-tune"
            )
        fine_tune(graph, training, to_input, steps, say)
    try:
        with quiet():
            content = mlir_quantize(graph.to_bytes())
            return bytes(modify_model_io_type(content, tf.uint8, tf.int8))
    except Exception as error:  # likewise
        raise _refused(error) from error


def _refused(error: Exception) -> RefusedError:
    reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
    return RefusedError(f"TensorFlow cannot convert the model to int8: {reason}")


def _calibrated(model: FloatModel, faces: NDArray[np.uint8]) -> bytes:
    """Return a float .tflite whose activations carry the ranges measured on the faces."""
    # A fixed batch of one keeps out the shape arithmetic that a variable batch size needs.
    pixels = keras.Input(batch_shape=(1, *model.network.inputs[0].shape[1:]), name="pixels")
    single = keras.Model(pixels, model.network(pixels))
    # from_concrete_functions fails in the int8 converter of TensorFlow 2.21.
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: representative(model, faces)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    # There is no public way to stop between calibration and quantisation.
    converter._experimental_calibrate_only = True  # noqa: SLF001
    return bytes(converter.convert())
