"""How long a person needs to settle a suspect label, before it is learned from timed answers.

A documented rule. Opening a task, finding the place and judging it takes LOOK_S. The suspected fix is
drawn, so that a right one is submitted as it is; one that is not right is undone: a box is deleted, a
class chosen again, a corner moved, or a box drawn again. Drawing a box by its four extreme points takes
7 s (Papadopoulos et al., ICCV 2017); the others are estimates.
"""

from __future__ import annotations

LOOK_S = 5.0
UNDO_S = {"overlooked": 2.0, "class": 3.0, "location": 5.0, "spurious": 7.0}
"""Seconds to undo a fix that is not right, by the kind of the suspect."""


def review_seconds(kind: str, probability: float) -> float:
    """Expected seconds of a person for one suspect. probability: 0..1, that the label is wrong."""
    return LOOK_S + (1.0 - probability) * UNDO_S[kind]
