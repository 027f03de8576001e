"""From the float Keras model to an int8 .tflite, by TensorFlow's post-training quantisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from convert.calibrate import representative
from convert.errors import RefusedError
from training.quiet import quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.source import FloatModel


def quantize(model: FloatModel, faces: NDArray[np.uint8]) -> bytes:
    """Convert to full int8: uint8 raw pixels in, int8 logits out.

    Args:
        model: What to convert.
        faces: (n, 48, 48) grey faces to calibrate on.

    Returns:
        The .tflite, without metadata.

    Raises:
        RefusedError: TensorFlow cannot convert it to int8.

    """
    try:
        with quiet():
            return bytes(_converter(model, faces).convert())
    except Exception as error:  # the converter raises almost anything
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        raise RefusedError(f"TensorFlow cannot convert the model to int8: {reason}") from error


def _converter(model: FloatModel, faces: NDArray[np.uint8]) -> tf.lite.TFLiteConverter:
    # A batch of exactly one keeps shape arithmetic, which a free batch needs, out of the result.
    pixels = keras.Input(batch_shape=(1, *model.network.inputs[0].shape[1:]), name="pixels")
    single = keras.Model(pixels, model.network(pixels))
    # from_concrete_functions fails in the int8 converter of TensorFlow 2.21.
    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: representative(model, faces)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8
    return converter
