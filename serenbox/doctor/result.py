"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]
"""How it is: good, worth a look, or an obstacle to sensing."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check.

    Attributes:
        name: What was looked at, one word or two.
        state: How it is.
        seen: What was found there, in a few words.
        mend: The command that mends it, or finds out more; empty where the state is ok.

    """

    name: str
    state: State
    seen: str
    mend: str = ""
