"""Views are what the database says, whatever happened to it or to them since they were last opened."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, delete, update

from connectors.ports import Detections
from db import frame_columns
from db.analysis import (
    load_detections,
    load_embeddings,
    load_measurements,
    producer_id,
    record_detections,
    record_embeddings,
    record_measurements,
)
from db.columns import HEADER, Columns
from db.engine import open_database, read, write
from db.errors import StateError
from db.frame_columns import (
    ORIGINS,
    ROLES,
    boxes_view,
    corners_view,
    frames_view,
    measures_view,
    synced,
    vectors_view,
)
from db.frames import add_frame, frames, group_id
from db.states import Origin, Role
from db.tables import Detection, Embedding, Frame
from tests.db.world import new_frame, stocked, unit_vectors

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def made(engine: Engine) -> dict[str, int]:
    with write(engine) as session:
        return {kind: producer_id(session, kind, "one") for kind in ("embedder", "detector", "measure")}


def found_in(
    boxes: int, scored: bool = True, classes: int = 2, seed: int = 0, sure: float | None = None
) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        rng.uniform(0, 9, (boxes, 4)).astype(np.float32),
        rng.uniform(0.1, 1, boxes).astype(np.float32) if sure is None else np.full(boxes, sure, np.float32),
        rng.integers(0, classes, boxes),
        rng.uniform(0, 1, (boxes, classes)).astype(np.float32) if scored else None,
        1.0,
    )


def detect(engine: Engine, made: dict[str, int], seqs: Sequence[int], found: Iterable[Detections]) -> None:
    with write(engine) as session:
        record_detections(session, made["detector"], seqs, list(found))


def embed(engine: Engine, made: dict[str, int], seqs: Sequence[int], seed: int = 0) -> None:
    with write(engine) as session:
        record_embeddings(session, made["embedder"], seqs, unit_vectors(len(seqs), 4, seed))


def assert_boxes_agree(engine: Engine, made: dict[str, int], folder: Path) -> Columns:
    found = synced(engine, folder, boxes_view(made["detector"]))
    with read(engine) as session:
        truth = load_detections(session, made["detector"])
    assert sorted(truth) == (sorted(found["frame"].tolist()) if truth else [])
    assert len(truth) == len(found)
    ends = np.cumsum(found["count"]).tolist() if truth else []
    for place, end in enumerate(ends):
        own, true = slice(end - found["count"][place], end), truth[int(found["frame"][place])]
        np.testing.assert_array_equal(found["confidence"][own], true.confidence)
        np.testing.assert_array_equal(found["class_id"][own], true.class_id)
        if len(true):
            assert found["scored"][place] == (true.class_scores is not None)
        if len(true) and found["scored"][place]:
            np.testing.assert_array_equal(found["class_scores"][own], true.class_scores)
    return found


def assert_vectors_agree(engine: Engine, made: dict[str, int], folder: Path) -> Columns:
    found = synced(engine, folder, vectors_view(made["embedder"]))
    with read(engine) as session:
        ids, vectors = load_embeddings(session, made["embedder"])
    assert len(found) == len(ids)
    if len(ids):
        order = np.argsort(found["frame"])
        assert found["frame"][order].tolist() == ids.tolist()
        np.testing.assert_array_equal(found["vector"][order], vectors)
    return found


def assert_frames_agree(engine: Engine, folder: Path) -> Columns:
    found = synced(engine, folder, frames_view())
    with read(engine) as session:
        truth = {row.seq: row for row in frames(session)}
    assert len(found) == len(truth)
    for place, seq in enumerate(found["frame"].tolist() if truth else []):
        row = truth[seq]
        for kind in ("camera", "site"):
            assert found.notes[kind][found[kind][place]] == getattr(row, kind)
        assert (*found.notes["sequence"], None)[found["sequence"][place]] == row.sequence
        assert found["group"][place] == row.group_id
        assert ORIGINS[found["origin"][place]] == row.origin
        seconds = found["captured_at"][place]
        assert np.isnan(seconds) if row.captured_at is None else seconds == row.captured_at.timestamp()
    return found


def test_there_is_nothing_to_see_in_an_empty_project(
    engine: Engine, made: dict[str, int], tmp_path: Path
) -> None:
    views = frames_view(), vectors_view(made["embedder"]), boxes_view(made["detector"])
    for view in (*views, measures_view(made["measure"])):
        found = synced(engine, tmp_path, view)
        assert (len(found), found.columns, found.made) == (0, {}, "")


def test_frames_with_and_without_time_sequence_and_site(engine: Engine, tmp_path: Path) -> None:
    with write(engine) as session:
        pool, evaluation = (group_id(session, str(role), role) for role in (Role.POOL, Role.EVALUATION))
        add_frame(session, new_frame(pool, 0))
        add_frame(session, replace(new_frame(evaluation, 1), camera="ramp", captured_at=NOON))
    first = assert_frames_agree(engine, tmp_path)
    assert [ROLES[role] for role in first["role"]] == [Role.POOL, Role.EVALUATION]
    with write(engine) as session:
        later = NOON + timedelta(seconds=0.25)
        add_frame(
            session, replace(new_frame(pool, 2, Origin.IMPORTED), sequence="a burst", captured_at=later)
        )
        add_frame(session, replace(new_frame(pool, 3), sequence="another", site="ramp"))
    found = assert_frames_agree(engine, tmp_path)
    assert found.made == first.made
    assert found["captured_at"][2] == later.timestamp()


def test_names_are_coded_alike_when_the_view_is_made_anew(engine: Engine, tmp_path: Path) -> None:
    """The cameras of a database that took the place of another."""
    with write(engine) as session:
        group = group_id(session, "a", Role.POOL)
        for number, camera in enumerate("abca"):
            add_frame(session, replace(new_frame(group, number), camera=camera))
    assert_frames_agree(engine, tmp_path)
    with write(engine) as session:
        for seq, camera in enumerate("cdbd", start=1):
            session.execute(update(Frame).where(Frame.seq == seq).values(camera=camera))
    assert_frames_agree(engine, tmp_path)


def test_vectors_that_come_in_are_added(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    seqs = stocked(engine, 30)
    embed(engine, made, seqs[:20])
    first = assert_vectors_agree(engine, made, tmp_path)
    embed(engine, made, seqs[20:], seed=1)
    found = assert_vectors_agree(engine, made, tmp_path)
    assert (found.made, len(first)) == (first.made, 20)


def test_facts_that_come_in_late_are_added(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    """With lower ids than others that are there, and with higher ones at once."""
    seqs = stocked(engine, 30)
    embed(engine, made, seqs[10:20])
    detect(engine, made, seqs[10:20], (found_in(seq % 3, seed=seq) for seq in seqs[10:20]))
    before = assert_vectors_agree(engine, made, tmp_path), assert_boxes_agree(engine, made, tmp_path)
    late = [*seqs[:10:2], *seqs[25:]]
    embed(engine, made, late, seed=1)
    detect(engine, made, late, (found_in(seq % 4, seed=seq) for seq in late))
    after = assert_vectors_agree(engine, made, tmp_path), assert_boxes_agree(engine, made, tmp_path)
    assert [each.made for each in after] == [each.made for each in before]
    embed(engine, made, seqs[1:10:2], seed=2)
    assert_vectors_agree(engine, made, tmp_path)


def test_many_rows_come_in_chunks(
    engine: Engine, made: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_columns, "CHUNK", 7)
    seqs = stocked(engine, 40)
    embed(engine, made, seqs)
    detect(engine, made, seqs, (found_in(seq % 3, seq % 5 > 0, seed=seq) for seq in seqs))
    told: list[tuple[int, int, str]] = []
    found = synced(engine, tmp_path, frames_view(), lambda *said: told.append(said))
    assert [done for done, _, _ in told] == [7, 14, 21, 28, 35, 40]
    assert {(total, what) for _, total, what in told} == {(40, "rows of frames")}
    assert len(found) == 40
    assert_vectors_agree(engine, made, tmp_path)
    assert_boxes_agree(engine, made, tmp_path)


def test_frames_without_boxes_at_first(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    """Nothing tells then how many classes there are."""
    seqs = stocked(engine, 12)
    detect(engine, made, seqs[:4], (found_in(0, scored=seq % 2 > 0) for seq in seqs[:4]))
    assert "class_scores" not in assert_boxes_agree(engine, made, tmp_path)
    detect(engine, made, seqs[4:8], (found_in(2, scored=False, seed=seq) for seq in seqs[4:8]))
    assert "class_scores" not in assert_boxes_agree(engine, made, tmp_path)
    detect(engine, made, seqs[8:], (found_in(1 + seq % 2, seed=seq) for seq in seqs[8:]))
    found = assert_boxes_agree(engine, made, tmp_path)
    assert found["scored"][4:].tolist() == [0] * 4 + [1] * 4
    assert found["class_scores"].shape == (found["count"].sum(), 2)


def test_corners_are_those_of_the_boxes(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    seqs = stocked(engine, 12)
    for part in (seqs[6:], seqs[:6]):
        detect(engine, made, part, (found_in(seq % 3, seed=seq) for seq in part))
        found = synced(engine, tmp_path, corners_view(made["detector"]))
    with read(engine) as session:
        stored = load_detections(session, made["detector"])
    assert sorted(found["frame"].tolist()) == seqs
    ends = np.cumsum(found["count"])
    for place, seq in enumerate(found["frame"].tolist()):
        own = slice(ends[place] - found["count"][place], ends[place])
        for name in ("xyxy", "confidence", "class_id"):
            np.testing.assert_array_equal(found[name][own], getattr(stored[seq], name))
    assert (set(found["width"].tolist()), set(found["height"].tolist())) == ({640}, {480})


def test_scores_of_some_frames_only(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    seqs = stocked(engine, 12)
    detect(engine, made, seqs[:6], (found_in(seq % 3, seq % 2 > 0, seed=seq) for seq in seqs[:6]))
    assert_boxes_agree(engine, made, tmp_path)
    detect(engine, made, seqs[6:], (found_in(2, False, seed=seq) for seq in seqs[6:]))
    assert_boxes_agree(engine, made, tmp_path)


def test_scores_that_do_not_fit_are_told_by_frame(
    engine: Engine, made: dict[str, int], tmp_path: Path
) -> None:
    """They were read as those of other boxes."""
    seqs = stocked(engine, 4)
    detect(engine, made, seqs, [found_in(1), found_in(3), found_in(0), found_in(2)])
    with write(engine) as session:
        torn = found_in(3, classes=4).class_scores
        assert torn is not None
        own = update(Detection).where(Detection.frame == seqs[1])
        session.execute(own.values(class_scores=torn.astype("<f2").tobytes()))
    with pytest.raises(
        StateError, match=rf"frame {seqs[0]}: expected scores of 4 classes for each of 1 boxes; detect it"
    ):
        synced(engine, tmp_path, boxes_view(made["detector"]))


def test_vectors_of_different_lengths_are_told(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    seqs = stocked(engine, 3)
    embed(engine, made, seqs[:2])
    assert_vectors_agree(engine, made, tmp_path)
    with write(engine) as session:
        record_embeddings(session, made["embedder"], seqs[2:], unit_vectors(1, 5))
    with pytest.raises(StateError, match="vectors of one producer differ in length; embed again"):
        synced(engine, tmp_path, vectors_view(made["embedder"]))


def test_measurements_of_other_names(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    seqs = stocked(engine, 5)
    rows = [{"b": 1.0, "a": 2.0}, {}, {"a": 3.0}, {"c": 4.0, "b": 5.0}, {"c": 6.0}]
    for start, stop in ((0, 2), (2, 4), (4, 5)):
        with write(engine) as session:
            record_measurements(session, made["measure"], seqs[start:stop], rows[start:stop])
        found = synced(engine, tmp_path, measures_view(made["measure"]))
    assert found.notes["names"] == ["a", "b", "c"]
    with read(engine) as session:
        truth = load_measurements(session, made["measure"])
    for place, name in enumerate(found.notes["names"]):
        np.testing.assert_array_equal(
            found[f"measure-{place}"], [truth[seq].get(name, np.nan) for seq in seqs]
        )


def forgotten(engine: Engine, seqs: Sequence[int], table: type[Any] = Embedding) -> None:
    with write(engine) as session:
        session.execute(delete(table).where(table.frame.in_(list(seqs))))


def test_a_database_restored_from_a_backup(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    """It lacks the newest frames, and gave their ids to others since."""
    seqs = stocked(engine, 300)
    embed(engine, made, seqs)
    detect(engine, made, seqs, (found_in(seq % 3, seed=seq) for seq in seqs))
    before = assert_vectors_agree(engine, made, tmp_path), assert_boxes_agree(engine, made, tmp_path)
    for table in (Embedding, Detection):
        forgotten(engine, seqs[280:], table)
    assert len(assert_vectors_agree(engine, made, tmp_path)) == 280
    embed(engine, made, seqs[280:290], seed=5)
    assert_vectors_agree(engine, made, tmp_path)
    forgotten(engine, seqs[285:290])
    embed(engine, made, seqs[285:300], seed=6)
    detect(engine, made, seqs[280:], (found_in(seq % 3, seed=seq + 1000) for seq in seqs[280:]))
    after = assert_vectors_agree(engine, made, tmp_path), assert_boxes_agree(engine, made, tmp_path)
    assert not {each.made for each in before} & {each.made for each in after}


def test_a_restored_database_that_agrees_where_it_is_asked(
    engine: Engine, made: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that it lost are seen by their number, once all others are there."""
    monkeypatch.setattr(frame_columns, "SAMPLE", 1)
    seqs = stocked(engine, 30)
    embed(engine, made, seqs[:20])
    assert_vectors_agree(engine, made, tmp_path)
    forgotten(engine, seqs[5:8])
    embed(engine, made, seqs[20:], seed=2)
    with monkeypatch.context() as patched:
        patched.setattr(np.random, "default_rng", Zeros)
        assert_vectors_agree(engine, made, tmp_path)


