"""`python -m training`: fit and evaluate the emotion network."""

from __future__ import annotations

import os
import sys

# TensorFlow reads this when it is imported; its start-up messages mean nothing to the user.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from training.cli import main
from training.supervise import leave

if __name__ == "__main__":
    sys.exit(leave(main()))
