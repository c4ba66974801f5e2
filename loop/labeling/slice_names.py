"""What a frame shows, as labelers read it beside the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from db.slice_members import members_of
from db.slices import slices
from db.states import SliceKind
from loop.analysis.producers import current_measure, embedder_of_vectors
from loop.project.project import Project

TOLD = (SliceKind.MEASURED, SliceKind.PROMPT)
"""Kinds that a labeler does not see beside the picture anyway, as camera, site and classes."""


def slice_names(session: Session, project: Project, seqs: Sequence[int]) -> dict[int, list[str]]:
    """By frame, the names of the slices that it shows, the clearest first. Loads no model."""
    named = {one.id: one.name for one in slices(session, TOLD) if one.retired_at is None}
    makers = {current_measure(session), embedder_of_vectors(session, project)}
    found: dict[int, list[tuple[float, str]]] = {}
    for (maker, number), shown in members_of(session, np.array(sorted(set(seqs)), np.int64)).items():
        if maker in makers and number in named:
            for seq, strength in zip(shown.frames.tolist(), shown.strength.tolist(), strict=True):
                found.setdefault(seq, []).append((-strength, named[number]))
    return {seq: [name for _, name in sorted(pairs)] for seq, pairs in found.items()}
