"""Which frames show which classes, as far as labels and detections tell, for `loop.gaps.bias`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Purpose
from db.engine import read
from db.labels import LabelRow, labels
from loop.analysis.near_duplicates import stored_clusters
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.coverage_view import CoverageView
from loop.gaps.shown import Described, limits_of
from loop.math.coverage.frame_arrays import Vectors
from loop.project.project import Project

DAY = 86_400
"""Seconds."""


@dataclass(frozen=True, eq=False)
class Known:
    """N production frames, then imported training frames; a row each.

    day: (N,) number of the UTC day, NaN for unknown. presence: (N, C).
    labeled, taught: (N,) whether people told, and whether it trains.
    """

    seq: Ints
    group: Ints
    camera: list[str | None]
    site: list[str | None]
    day: Reals
    presence: Bools
    labeled: Bools
    taught: Bools
    imported: Ints
    vectors: tuple[Vectors, Vectors]
    limits: dict[str, float]


def gather(project: Project, view: CoverageView) -> Known:
    production, training = view.production, view.training
    imported = np.flatnonzero(~np.isin(training.seq, production.seq))
    seq = np.concatenate([production.seq, training.seq[imported]])
    with read(project.engine) as session:
        known = labels(session)
    limits = limits_of(Described.of(view))
    presence = np.zeros((len(seq), len(view.classes)), dtype=np.bool_)
    presence[: len(production)] = view.scores > np.array([limits[name] for name in view.classes])
    labeled, taught = np.zeros(len(seq), dtype=np.bool_), np.zeros(len(seq), dtype=np.bool_)
    order = np.argsort(seq)
    told = np.array(sorted(known), dtype=np.int64)
    rows = order[np.minimum(np.searchsorted(seq, told, sorter=order), len(seq) - 1)]
    for row, frame in zip(rows.tolist(), told.tolist(), strict=True):
        if seq[row] == frame:
            presence[row] = _shown_by(known[frame], view.classes)
            labeled[row], taught[row] = True, known[frame].purpose == Purpose.TRAIN
    group = np.concatenate([production.group, _imported_groups(project, view, imported)])
    return Known(
        seq,
        group,
        [*production.by_camera.listed(), *(training.cameras[code] for code in training.camera[imported])],
        [*production.by_site.listed(), *(training.sites[code] for code in training.site[imported])],
        np.floor(np.concatenate([production.captured_at, training.captured_at[imported]]) / DAY),
        presence,
        labeled,
        taught,
        imported,
        (production.vectors, training.vectors),
        limits,
    )


def _shown_by(label: LabelRow, classes: Sequence[str]) -> Bools:
    shown = {box.class_name for box in label.boxes}
    return np.array([name in shown for name in classes], dtype=np.bool_)


def _imported_groups(project: Project, view: CoverageView, imported: Ints) -> Ints:
    """Images that came one by one are grouped with their near-duplicates."""
    group = view.training.group[imported]
    _, code, size = np.unique(group, return_inverse=True, return_counts=True)
    alike = stored_clusters(project.engine, view.embedder, view.training.seq[imported])
    found: Ints = np.where(size[code] == 1, -1 - alike, group) if len(group) else group
    return found


def right_of(known: Known, view: CoverageView) -> dict[str, tuple[float, float]]:
    """By class, how many of the labeled production frames that the detector suspects to show it do, and
    of the others do not; of few it is taken to be nearer to one half (Laplace).
    """
    rows = np.flatnonzero(known.labeled[: len(view.production)])
    found = {}
    for index, name in enumerate(view.classes):
        seems, shows = view.scores[rows, index] > known.limits[name], known.presence[rows, index]
        each = [
            (int((shows == kind)[seems == kind].sum()), int((seems == kind).sum())) for kind in (True, False)
        ]
        found[name] = tuple((hits + 1) / (size + 2) for hits, size in each)
    return {name: (shown, not_shown) for name, (shown, not_shown) in found.items()}
