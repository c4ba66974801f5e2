"""Clusters of near-duplicates as rows: what waits, what is known, and two processes at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.analysis import producer_id, record_embeddings
from db.duplicates import (
    NO_LEADER,
    CameraThresholdRow,
    Clustered,
    camera_frames,
    cameras_waiting,
    clusters_of,
    latest_frames,
    new_frames,
    record_clusters,
    threshold,
    thresholds,
)
from db.engine import read, write
from db.frames import NewFrame, add_frame, group_id
from db.leaders import PER_PART, Leaders, leaders_by_row, packed_leaders
from db.states import Origin, Role
from tests.db.world import unit_vectors

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def add(
    session: Session, number: int, camera: str = "gate", minutes: float | None = None, **more: str
) -> int:
    group = group_id(session, f"{camera}|a", Role.EVALUATION if camera == "held" else Role.POOL)
    when = None if minutes is None else NOON + timedelta(minutes=minutes)
    frame = NewFrame(
        content_hash=f"{number:064d}",
        path=f"frames/{number}.jpg",
        origin=Origin.PRODUCTION,
        group_id=group,
        camera=camera,
        site="",
        width=8,
        height=8,
        bytes=9,
        source_key=f"{number}.jpg",
        captured_at=when,
        sequence=more.get("sequence"),
    )
    seq = add_frame(session, frame)
    assert seq is not None
    return seq


def embedded(session: Session, seqs: list[int], name: str = "clip") -> int:
    made = producer_id(session, "embedder", name, {"dim": 4})
    record_embeddings(session, made, seqs, unit_vectors(len(seqs), 4))
    return made


def no_leaders() -> Leaders:
    return Leaders.none(np.arange(2), np.zeros(4, np.float32))


def made(camera: str, seqs: list[int], leaders: list[int], total: int) -> Clustered:
    learned = CameraThresholdRow(camera, 0.25, total, total)
    return Clustered(learned, np.array(seqs), np.array(leaders), np.full(len(seqs), 0.125), no_leaders())


def test_what_waits_is_told_by_camera_and_embedder(engine: Engine) -> None:
    with write(engine) as session:
        seqs = [add(session, n, "gate" if n < 3 else "yard") for n in range(5)]
        clip, other = embedded(session, seqs[:4]), embedded(session, seqs, "other")
        assert cameras_waiting(session, clip) == {"gate": 3, "yard": 1}
        assert record_clusters(session, clip, made("gate", seqs[:3], seqs[:1] * 3, 3), 0)
        assert cameras_waiting(session, clip) == {"yard": 1}
        assert cameras_waiting(session, other) == {"gate": 3, "yard": 2}
        assert record_clusters(session, clip, made("yard", seqs[3:4], seqs[3:4], 1), 0)
        assert cameras_waiting(session, clip) == {}


def test_frames_of_a_camera_come_in_order_of_time_with_what_is_known(engine: Engine) -> None:
    with write(engine) as session:
        late = add(session, 0, minutes=5, sequence="b")
        undated = add(session, 1)
        early = add(session, 2, minutes=1, sequence="a")
        clip = embedded(session, [late, undated, early])
        add(session, 3, minutes=2)
        record_clusters(session, clip, made("gate", [late, early], [early, early], 2), 0)
    with read(engine) as session:
        found = camera_frames(session, clip, "gate")
        assert found.seq.tolist() == [early, late, undated]
        assert found.sequence == ["a", "b", None]
        np.testing.assert_array_equal(np.diff(found.seconds), [240, np.nan])
        assert found.leader.tolist() == [early, early, NO_LEADER]
        np.testing.assert_array_equal(found.reach, [0.125, 0.125, np.nan])
        assert not found.held_out.any()
        assert len(camera_frames(session, clip, "nowhere")) == 0


def test_frames_of_evaluation_groups_are_held_out(engine: Engine) -> None:
    with write(engine) as session:
        clip = embedded(session, [add(session, 0, "held")])
        assert camera_frames(session, clip, "held").held_out.tolist() == [True]


def test_of_two_processes_the_quicker_one_is_believed_and_the_other_told(engine: Engine) -> None:
    with write(engine) as session:
        seqs = [add(session, n) for n in range(3)]
        clip = embedded(session, seqs)
    with write(engine) as session:
        assert record_clusters(session, clip, made("gate", seqs[:2], seqs[:1] * 2, 2), 0)
    for before in (0, 1):
        with write(engine) as session:
            assert not record_clusters(session, clip, made("gate", seqs, seqs, 3), before)
    with write(engine) as session:
        assert record_clusters(session, clip, made("gate", seqs[2:], seqs[2:], 3), 2)
    with read(engine) as session:
        found, leader, reach = clusters_of(session, clip)
        assert found.tolist() == seqs
        assert leader.tolist() == [seqs[0], seqs[0], seqs[2]]
        assert reach.tolist() == [0.125] * 3
        assert [part.tolist() for part in clusters_of(session, clip, seqs[1:2])[:2]] == [[seqs[1]], [seqs[0]]]


def test_a_camera_that_is_learned_anew_forgets_what_it_taught(engine: Engine) -> None:
    with write(engine) as session:
        seqs = [add(session, n) for n in range(2)]
        clip = embedded(session, seqs)
        assert threshold(session, clip, "gate") is None
        assert clusters_of(session, clip)[0].tolist() == []
        record_clusters(session, clip, made("gate", seqs, seqs, 2), 0)
        anew = Clustered(
            CameraThresholdRow("gate", 0.5, 2, 2),
            np.array(seqs),
            np.array(seqs[:1] * 2),
            np.full(2, 0.5),
            no_leaders(),
        )
        assert record_clusters(session, clip, anew, 2)
    with read(engine) as session:
        assert threshold(session, clip, "gate") == CameraThresholdRow("gate", 0.5, 2, 2)
        assert thresholds(session, clip) == {"gate": CameraThresholdRow("gate", 0.5, 2, 2)}
        assert clusters_of(session, clip)[1].tolist() == seqs[:1] * 2


def test_what_growth_needs_is_new_frames_and_the_latest(engine: Engine) -> None:
    with write(engine) as session:
        seqs = [add(session, n, minutes=n) for n in range(6)]
        clip = embedded(session, seqs)
        record_clusters(session, clip, made("gate", seqs[:5], seqs[:1] * 3 + seqs[3:4] * 2, 5), 0)
    with read(engine) as session:
        new, group = new_frames(session, clip, "gate")
        latest, same = latest_frames(session, clip, "gate", 2)
        assert new.tolist() == seqs[5:]
        assert latest.tolist() == [seqs[4], seqs[3]]
        assert {*group.tolist(), *same.tolist()} == {1}
        assert camera_frames(session, clip, "gate", seqs[4:]).leader.tolist() == [seqs[3], NO_LEADER]
        assert [part.tolist() for part in leaders_by_row(session, clip, "gate")] == [
            [seqs[0], seqs[3]],
            [1, 1],
            [0.125, 0.125],
        ]


def test_a_vector_that_comes_again_or_late_waits_once(engine: Engine) -> None:
    with write(engine) as session:
        early, late = add(session, 0), add(session, 1)
        clip = embedded(session, [late])
        record_clusters(session, clip, made("gate", [late], [late], 1), 0)
    with write(engine) as session:
        embedded(session, [early, late])
        embedded(session, [early])
        assert cameras_waiting(session, clip) == {"gate": 1}
        assert new_frames(session, clip, "gate")[0].tolist() == [early]


def some_leaders(start: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    numbers = np.arange(start, start + count)
    return numbers, numbers % 7, numbers / 1000, unit_vectors(count, 4, seed=start)


def test_leaders_come_back_as_they_were_packed_part_by_part(engine: Engine) -> None:
    counts = (PER_PART - 1, 1, 1, 2 * PER_PART + 3, 0)
    expected = Leaders.none(np.array([1, 3]), np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    with write(engine) as session:
        clip = embedded(session, [add(session, 0)])
        assert packed_leaders(session, clip, "gate") is None
    for known, count in enumerate(counts):
        kept = len(expected)
        expected = expected.and_more(*some_leaders(kept, count))
        learned = CameraThresholdRow("gate", 0.25, 1, known + 1)
        grown = Clustered(learned, np.zeros(0), np.zeros(0), np.zeros(0), expected, kept)
        with write(engine) as session:
            assert record_clusters(session, clip, grown, known)
        with read(engine) as session:
            check_same(packed_leaders(session, clip, "gate"), expected)
    with write(engine) as session:
        fewer = Leaders.none(np.array([0]), np.zeros(4, np.float32)).and_more(*some_leaders(0, 2))
        assert record_clusters(session, clip, Clustered(learned, *3 * (np.zeros(0),), fewer), len(counts))
    with read(engine) as session:
        check_same(packed_leaders(session, clip, "gate"), fewer)


def check_same(found: Leaders | None, expected: Leaders) -> None:
    assert found is not None
    for name, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)
