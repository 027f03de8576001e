"""The names of the TensorFlow Lite runtimes; `serenbox.runtime` itself would import numpy."""

from __future__ import annotations

from typing import Literal

RuntimeName = Literal["ai-edge-litert", "tflite-runtime"]
"""A TensorFlow Lite runtime, by the name of its package."""

Runtime = Literal["auto", RuntimeName]
"""What a caller may ask for; "auto" takes the first one that is installed."""
