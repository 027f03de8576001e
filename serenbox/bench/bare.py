"""What the service is compared with: code that does only what cannot be left out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from serenbox.models import EMOTION_MODEL, FACE_MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from serenbox.runtime_names import RuntimeName

_START = """
import cv2, numpy
from {module} import Interpreter
for path in {models}:
    Interpreter(model_path=path, num_threads=1).allocate_tensors()
print("ready", flush=True)
"""


def start_script(runtime: RuntimeName) -> str:
    """Return Python that imports the libraries, loads both models, and prints a line."""
    models = (str(FACE_MODEL), str(EMOTION_MODEL))
    return _START.format(module=interpreter_module(runtime), models=models)


def interpreter_module(runtime: RuntimeName) -> str:
    """Return the module that holds a runtime's `Interpreter`."""
    return f"{runtime.replace('-', '_')}.interpreter"


class BareModel:
    """A model with a fixed input, of which only the run is timed.

    Args:
        path: The model.
        runtime: What runs it.

    """

    def __init__(self, path: Path, runtime: RuntimeName) -> None:
        module: Any = importlib.import_module(interpreter_module(runtime))
        interpreter = module.Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        (details,) = interpreter.get_input_details()
        numbers = np.random.default_rng(0).random(details["shape"])
        largest = 255 if details["dtype"] == np.uint8 else 1
        interpreter.set_tensor(details["index"], (numbers * largest).astype(details["dtype"]))
        self.invoke = interpreter.invoke
        """Runs the model."""
