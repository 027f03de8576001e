"""Defaults and limits shared by the settings, the commands and the Python interface."""

from __future__ import annotations

MAX_THREADS = 64
"""The most CPU threads that one model may use."""

FACE_SCORE = 0.5
"""The minimum score of a face, 0 to 1: MediaPipe's own for this model."""

PRIOR_EXPONENT = 0.5
"""How much of the class prior is put back at home, 0 to 1, as `ScoreSpec.prior_exponent`.

A model's own exponent suits faces like those it was trained on: in FER+, 2 % of the votes are for
disgust. Nobody knows how common an emotion is elsewhere; 0.5 is a compromise between that prior and
seven equally likely emotions.
"""