class Zeros:
    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        return np.zeros(size, np.int64)


def test_another_database_with_the_same_ids(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    """The same frames with as many boxes each: only how sure the detector is differs."""
    seqs = stocked(engine, 20)
    detect(engine, made, seqs, (found_in(2, scored=False, sure=0.9) for _ in seqs))
    assert_boxes_agree(engine, made, tmp_path)
    forgotten(engine, seqs, Detection)
    detect(engine, made, seqs, (found_in(2, scored=False, sure=0.2) for _ in seqs))
    assert_boxes_agree(engine, made, tmp_path)


Damage = Callable[[Path], object]
DAMAGES: dict[str, Damage] = {
    "no header": lambda view: (view / HEADER).unlink(),
    "no JSON": lambda view: (view / HEADER).write_text("{"),
    "another's header": lambda view: (view / HEADER).write_text(
        (view / HEADER).read_text().replace(view.name, "other")
    ),
    "a short file": lambda view: os.truncate(view / "frame", 8),
    "a long file": lambda view: (view / "frame").write_bytes((view / "frame").read_bytes() + b"12345"),
    "a lost file": lambda view: (view / "frame").unlink(),
    "other rows": lambda view: (view / "frame").write_bytes(np.arange(500, 520, dtype="<i8").tobytes()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_view_is_made_anew(lite: Engine, tmp_path: Path, damage: str) -> None:
    with write(lite) as session:
        made = {kind: producer_id(session, kind, "one") for kind in ("embedder", "detector")}
    seqs = stocked(lite, 30)
    embed(lite, made, seqs[:20])
    detect(lite, made, seqs[:20], (found_in(seq % 3, seed=seq) for seq in seqs[:20]))
    held = (
        assert_vectors_agree(lite, made, tmp_path)["frame"],
        assert_boxes_agree(lite, made, tmp_path)["frame"],
    )
    for name in (f"vectors-{made['embedder']}", f"boxes-{made['detector']}"):
        if damage == "other rows":
            (tmp_path / name / "frame").unlink()
        DAMAGES[damage](tmp_path / name)
    embed(lite, made, seqs[20:])
    assert_vectors_agree(lite, made, tmp_path)
    assert_boxes_agree(lite, made, tmp_path)
    if damage != "a short file":
        assert [each.tolist() for each in held] == [seqs[:20]] * 2


def test_a_full_disk_leaves_what_was_known(
    lite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with write(lite) as session:
        made = {"embedder": producer_id(session, "embedder", "one")}
    seqs = stocked(lite, 30)
    embed(lite, made, seqs[:20])
    before = assert_vectors_agree(lite, made, tmp_path)
    embed(lite, made, seqs[20:], seed=1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            synced(lite, tmp_path, vectors_view(made["embedder"]))
    assert before["frame"].tolist() == seqs[:20]
    assert assert_vectors_agree(lite, made, tmp_path).made == before.made


def test_another_detector_and_back(engine: Engine, made: dict[str, int], tmp_path: Path) -> None:
    """Whoever still reads the boxes of the former one goes on."""
    with write(engine) as session:
        other = made | {"detector": producer_id(session, "detector", "two")}
    seqs = stocked(engine, 10)
    detect(engine, made, seqs, (found_in(2, seed=seq) for seq in seqs))
    detect(engine, other, seqs[:6], (found_in(1, seed=seq) for seq in seqs[:6]))
    first = assert_boxes_agree(engine, made, tmp_path)
    assert len(assert_boxes_agree(engine, other, tmp_path)) == 6
    assert not (tmp_path / f"boxes-{made['detector']}").exists()
    assert first["confidence"].shape == (20,)
    detect(engine, made, stocked_more(engine, 2), [found_in(1), found_in(0)])
    assert len(assert_boxes_agree(engine, made, tmp_path)) == 12


def stocked_more(engine: Engine, count: int) -> list[int]:
    with write(engine) as session:
        group = group_id(session, "more", Role.POOL)
        added = [add_frame(session, new_frame(group, 900 + number)) for number in range(count)]
    return [seq for seq in added if seq is not None]


def _sync(url: str, folder: Path, embedder: int) -> None:
    engine = open_database(url)
    for _ in range(5):
        synced(engine, folder, vectors_view(embedder))
    engine.dispose()


@pytest.mark.slow
def test_processes_and_threads_that_sync_at_once(
    engine: Engine, url: str, made: dict[str, int], tmp_path: Path
) -> None:
    seqs = stocked(engine, 200)
    embed(engine, made, seqs[:20])
    child = multiprocessing.get_context("spawn").Process(
        target=_sync, args=(url, tmp_path / "views", made["embedder"])
    )
    child.start()

    def work(start: int) -> None:
        embed(engine, made, seqs[start : start + 20], seed=start)
        found = synced(engine, tmp_path / "views", vectors_view(made["embedder"]))
        assert set(seqs[start : start + 20]) <= set(found["frame"].tolist())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20, 200, 20)))
    child.join(60)
    assert child.exitcode == 0
    assert len(assert_vectors_agree(engine, made, tmp_path / "views")) == 200
