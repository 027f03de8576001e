"""The doctor behind `serenbox check`: small checks, each of which says how to mend what it finds.

`examine` runs them all. A check takes what it looks at as arguments, so it can be tried on a small
tree of files in place of a real machine.
"""

from serenbox.doctor.examine import examine
from serenbox.doctor.result import Result, State
from serenbox.doctor.roots import Roots

__all__ = ["Result", "Roots", "State", "examine"]
