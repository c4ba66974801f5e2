"""Slices last: whatever they are called and however they are worded, who is in them is found by id."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, update

from db.analysis import producer_id
from db.engine import read, write
from db.errors import StateError
from db.frames import group_id
from db.slice_members import (
    Counts,
    Members,
    add_counts,
    evaluation_members,
    load_counts,
    members,
    record_counts,
    record_members,
    slices_of,
)
from db.slices import (
    NewSlice,
    SliceTotal,
    define_slices,
    name_slice,
    restore_slice,
    retire_slice,
    slice_by_id,
    slice_names,
    slice_totals,
    slices,
)
from db.states import Role, SliceKind
from db.tables import Frame, utcnow
from tests.db.world import stocked

TIME = NewSlice("time of day", SliceKind.FACET, "time of day")
NIGHT = NewSlice(
    "time of day/night",
    SliceKind.PROMPT,
    "time of day: night",
    TIME.key,
    {"sentences": ["at night"]},
)


def ids(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def made(engine: Engine, *wanted: NewSlice) -> dict[str, int]:
    with write(engine) as session:
        return define_slices(session, wanted)


def test_a_slice_keeps_its_id_when_it_is_worded_or_called_otherwise(engine: Engine) -> None:
    first = made(engine, TIME, NIGHT)
    reworded = NewSlice(NIGHT.key, NIGHT.kind, "time of day: dark", TIME.key, {"sentences": ["in the dark"]})
    assert made(engine, reworded, TIME) == first
    with read(engine) as session:
        row = slice_by_id(session, first[NIGHT.key])
    assert (row.name, row.definition, row.parent_id) == (
        "time of day: dark",
        {"sentences": ["in the dark"]},
        first[TIME.key],
    )


def test_the_name_that_a_user_gave_comes_first_and_stays(engine: Engine) -> None:
    number = made(engine, TIME, NIGHT)[NIGHT.key]
    with write(engine) as session:
        name_slice(session, number, "<b>wet ramp</b>")
    made(engine, TIME, NIGHT)
    with write(engine) as session:
        assert slice_names(session, [number]) == {number: "<b>wet ramp</b>"}
        name_slice(session, number, None)
        assert slice_by_id(session, number).name == "time of day: night"


def test_a_retired_slice_is_still_there_and_can_come_back(engine: Engine) -> None:
    number = made(engine, TIME, NIGHT)[NIGHT.key]
    with write(engine) as session:
        assert (retire_slice(session, number), retire_slice(session, number)) == (True, False)
        assert slice_by_id(session, number).retired_at is not None
        assert (restore_slice(session, number), restore_slice(session, number)) == (True, False)
        assert [row.key for row in slices(session, [SliceKind.PROMPT])] == [NIGHT.key]
        with pytest.raises(
            StateError, match="expected the id of a slice, got 99; `fieldloop slices` lists them"
        ):
            slice_by_id(session, 99)


def test_members_are_found_by_slice_and_by_frame(engine: Engine) -> None:
    seqs = stocked(engine, 6)
    number = made(engine, TIME, NIGHT)[NIGHT.key]
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip")
        other = producer_id(session, "embedder", "other clip")
        record_members(session, clip, number, Members(ids(seqs[4], seqs[1]), np.array([0.5, 0.9])))
        record_members(session, other, number, Members(ids(seqs[0]), np.array([1.0])))
        found, strength = members(session, clip, number)
        assert (found.tolist(), strength.tolist()) == ([seqs[1], seqs[4]], [0.9, 0.5])
        assert slices_of(session, seqs[4], [clip]) == {number: 0.5}
        assert slices_of(session, seqs[0], [clip]) == {}
        assert members(session, clip, number, since=utcnow() + timedelta(minutes=1))[0].tolist() == []
        assert (
            members(session, clip, number, since=utcnow() - timedelta(minutes=1))[0].tolist()
            == found.tolist()
        )


def test_members_that_only_ever_judge(engine: Engine) -> None:
    seqs = stocked(engine, 6)
    number = made(engine, TIME, NIGHT)[NIGHT.key]
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip")
        kept = group_id(session, "cam9|2026-03-02", Role.EVALUATION)
        session.execute(update(Frame).where(Frame.seq.in_([seqs[1], seqs[5]])).values(group_id=kept))
        record_members(session, clip, number, Members(ids(seqs[0], seqs[1], seqs[2]), np.ones(3)))
        assert evaluation_members(session, clip, number) == [seqs[1]]
        assert evaluation_members(session, clip + 1, number) == []


def test_only_the_frames_that_were_judged_again_change(engine: Engine) -> None:
    seqs = stocked(engine, 6)
    number = made(engine, TIME, NIGHT)[NIGHT.key]
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip")
        record_members(session, clip, number, Members(ids(*seqs[:4]), np.full(4, 0.5)))
        again = ids(seqs[2], seqs[3], seqs[4])
        left = Members(ids(seqs[3], seqs[4]), np.array([0.7, 0.8]))
        stays = record_members(session, clip, number, left, judged=again)
        found, strength = members(session, clip, number)
        assert found.tolist() == [seqs[0], seqs[1], seqs[3], seqs[4]]
        assert strength.tolist() == [0.5, 0.5, 0.7, 0.8]
        assert (stays.frames.tolist(), stays.strength.tolist()) == (found.tolist(), strength.tolist())
        record_members(session, clip, number, Members(ids(seqs[5]), np.array([1.0])), stays)
        assert members(session, clip, number)[0].tolist() == [seqs[5]]


def test_counts_of_a_group_take_the_place_of_what_was_counted_before(engine: Engine) -> None:
    number = made(engine, TIME, NIGHT)
    with write(engine) as session:
        groups = [group_id(session, key, Role.POOL) for key in ("a", "b")]
        facet, night = number[TIME.key], number[NIGHT.key]
        record_counts(
            session, counts([(groups[0], facet, 9, 9), (groups[0], night, 9, 3), (groups[1], facet, 5, 5)])
        )
        assert slice_totals(session) == {facet: SliceTotal(14, 14, 2), night: SliceTotal(14, 3, 1)}
        now = [
            (groups[0], facet, 9, 9),
            (groups[0], night, 9, 3),
            (groups[1], facet, 6, 6),
            (groups[1], night, 6, 1),
        ]
        record_counts(session, counts(now))
        assert slice_totals(session)[night] == SliceTotal(15, 4, 2)
        stored = load_counts(session)
        assert sorted(zip(stored.group, stored.slice_id, stored.known, stored.inside, strict=True)) == sorted(
            [
                (groups[0], facet, 9, 9),
                (groups[0], night, 9, 3),
                (groups[1], facet, 6, 6),
                (groups[1], night, 6, 1),
            ]
        )
        assert stored.confidence.tolist() == [float(each) / 2 for each in stored.inside]
        add_counts(
            session, counts([(groups[0], facet, 2, 2), (groups[0], night, 2, 1), (groups[1], facet, 3, 3)])
        )
        added = load_counts(session)
        of_night = added.slice_id == night
        assert (added.known[of_night].tolist(), added.inside[of_night].tolist()) == ([11, 9], [4, 1])
        of_one = load_counts(session, np.array([groups[0], 99]))
        assert (of_one.slice_id.tolist(), of_one.known.tolist()) == ([facet, night], [11, 11])
        assert len(load_counts(session, np.zeros(0, np.int64)).group) == 0
        record_counts(session, counts(now[2:3]), added)
        assert slice_totals(session) == {facet: SliceTotal(6, 6, 1)}


def counts(rows: list[tuple[int, int, int, int]]) -> Counts:
    group, slice_id, known, inside = np.array(rows, np.int64).T
    return Counts(group, slice_id, known, inside, inside / 2, inside / 4)
