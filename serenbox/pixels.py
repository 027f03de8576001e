"""The types of a picture in memory."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# Spelled out: importing `numpy.typing` would delay the start of the service.
AnyPixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""What a caller may pass as a picture, not yet checked."""

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
"""uint8, (height, width, 3) BGR or, where stated, (height, width) grey."""
