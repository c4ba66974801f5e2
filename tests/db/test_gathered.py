"""What is counted of collections, on either database."""

from __future__ import annotations

from datetime import date

import numpy as np
from sqlalchemy import Engine

from connectors.ports import Box
from db.analysis import producer_id
from db.engine import read, write
from db.frames import add_frame, group_id
from db.gathered import inside_by_day, labeled_inside, members_among_all, newest_members, totals_of
from db.labels import set_label
from db.slice_members import Counts, Members, add_members, record_counts
from db.slices import NewSlice, define_slices
from db.states import Role, SliceKind
from tests.db.world import new_frame


def test_counts_days_labels_and_members(engine: Engine) -> None:
    with write(engine) as session:
        keys = ("gate|2026-05-01", "gate|2026-05-02", "yard|2026-05-01", "yard|morning walk")
        groups = [group_id(session, key, Role.POOL) for key in keys]
        seqs = [add_frame(session, new_frame(group, n)) for n, group in enumerate(groups * 3)]
        frames = np.array(seqs, np.int64)
        measure = producer_id(session, "measure", "m")
        ids = define_slices(
            session,
            [
                NewSlice("collection", SliceKind.FACET, "collection"),
                NewSlice("collection/night", SliceKind.COLLECTION, "night", "collection"),
                NewSlice("collection/empty", SliceKind.COLLECTION, "empty", "collection"),
            ],
        )
        facet, night, empty = ids.values()
        add_members(session, measure, night, Members(frames[:6], np.linspace(0.1, 0.6, 6)))
        every = np.array(groups)
        inside, known = np.array([2, 2, 1, 1]), np.full(4, 3)
        record_counts(
            session,
            Counts(
                np.concatenate([every, every]),
                np.repeat([facet, night], 4),
                np.concatenate([known, known]),
                np.concatenate([known, inside]),
                np.zeros(8),
                np.zeros(8),
            ),
        )
        for seq in (seqs[0], seqs[7]):
            assert seq is not None
            set_label(session, seq, [Box("a", (0.0, 0.0, 1.0, 1.0))], "train", "annotation")
    with read(engine) as session:
        totals = totals_of(session, [night, empty])
        assert {number: (t.known, t.inside, t.groups) for number, t in totals.items()} == {night: (12, 6, 4)}
        assert inside_by_day(session, [night, empty]) == {
            night: [(date(2026, 5, 1), 3), (date(2026, 5, 2), 2)]
        }
        assert labeled_inside(session, measure, [night, empty]) == {night: 1}
        found = members_among_all(session, measure, [night, empty], frames[4:9])
        assert {number: own.tolist() for number, own in found.items()} == {night: frames[4:6].tolist()}
        assert newest_members(session, measure, night, 2) == [(seqs[5], 0.6), (seqs[4], 0.5)]
