"""Frames, groups, sightings and what was set aside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from db.engine import read, write
from db.facts import lock_fact
from db.frames import (
    NewFrame,
    Seen,
    Unplaced,
    add_frame,
    add_reject,
    count_analyzed,
    first_production_group,
    forget_rejects,
    frame_counts,
    frames,
    group_id,
    known_hashes,
    newest_undated_group,
    record_seen,
    reject_counts,
    rejects,
    seen_sources,
    unplaced,
)
from db.labels import set_label
from db.states import Origin, Role
from tests.db.world import add_frames, new_frame, stocked


def test_a_frame_comes_back_as_it_was_given(engine: Engine) -> None:
    noon_in_tokyo = datetime(2026, 11, 24, 12, 0, 0, 250, timezone(timedelta(hours=9)))
    with write(engine) as session:
        group = group_id(session, "gate-1|2026-11-24", Role.EVALUATION)
        given = replace(
            new_frame(group, 1), captured_at=noon_in_tokyo, sequence="s-1", split="val", site="Nürnberg"
        )
        seq = add_frame(session, given)
    with read(engine) as session:
        (row,) = frames(session)
    assert row.seq == seq
    assert {name: getattr(row, name) for name in given.__slots__} == {
        name: getattr(given, name) for name in given.__slots__
    }
    assert (row.role, row.group_key) == (Role.EVALUATION, "gate-1|2026-11-24")
    assert row.captured_at == datetime(2026, 11, 24, 3, 0, 0, 250, UTC)
    assert row.captured_at.tzinfo is UTC
    assert (row.embedded_by, row.detected_by, row.measured_by) == (0, 0, 0)


def test_the_same_content_is_stored_once(engine: Engine) -> None:
    with write(engine) as session:
        group = group_id(session, "gate-1", Role.POOL)
        first = add_frame(session, new_frame(group, 1))
        assert (
            add_frame(session, replace(new_frame(group, 1), path="elsewhere.jpg", source_key="copy.jpg"))
            is None
        )
        assert [row.path for row in frames(session)] == ["frames/1.jpg"]
        assert first == frames(session)[0].seq


def test_a_group_keeps_the_role_it_was_given_first(engine: Engine) -> None:
    with write(engine) as session:
        first = group_id(session, "gate-1", Role.EVALUATION)
        assert group_id(session, "gate-1", Role.POOL) == first
        add_frame(session, new_frame(first, 1))
        assert frames(session)[0].role is Role.EVALUATION


def test_a_frame_needs_its_group(engine: Engine) -> None:
    def orphan() -> None:
        with write(engine) as session:
            add_frame(session, new_frame(99, 1))

    with pytest.raises(IntegrityError):
        orphan()


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    def naive() -> None:
        with write(engine) as session:
            group = group_id(session, "gate-1", Role.POOL)
            add_frame(session, replace(new_frame(group, 1), captured_at=datetime(2026, 1, 1)))

    with pytest.raises(Exception, match="expected an aware datetime, got datetime"):
        naive()


def test_known_hashes_of_more_than_one_statement_takes(lite: Engine) -> None:
    stocked(lite, 3)
    stored = [new_frame(1, number).content_hash for number in range(3)]
    with read(lite) as session:
        assert known_hashes(session, [*stored, *map(str, range(25_000))]) == set(stored)
        assert known_hashes(session, []) == set()


def test_frames_meet_every_condition(engine: Engine) -> None:
    with write(engine) as session:
        pool, held_out = add_frames(session, 3), add_frames(session, 2, start=10, role=Role.EVALUATION)
        group = group_id(session, "imported", Role.POOL)
        imported = add_frame(session, new_frame(group, 20, Origin.IMPORTED))
        assert imported is not None
        set_label(session, pool[1], [], "train", "annotation")
    with read(engine) as session:
        everything = [row.seq for row in frames(session)]
        assert everything == sorted([*pool, *held_out, imported])
        assert [row.seq for row in frames(session, role=Role.EVALUATION)] == held_out
        assert [row.seq for row in frames(session, origin=Origin.IMPORTED)] == [imported]
        assert [row.seq for row in frames(session, labeled=True)] == [pool[1]]
        assert [
            row.seq for row in frames(session, labeled=False, origin=Origin.PRODUCTION, role=Role.POOL)
        ] == [
            pool[0],
            pool[2],
        ]
        assert [row.seq for row in frames(session, seqs=[held_out[0], pool[2], 999])] == [
            pool[2],
            held_out[0],
        ]
        assert frames(session, seqs=[]) == []


def test_counts(engine: Engine) -> None:
    with write(engine) as session:
        add_frames(session, 3)
        add_frames(session, 2, start=10, role=Role.EVALUATION)
        add_frame(session, new_frame(group_id(session, "imported", Role.POOL), 20, Origin.IMPORTED))
        counts = frame_counts(session)
    assert counts == {"total": 6, "production": 5, "imported": 1, "pool": 3, "evaluation": 2}


def test_a_reject_is_recorded_once_per_content(engine: Engine) -> None:
    with write(engine) as session:
        assert add_reject(session, "a.jpg", "h1", "truncated", "ends after 17 %")
        assert not add_reject(session, "a.jpg", "h1", "truncated", "ends after 17 %")
        assert add_reject(session, "a.jpg", "h2", "truncated", "ends after 40 %")
        assert add_reject(session, "b.txt", "h3", "not_image", "plain text")
        assert reject_counts(session) == {"not_image": 1, "truncated": 2}
        newest = rejects(session, limit=1)
    assert [(row.source_key, row.code, row.reason) for row in newest] == [
        ("b.txt", "not_image", "plain text")
    ]


def test_what_was_set_aside_before_is_forgotten(engine: Engine) -> None:
    with write(engine) as session:
        for key, content in (("a", "h1"), ("a", "h2"), ("b", "h1")):
            add_reject(session, key, content, "truncated", "cut")
        forget_rejects(session, "a", keep="h2")
        assert [(row.source_key, row.content_hash) for row in rejects(session)] == [("b", "h1"), ("a", "h2")]
        forget_rejects(session, "a")
        assert [row.source_key for row in rejects(session)] == ["b"]


def test_a_file_counts_as_seen_until_its_size_or_time_changes(engine: Engine) -> None:
    day = 1_790_000_000_000_000_000  # nanoseconds need 61 bits
    with write(engine) as session:
        record_seen(session, [Seen("a", 5, day, "h1"), Seen("b", 6, day, "h2"), Seen("c", 7, day, "h3")])
        found = [Seen("a", 5, day), Seen("b", 7, day), Seen("c", 7, day + 1), Seen("d", 1, day)]
        assert seen_sources(session, found) == {"a"}
        record_seen(session, [Seen("b", 7, day, "h4")])
        assert seen_sources(session, found) == {"a", "b"}


def test_the_newest_undated_group_of_a_camera_and_the_first_of_all(engine: Engine) -> None:
    with write(engine) as session:
        assert (newest_undated_group(session, "gate"), first_production_group(session)) == (None, None)
        imported = group_id(session, "imported:1", Role.POOL)
        add_frame(session, new_frame(imported, 1, Origin.IMPORTED))
        first, second = (group_id(session, f"gate|undated-{n}", Role.POOL) for n in (1, 2))
        for number, group in ((2, first), (3, second), (4, second)):
            add_frame(session, bare(new_frame(group, number), "gate"))
        other = group_id(session, "gate|walk", Role.POOL)
        add_frame(session, replace(bare(new_frame(other, 5), "gate"), sequence="walk"))
        lock_fact(session, "no such fact")
        assert newest_undated_group(session, "gate") == ("gate|undated-2", 2)
        assert newest_undated_group(session, "door") is None
        assert first_production_group(session) == "gate|undated-1"


def test_frames_without_camera_or_time_are_counted(engine: Engine) -> None:
    with write(engine) as session:
        group = group_id(session, "gate", Role.POOL)
        add_frame(session, replace(new_frame(group, 1), captured_at=datetime(2026, 1, 1, tzinfo=UTC)))
        assert unplaced(session).paths == ()
        add_frame(session, bare(new_frame(group, 2), "unknown"))
        add_frame(session, bare(new_frame(group, 3), "gate"))
        add_frame(session, replace(bare(new_frame(group, 4), "gate"), sequence="walk"))
        add_frame(session, bare(new_frame(group, 5, Origin.IMPORTED), "unknown"))
        paths = tuple(new_frame(group, number).source_key for number in (4, 3, 2))
        assert unplaced(session) == Unplaced(1, 3, 2, paths)


def bare(frame: NewFrame, camera: str) -> NewFrame:
    return replace(frame, camera=camera, captured_at=None, sequence=None)


def test_counts_are_read_from_indexes_alone(lite: Engine) -> None:
    """At a million frames a page has no time to read them."""
    asked: list[tuple[str, Any]] = []

    def note(*given: Any) -> None:
        if given[2].startswith("SELECT"):
            asked.append(given[2:4])

    event.listen(lite, "before_cursor_execute", note)
    with read(lite) as session:
        frame_counts(session)
        unplaced(session)
        count_analyzed(session)
    event.remove(lite, "before_cursor_execute", note)
    with lite.connect() as connection:
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values) for sql, values in asked]
        steps = [step.detail for plan in plans for step in plan if "frames" in step.detail]
    assert len(steps) >= 4
    assert all("INDEX" in step for step in steps), steps
