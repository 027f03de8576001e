"""Defaults and limits on which settings, commands and Python must agree."""

from __future__ import annotations

MAX_THREADS = 64
"""CPU threads that one model may use, at most."""

FACE_SCORE = 0.5
"""How sure the face finder must be, 0 to 1: what MediaPipe asks of this model."""

PRIOR_EXPONENT = 0.5
"""How much of the class prior counts at home, 0 to 1, as `ScoreSpec.prior_exponent`.

A model's own exponent suits faces such as it learnt from: in FER+ 2 % of the votes are for disgust.
How common an emotion is elsewhere nobody knows; half is between that prior and all seven alike.
"""
