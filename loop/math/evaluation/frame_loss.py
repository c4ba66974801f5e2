"""How badly a detector did on one frame, as one number."""

from __future__ import annotations

from loop.math.boxes.matching import ImageMatch


def frame_loss(matched: ImageMatch) -> float:
    """The confidence that is missing on objects, and that is put where there is none, by what there
    was to win or lose.

    An object that was found with confidence c lacks 1 - c, a missed one 1; a false box of
    confidence c adds c to what is lost and to what it is divided by. 0: all found, sure of it and
    of nothing else, or nothing there and nothing found.
    """
    confidence, hit = matched.confidence, matched.hit[0]
    false, objects = float(confidence[~hit].sum()), len(matched.truth_class)
    lost = objects - float(confidence[hit].sum()) + false
    return lost / (objects + false) if objects + false else 0.0
