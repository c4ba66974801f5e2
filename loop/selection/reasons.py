"""The line that a labeler reads of every chosen frame: why it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loop.base.arrays import Reals
from loop.math.coverage.gaps import NEARLY_ALL, Gap
from samplers import Pool, Selection
from samplers.pool import NOBODY
from samplers.reason import ChosenFrame

LONGEST_NAME = 36
"""Characters of a condition's name within a line; a user may have named it at any length."""


def reason_lines(picked: Selection, pool: Pool, gaps: Sequence[Gap]) -> list[str]:
    """(k,) one line per chosen frame, as the component that chose it says it.

    pool: what was chosen from.
    gaps: (S,) those of its slices, in their order.
    Raises ValueError naming a component that has no sentence.
    """
    surer = _share_below(pool.expected_loss) if pool.trust else np.zeros(len(pool.expected_loss))
    in_words = [gap_in_words(gap) for gap in gaps]
    lines = []
    for place, (row, reason) in enumerate(zip(picked.indices, picked.reasons, strict=True)):
        code = int(pool.slices[row])
        frame = ChosenFrame(
            gap=in_words[code] if code != NOBODY else "",
            novelty=float(pool.novelty[row]),
            surer=float(surer[row]),
            values={name: float(value[place]) for name, value in picked.contributions.items()},
        )
        lines.append(reason.of(frame))
    return lines


def evaluation_line(condition: str) -> str:
    """Of a frame that tests models. condition: what it was drawn from, "" for ordinary frames."""
    drawn_from = f"images with {_shortened(condition)}" if condition else "ordinary images"
    return f"To test the model, not to train it: chosen at random from {drawn_from}"


def quota_line(collection: str, given: float) -> str:
    """Of a frame that a quota chose. given: a share of the batch, or a number of frames."""
    part = f"{given:.0%} of each batch" if given < 1 else f"{given:g} frames of each batch"
    return f"From the collection {_shortened(collection)}, of which {part} shall be"


def gap_in_words(gap: Gap) -> str:
    """Its name, and how rare it is in the training set: night (3.0% of new images, 0.0% of training
    images).
    """
    name = _shortened(gap.name.removeprefix("class: ") if gap.kind == "class" else gap.name)
    new, old = f"{gap.production_share:.1%} of new images", f"{gap.training_share:.1%} of"
    if gap.kind == "class":
        return f"{name} (perhaps in {new}, in {old} training images)"
    return f"{name} ({new}, {old} {'known ' if gap.training_known < NEARLY_ALL else ''}training images)"


def _shortened(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1].rstrip()}…"


def _share_below(value: Reals) -> Reals:
    """(N,) 0..1: how many of the values are below each."""
    share: Reals = np.searchsorted(np.sort(value), value, side="left") / max(len(value), 1)
    return share
