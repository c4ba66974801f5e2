"""One data set with one planting: what is found of it, by us and by cleanlab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.label_errors.measures import (
    Places,
    auroc,
    found_errors,
    label_scores,
    left_after,
    of_boxes,
    of_labels,
    overlooked_boxes,
    places,
    planted_errors,
    reliability,
    with_labels,
)
from benchmarks.label_errors.planting import Wrong
from benchmarks.label_errors.rivals import HIGHS, LOWS, TUNED, ObjectLab
from loop.base.arrays import Bools, Reals
from loop.math.quality.label_errors import JudgedFrame, calibrate, score_labels, suspects

MANY, FEW = 0.2, 0.02
"""Shares of the labels that are wrong in each way: what models train on, and what a review can find."""
REVIEWED = 0.1
"""Share of the boxes that a person reviews."""
DECIDED = 100
"""Suspects that a person decides before the probabilities are told again."""


def ranking(seen: Sequence[JudgedFrame], wrong: Sequence[Wrong]) -> dict[str, Any]:
    """AUROC by kind, ours and cleanlab's."""
    frames = with_labels(seen, wrong)
    found, there = score_labels(frames), places(frames, wrong)
    boxes = [each.xyxy for each in frames]
    gone, _, touched = of_boxes(there, boxes, [each.confidence for each in frames])
    told = _overlooked(there, touched, *overlooked_boxes(found, len(frames)))
    ours = {"overlooked": told[0], "overlooked_all": told[1]}
    for kind in ("spurious", "class", "location"):
        ours[kind] = of_labels(wrong, kind, label_scores(found, wrong, kind))
    lab = ObjectLab(frames)
    overlooked = {high: _overlooked(there, touched, boxes, lab.overlooked(high)) for high in HIGHS}
    rivals = {
        "overlooked": {high: told[0] for high, told in overlooked.items()},
        "overlooked_all": {high: told[1] for high, told in overlooked.items()},
        "class": {high: of_labels(wrong, "class", lab.wrong_class(high)) for high in HIGHS},
        "location": {low: of_labels(wrong, "location", lab.bad_location(low)) for low in LOWS},
    }
    tuned = {kind: told[TUNED] for kind, told in rivals.items()}
    best = {kind: max(told.values()) for kind, told in rivals.items()}
    return {"ours": ours, "objectlab": tuned, "objectlab_best": best, "touched": float(touched[gone].mean())}


def review(seen: Sequence[JudgedFrame], wrong: Sequence[Wrong], seed: int) -> dict[str, Any]:
    """What reviewing a tenth of the boxes leaves, and how true the probabilities are."""
    frames = with_labels(seen, wrong)
    boxes = sum(len(each.labels_class) for each in frames)
    most = round(REVIEWED * boxes)
    listed = suspects(frames, calibrate(frames, seed))
    found = found_errors(listed, wrong)
    dice = np.random.default_rng(seed)
    drawn = dice.choice(most, min(DECIDED, most), replace=False).tolist()
    decisions = [(listed[i].kind, listed[i].score, bool(found[i])) for i in drawn]
    again = suspects(frames, calibrate(frames, seed, decisions))
    found_again = found_errors(again, wrong)
    return {
        "boxes": boxes,
        "errors": planted_errors(wrong),
        "reviewed": most,
        "left": left_after(found, wrong, most),
        "least_left": max(0.0, 1 - most / planted_errors(wrong)),
        "errors_among_reviewed": float(np.mean([bool(each) for each in found[:most]])),
        "reliability": reliability(listed, found),
        "left_after_decisions": left_after(found_again, wrong, most),
        "reliability_after_decisions": reliability(again, found_again),
    }


def _overlooked(
    there: Sequence[Places], touched: Bools, boxes: Sequence[Reals], scores: Sequence[Reals]
) -> tuple[float, float]:
    """AUROC of objects that some box touches, and of all objects taken out; the others score 0.

    touched: of each place, whether any box of the model is there.
    """
    gone, score, _ = of_boxes(there, boxes, scores)
    counted = touched | ~gone
    return auroc(gone[counted], score[counted]), auroc(gone, score)
