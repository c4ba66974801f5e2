"""What a list of suspects is worth where it is known which labels are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.label_errors.data import LabeledFrame
from benchmarks.label_errors.planting import Wrong
from loop.base.arrays import Bools, Reals
from loop.math.boxes.box_errors import box_errors
from loop.math.boxes.matching import Truth, iou_matrix
from loop.math.quality.box_chances import box_chances
from loop.math.quality.label_errors import JudgedFrame, Kind, Suspected

HERE = 0.5
"""IoU from which a box is at a place."""
SURE = 0.25
"""Confidence from which a box counts for recall."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where an object may be that no label has, one frame's.

    gone: (M, 4) px, objects whose labels were taken out. empty: (Q, 4) px, places of boxes where
    neither a label nor any object is.
    """

    gone: Reals
    empty: Reals


def with_labels(seen: Sequence[JudgedFrame], wrong: Sequence[Wrong]) -> list[JudgedFrame]:
    """What the models saw beside the labels with errors."""
    return [
        replace(each, labels_xyxy=own.frame.xyxy, labels_class=own.frame.class_id)
        for each, own in zip(seen, wrong, strict=True)
    ]


def places(frames: Sequence[JudgedFrame], wrong: Sequence[Wrong]) -> list[Places]:
    """One for each place: of boxes that overlap by HERE the surest stands for all."""
    chances = box_chances(frames)
    out = []
    for frame, own in zip(frames, wrong, strict=True):
        taken = np.concatenate([frame.labels_xyxy, own.objects])
        free = iou_matrix(frame.xyxy, taken).max(axis=1, initial=0.0) < HERE
        chance = chances.of(frame.class_id, frame.confidence)
        same = iou_matrix(frame.xyxy, frame.xyxy) >= HERE
        kept = []
        for k in np.argsort(-chance, kind="stable").tolist():
            if free[k]:
                kept.append(k)
                free &= ~same[k]
        out.append(Places(own.overlooked, frame.xyxy[kept]))
    return out


def of_boxes(
    there: Sequence[Places], boxes: Sequence[Reals], scores: Sequence[Reals]
) -> tuple[Bools, Reals, Bools]:
    """Whether each place is an overlooked object, the highest score of a method's boxes at it, and
    whether it has any.
    """
    rows: list[tuple[bool, float, bool]] = []
    for place, xyxy, score in zip(there, boxes, scores, strict=True):
        for corners, is_gone in ((place.gone, True), (place.empty, False)):
            at = iou_matrix(corners, xyxy) >= HERE
            best = np.where(at, score[None, :], 0.0).max(axis=1, initial=0.0)
            any_at = np.asarray(at.any(axis=1))
            rows += [(is_gone, float(b), bool(a)) for b, a in zip(best, any_at, strict=True)]
    gone, highest, touched = (np.array(each) for each in zip(*rows, strict=True))
    return gone, highest, touched


def auroc(positive: Bools, score: Reals) -> float:
    """Area under the ROC curve, nan where one of the two is missing."""
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, score))


def of_labels(wrong: Sequence[Wrong], kind: Kind, scores: Sequence[Reals]) -> float:
    """AUROC of a kind's planted labels against labels that are right."""
    kinds = np.array([each for own in wrong for each in own.kinds])
    score = np.concatenate(scores)
    counted = (kinds == kind) | (kinds == "")
    return auroc(kinds[counted] == kind, score[counted])


def label_scores(found: Sequence[Suspected], wrong: Sequence[Wrong], kind: Kind) -> list[Reals]:
    """(L,) of each frame's labels."""
    out: list[Reals] = [np.zeros(len(each.kinds)) for each in wrong]
    for each in found:
        if each.kind == kind and each.label >= 0:
            out[each.frame][each.label] = each.score
    return out


def overlooked_boxes(found: Sequence[Suspected], frames: int) -> tuple[list[Reals], list[Reals]]:
    """(P, 4) and (P,) of each frame's places without a label."""
    boxes: list[list[tuple[float, ...]]] = [[] for _ in range(frames)]
    scores: list[list[float]] = [[] for _ in range(frames)]
    for each in found:
        if each.kind == "overlooked" and each.fix_xyxy is not None:
            boxes[each.frame].append(each.fix_xyxy)
            scores[each.frame].append(each.score)
    return [np.array(b, np.float64).reshape(-1, 4) for b in boxes], [np.array(s) for s in scores]


def found_errors(listed: Sequence[Suspected], wrong: Sequence[Wrong]) -> list[frozenset[tuple[int, int]]]:
    """The planted errors that a person who looks at each suspect sees: a wrong label, or at a place
    without one, every object whose label was taken out or lies badly.

    A taken-out object is named by its frame and -1 less its index.
    """
    out = []
    for each in listed:
        own = wrong[each.frame]
        if each.label >= 0:
            found = {(each.frame, each.label)} if own.kinds[each.label] else set()
        else:
            place = np.array([each.fix_xyxy])
            gone = iou_matrix(place, own.overlooked)[0] >= HERE
            moved = (iou_matrix(place, own.right)[0] >= HERE) & (np.array(own.kinds) == "location")
            found = {(each.frame, -1 - int(i)) for i in np.flatnonzero(gone)}
            found |= {(each.frame, int(i)) for i in np.flatnonzero(moved)}
        out.append(frozenset(found))
    return out


def left_after(found: Sequence[frozenset[tuple[int, int]]], wrong: Sequence[Wrong], reviewed: int) -> float:
    """Share of the planted errors that are left after the first so many suspects."""
    return 1 - len(frozenset().union(*found[:reviewed])) / planted_errors(wrong)


def planted_errors(wrong: Sequence[Wrong]) -> int:
    return sum(len(each.overlooked) + sum(kind != "" for kind in each.kinds) for each in wrong)


def reliability(
    listed: Sequence[Suspected], found: Sequence[frozenset[tuple[int, int]]]
) -> list[dict[str, Any]]:
    """How often suspects of about one probability are errors."""
    told = np.array([each.probability for each in listed])
    true = np.array([bool(each) for each in found])
    edges = np.array([0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.01])
    bins = np.digitize(told, edges) - 1
    return [
        {
            "range": f"{edges[b]:.2f} to {min(edges[b + 1], 1):.2f}",
            "suspects": int((bins == b).sum()),
            "told": round(float(told[bins == b].mean()), 3),
            "errors": round(float(true[bins == b].mean()), 3),
        }
        for b in range(len(edges) - 1)
        if (bins == b).any()
    ]


def recall(seen: Sequence[JudgedFrame], truth: Sequence[LabeledFrame]) -> float:
    """Share of all objects that the folds' models find at IoU .5 in the right class, out of fold."""
    hits = total = 0
    for frame, own in zip(seen, truth, strict=True):
        kept = frame.confidence >= SURE
        errors = box_errors(
            Truth(own.xyxy, own.class_id), frame.xyxy[kept], frame.class_id[kept], frame.confidence[kept]
        )
        hits += int(errors.found.sum())
        total += len(own.class_id)
    return hits / total
