"""What is said to be stored of slices is stored, whoever wrote it and wherever he stopped."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from db.analysis import producer_id
from db.engine import read, write
from db.frames import add_frame, group_id
from db.recorded_slices import COUNTS, Recorded, as_stored, open_recorded, save_recorded
from db.slice_members import (
    Counts,
    Members,
    add_counts,
    load_counts,
    members,
    members_of,
    record_counts,
    record_members,
)
from db.slices import NewSlice, define_slices
from db.states import Role, SliceKind
from db.tables import Frame
from tests.db.world import new_frame

NAMES = ("fog", "rain", "snow")


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def some_members(rng: np.random.Generator, frames: np.ndarray) -> Members:
    """Some of these frames, in any order."""
    chosen = rng.permutation(frames)[: rng.integers(len(frames) + 1)]
    return Members(chosen, rng.uniform(0.1, 1, len(chosen)))


def some_counts(rng: np.random.Generator, groups: np.ndarray, numbers: list[int]) -> Counts:
    pairs = [(group, number) for group in groups for number in numbers if rng.random() < 0.6]
    group, number = np.array(pairs, np.int64).reshape(-1, 2).T
    inside = rng.integers(1, 3, len(pairs))
    return Counts(group, number, inside + 1, inside, inside / 3, inside / 7)


def as_rows(counts: Counts) -> dict[tuple[int, int], tuple[float, ...]]:
    rows = zip(*(getattr(counts, name).tolist() for name in COUNTS), strict=True)
    return {(number, group): tuple(rest) for group, number, *rest in rows}


class Stock:
    """40 frames in 8 groups, three slices, two producers."""

    def __init__(self, session: Session) -> None:
        self.groups = ids(*(group_id(session, f"day {day}", Role.POOL) for day in range(8)))
        for number in range(40):
            add_frame(session, new_frame(int(self.groups[number // 5]), number))
        self.frames = ids(*session.execute(select(Frame.seq).order_by(Frame.seq)).scalars())
        self.slices = list(
            define_slices(session, [NewSlice(name, SliceKind.PROMPT, name) for name in NAMES]).values()
        )
        self.producers = [producer_id(session, "embedder", name) for name in ("clip", "other clip")]


@pytest.fixture
def stock(engine: Engine) -> Stock:
    with write(engine) as session:
        return Stock(session)


RECORDED = Recorded(
    ids(1, 2, 5),
    {(1, 7): Members(ids(2, 5), np.array([0.5, 0.25])), (1, 8): Members(ids(), np.zeros(0))},
    Counts(ids(3), ids(7), ids(3), ids(2), np.array([1.5]), np.array([0.75])),
)


def same(found: Recorded | None, truth: Recorded) -> bool:
    return (
        found is not None
        and found.frames.tolist() == truth.frames.tolist()
        and {key: (each.frames.tolist(), each.strength.tolist()) for key, each in found.members.items()}
        == {key: (each.frames.tolist(), each.strength.tolist()) for key, each in truth.members.items()}
        and as_rows(found.counts) == as_rows(truth.counts)
    )


def test_what_was_left_is_found_by_its_token_alone(tmp_path: Path) -> None:
    folder = tmp_path / "index" / "slices"
    assert open_recorded(folder, None) is None
    assert open_recorded(folder, "") is None
    assert open_recorded(folder, "one") is None
    save_recorded(folder, "one", RECORDED)
    assert same(open_recorded(folder, "one"), RECORDED)
    assert open_recorded(folder, "two") is None
    assert open_recorded(folder, "") is None
    save_recorded(folder, "two", Recorded(ids(), {}, Counts(*(np.zeros(0) for _ in COUNTS))))
    assert open_recorded(folder, "one") is None
    found = open_recorded(folder, "two")
    assert found is not None
    assert (len(found.frames), found.members, len(found.counts.group)) == (0, {}, 0)


def test_what_was_opened_stays_when_another_is_left(tmp_path: Path) -> None:
    save_recorded(tmp_path, "one", RECORDED)
    found = open_recorded(tmp_path, "one")
    save_recorded(tmp_path, "two", Recorded(ids(9), {}, RECORDED.counts))
    assert same(found, RECORDED)
    shutil.rmtree(tmp_path)
    assert same(found, RECORDED)


@pytest.mark.parametrize("damage", ["rows.json", "member", "strength", "known"])
def test_a_damaged_view_counts_as_none(tmp_path: Path, damage: str) -> None:
    save_recorded(tmp_path, "one", RECORDED)
    os.truncate(tmp_path / damage, 4)
    assert open_recorded(tmp_path, "one") is None
    save_recorded(tmp_path, "one", RECORDED)
    assert same(open_recorded(tmp_path, "one"), RECORDED)


@pytest.mark.parametrize("step", range(1, 20, 3))
def test_a_full_disk_leaves_none_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    save_recorded(tmp_path, "one", RECORDED)
    calls, sync = iter(range(1, 99)), os.fsync

    def full(number: int) -> None:
        if next(calls) >= step:
            raise OSError(28, "No space left on device")
        sync(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        try:
            save_recorded(tmp_path, "two", RECORDED)
        except OSError:
            assert open_recorded(tmp_path, "one") is None
    found = open_recorded(tmp_path, "two")
    assert found is None or same(found, RECORDED)
    save_recorded(tmp_path, "two", RECORDED)
    assert same(open_recorded(tmp_path, "two"), RECORDED)


def test_who_opens_while_another_saves_finds_all_or_nothing(tmp_path: Path) -> None:
    """The files of a header were gone when they were mapped."""

    def left(token: int) -> Recorded:
        return Recorded(np.arange(token), {(1, 1): Members(ids(token), np.ones(1))}, RECORDED.counts)

    def save(token: int) -> None:
        save_recorded(tmp_path, str(token), left(token))

    def look(token: int) -> bool:
        found = open_recorded(tmp_path, str(token))
        return found is None or same(found, left(token))

    with ThreadPoolExecutor(4) as pool:
        saved = [pool.submit(save, token % 3 + 1) for token in range(30)]
        found = [pool.submit(look, token % 3 + 1) for token in range(200)]
        assert all(each.result(30) for each in found)
        assert [each.result(30) for each in saved] == [None] * 30


@pytest.mark.parametrize("told", [False, True])
def test_members_become_what_is_said_of_them(engine: Engine, stock: Stock, told: bool) -> None:
    """Whether or not it is told what is stored, and of whatever frames something is said."""
    rng = np.random.default_rng(int(told))
    key = stock.producers[0], stock.slices[0]
    before: Members | None = None
    for turn in range(12):
        with write(engine) as session:
            was = dict(zip(*(each.tolist() for each in members(session, *key)), strict=True))
            now = some_members(rng, stock.frames)
            judged = None if turn % 3 == 0 else np.union1d(now.frames, some_members(rng, stock.frames).frames)
            kept = {} if judged is None else {seq: was[seq] for seq in was if seq not in judged}
            before = record_members(session, *key, now, before if told else None, judged)
            seqs, strength = members(session, *key)
        wanted = kept | dict(zip(now.frames.tolist(), now.strength.tolist(), strict=True))
        assert seqs.tolist() == before.frames.tolist() == sorted(wanted)
        assert strength.tolist() == before.strength.tolist()
        for seq, value in zip(seqs.tolist(), strength.tolist(), strict=True):
            assert abs(value - wanted[seq]) <= 0.1 * value
            assert value in (wanted[seq], was.get(seq))


@pytest.mark.parametrize("told", [False, True])
def test_counts_become_what_is_counted(engine: Engine, stock: Stock, told: bool) -> None:
    rng = np.random.default_rng(int(told))
    before: Counts | None = None
    for turn in range(8):
        now = some_counts(rng, stock.groups[: 8 - turn % 3], stock.slices)
        with write(engine) as session:
            record_counts(session, now, before if told else None)
            assert as_rows(load_counts(session)) == as_rows(now)
        before = now
    with write(engine) as session:
        record_counts(session, some_counts(rng, ids(), []), before if told else None)
        assert len(load_counts(session).group) == 0


def test_what_was_written_since_of_new_frames_is_part_of_it(engine: Engine, stock: Stock) -> None:
    """Of frames that came in and of frames that were there for another model; no other is read."""
    rng = np.random.default_rng(3)
    keys = [(maker, number) for maker in stock.producers for number in stock.slices]
    old, new = stock.frames[:25], stock.frames[25:]
    with write(engine) as session:
        held = {
            key: record_members(session, *key, some_members(rng, stock.frames[5:30])) for key in keys[:-2]
        }
        counts = some_counts(rng, stock.groups[:6], stock.slices)
        record_counts(session, counts)
        left = Recorded(old, held, counts)
        for key in keys[1:]:
            record_members(session, *key, some_members(rng, new), judged=new)
        add_counts(session, some_counts(rng, stock.groups[5:], stock.slices[1:]))
    with read(engine) as session:
        found = as_stored(session, left, new, stock.groups[5:])
        assert found.members.keys() == held.keys()
        for key, each in found.members.items():
            seqs, strength = members(session, *key)
            assert (each.frames.tolist(), each.strength.tolist()) == (seqs.tolist(), strength.tolist())
        assert as_rows(found.counts) == as_rows(load_counts(session))
        nothing = as_stored(session, left, ids(), ids())
        assert nothing.members == held
        assert members_of(session, ids()) == {}
        some = members_of(session, new[::2])
        for key, each in some.items():
            seqs, _ = members(session, *key)
            assert each.frames.tolist() == [seq for seq in seqs.tolist() if seq in new[::2]]
