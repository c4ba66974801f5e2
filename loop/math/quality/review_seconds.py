"""How long a person needs to settle a suspect label.

The suspected fix is drawn, so that a right one is submitted as it is and one that is not right is undone:
a box is deleted, changed back, or drawn again.
"""

from __future__ import annotations

from loop.math.quality.effort import RULE, EditSeconds


def review_seconds(kind: str, probability: float, costs: EditSeconds = RULE) -> float:
    """Expected seconds of a person for one suspect.

    kind: overlooked, class, location or spurious. probability: 0..1, that the label is wrong.
    costs: of a task and of each edit, as labelers take them.
    """
    undone = 1.0 - probability
    match kind:
        case "overlooked":
            return costs.seconds_for(deleted=undone)
        case "spurious":
            return costs.seconds_for(added=undone)
        case _:
            return costs.seconds_for(moved=undone)
