"""One open round, moved by compare-and-set, and frozen dataset versions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from db.engine import read, write
from db.errors import Conflict, StateError
from db.models import add_model
from db.rounds import (
    Member,
    add_dataset,
    advance,
    brief_of,
    count_rounds,
    dataset,
    dataset_batches,
    dataset_counts,
    dataset_members,
    newest_round,
    open_round,
    request_cancel,
    round_briefs,
    round_by_id,
    rounds,
    start_round,
    update_progress,
)
from db.states import OPEN_ROUNDS, RoundStatus, TaskStatus
from db.tasks import add_tasks, create_batch, move, tasks
from tests.db.world import new_task, stocked

FREEZING, TRAINING, FAILED = RoundStatus.FREEZING, RoundStatus.TRAINING, RoundStatus.FAILED


@pytest.fixture
def base(engine: Engine) -> int:
    with write(engine) as session:
        return add_model(session, "a" * 64, "models/a.pt", ["person"])


def started(engine: Engine, base: int) -> int:
    with write(engine) as session:
        return start_round(session, base, {"epochs": 3})


def test_one_round_is_open_at_a_time(engine: Engine, base: int) -> None:
    first = started(engine, base)
    with pytest.raises(
        Conflict, match=rf"expected no open round, got round {first} \(freezing\); go on with it by"
    ):
        started(engine, base)
    with write(engine) as session:
        assert advance(session, first, FREEZING, FAILED, error="one image only")
        assert open_round(session) is None
    second = started(engine, base)
    with read(engine) as session:
        assert [(row.id, row.status, row.error) for row in rounds(session)] == [
            (first, "failed", "one image only"),
            (second, "freezing", None),
        ]


@pytest.mark.parametrize("status", OPEN_ROUNDS)
def test_every_unfinished_status_keeps_others_out(engine: Engine, base: int, status: RoundStatus) -> None:
    first = started(engine, base)
    with write(engine) as session:
        advance(session, first, FREEZING, status)
    with pytest.raises(Conflict, match=rf"got round {first} \({status}\)"):
        started(engine, base)


def test_of_several_threads_one_starts_a_round(engine: Engine, base: int) -> None:
    def start(_: int) -> int:
        try:
            return started(engine, base)
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert sum(found > 0 for found in pool.map(start, range(4))) == 1


def test_advance_is_compare_and_set(engine: Engine, base: int) -> None:
    number = started(engine, base)
    with write(engine) as session:
        assert advance(session, number, FREEZING, TRAINING, progress={"epoch": 0})
        assert not advance(session, number, FREEZING, TRAINING)
        assert update_progress(session, number, {"epoch": 2, "epochs": 3})
        assert request_cancel(session, number)
    with read(engine) as session:
        row = round_by_id(session, number)
        assert row == open_round(session)
    assert (row.status, row.progress, row.cancel_requested) == (TRAINING, {"epoch": 2, "epochs": 3}, True)
    assert (row.settings, row.base_model_id, row.verdict) == ({"epochs": 3}, base, None)
    assert row.changed_at > row.created_at


def test_a_finished_round_takes_no_progress_and_no_cancel(engine: Engine, base: int) -> None:
    number = started(engine, base)
    with write(engine) as session:
        advance(session, number, FREEZING, RoundStatus.REJECTED, verdict={"passed": False})
        assert not update_progress(session, number, {"epoch": 9})
        assert not request_cancel(session, number)
        row = round_by_id(session, number)
    assert (row.progress, row.cancel_requested, row.verdict) == ({}, False, {"passed": False})


def test_what_is_unknown_is_named(lite: Engine) -> None:
    with write(lite) as session:
        with pytest.raises(StateError, match="expected a round, got the unknown id 9"):
            round_by_id(session, 9)
        with pytest.raises(StateError, match="expected a dataset version, got the unknown id 9"):
            dataset(session, 9)
        with pytest.raises(ValueError, match=r"expected fields among .*got \['status_text'\]"):
            advance(session, 1, FREEZING, TRAINING, status_text="x")


def test_a_dataset_version_is_stored_once_by_its_manifest(engine: Engine) -> None:
    a, b, c = stocked(engine, 3)
    members = [Member(b, "val"), Member(a, "train", 3)]
    with write(engine) as session:
        first = add_dataset(session, "m" * 64, "datasets/m", {"images": 2}, members)
        assert add_dataset(session, "m" * 64, "datasets/m", {"images": 2}, members) == first
        assert add_dataset(session, "n" * 64, "datasets/n", {}, [Member(c, "test")]) != first
        assert dataset_members(session, first) == [Member(a, "train", 3), Member(b, "val", 1)]
        stored = dataset(session, first)
    assert (stored.manifest_sha256, stored.path, stored.summary) == ("m" * 64, "datasets/m", {"images": 2})


def test_briefs_say_the_same_as_whole_rounds_without_their_verdicts(engine: Engine, base: int) -> None:
    verdicts = [{"promote": True, "reasons": ["is better", "b"]}, {"promote": False, "reasons": []}, None]
    with write(engine) as session:
        candidate = add_model(session, "b" * 64, "models/b.pt", ["person"], parent=base)
    for place, verdict in enumerate(verdicts):
        number = started(engine, base)
        values = {
            "verdict": verdict,
            "candidate_id": None if place else candidate,
            "progress": {"epoch": place},
        }
        with write(engine) as session:
            advance(session, number, FREEZING, FAILED, **values)
    with read(engine) as session:
        every = [brief_of(row) for row in reversed(rounds(session))]
        assert round_briefs(session, 9) == every
        assert [(row.promote, row.reason) for row in every] == [(None, ""), (False, ""), (True, "is better")]
        assert round_briefs(session, 1) == every[:1]
        assert round_briefs(session, 1, [candidate]) == [every[0], every[2]]
        assert round_briefs(session, 1, before=every[0].id) == every[1:2]
        newest = newest_round(session)
        assert newest is not None
        assert brief_of(newest) == every[0]
        assert count_rounds(session) == 3


def test_a_dataset_tells_its_splits_and_the_batches_it_came_from(engine: Engine) -> None:
    seqs = stocked(engine, 3)
    with write(engine) as session:
        batches = [create_batch(session, "hybrid", 0, 2, {}) for _ in range(2)]
        add_tasks(session, batches[0], [new_task(seqs[0], key="a"), new_task(seqs[1], key="b")])
        add_tasks(session, batches[1], [new_task(seqs[2], key="c")])
        ids = {task.key: task.id for task in tasks(session)}
        move(session, ids.values(), TaskStatus.PENDING, TaskStatus.DONE)
        move(session, [ids["b"]], TaskStatus.DONE, TaskStatus.CANCELLED)
        members = [Member(seqs[0], "train"), Member(seqs[1], "train"), Member(seqs[2], "test")]
        number = add_dataset(session, "c" * 64, "datasets/c", {}, members)
        assert dataset_counts(session, number) == {"test": 1, "train": 2}
        assert dataset_batches(session, number) == [(batches[1], 1), (batches[0], 1)]
