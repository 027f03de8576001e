"""What a picture is in memory."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

# Spelled out: `numpy.typing` would be one import more for a service that is about to start.
AnyPixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""What a caller may hand over as a picture, not yet checked."""

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
"""uint8, (height, width, 3) BGR, or where it is said so (height, width) grey."""
