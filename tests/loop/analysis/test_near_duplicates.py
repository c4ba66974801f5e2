"""Clusters that grow with what comes in: the same as at once where it counts, whole after every
stop, and no leak left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event
from sqlalchemy import update as changed

from db.analysis import load_embeddings, producer_id, record_embeddings
from db.duplicates import clusters_of, thresholds
from db.engine import open_database, read, write
from db.frames import NewFrame, add_frame, frames, group_id
from db.leaders import Leaders, packed_leaders
from db.rounds import rounds as all_rounds
from db.states import Origin, Role
from db.tables import CameraLeaders, CameraThreshold
from loop.analysis import near_duplicates
from loop.analysis.near_duplicates import clusters_of_side, leak_groups, stored_clusters, update
from loop.analysis.producers import producers
from loop.gaps import coverage_view
from loop.rounds import freeze
from tests.fakes import FakeParts, quiet
from tests.loop.copies import save_copies
from tests.loop.judged import started

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
DIM = 24


def scenes(camera: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Bursts of 4 frames that hardly differ, before one background."""
    rng = np.random.default_rng([3, camera])
    rows = rng.normal(size=DIM) + 0.15 * rng.normal(size=(count, DIM))[np.arange(count) // 4]
    rows += 0.01 * rng.normal(size=(count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Site:
    """A database that frames come into, camera by camera."""

    def __init__(self, path: Path, cameras: int = 2) -> None:
        self.engine: Engine = open_database(f"sqlite:///{path}")
        self.cameras = cameras
        with write(self.engine) as session:
            self.clip = producer_id(session, "embedder", "clip", {"dim": DIM})
        self._count = 0

    def add(self, count: int) -> None:
        """The next `count` frames of every camera: bursts of 4, five bursts a day."""
        for camera in range(self.cameras):
            vectors = scenes(camera, 400)
            with write(self.engine) as session:
                for number in range(self._count, self._count + count):
                    day, burst = number // 20, number // 4
                    group = group_id(session, f"cam{camera}|{day}", Role.POOL)
                    when = START + timedelta(days=day, minutes=10 * burst, seconds=number % 4)
                    seq = add_frame(session, _frame(number, camera, group, when))
                    assert seq is not None
                    record_embeddings(session, self.clip, [seq], vectors[number : number + 1])
        self._count += count

    def clusters(self) -> dict[str, tuple[str, float]]:
        """Leader and reach by content, which does not depend on the order of arrival."""
        with read(self.engine) as session:
            name = {row.seq: row.content_hash for row in frames(session)}
            found = clusters_of(session, self.clip)
        columns = zip(*(part.tolist() for part in found), strict=True)
        return {name[seq]: (name[leader], reach) for seq, leader, reach in columns}


def _frame(number: int, camera: int, group: int, when: datetime) -> NewFrame:
    return NewFrame(
        content_hash=f"{camera}{number:063d}",
        path="frame.jpg",
        origin=Origin.PRODUCTION,
        group_id=group,
        camera=f"cam{camera}",
        site="",
        width=8,
        height=8,
        bytes=9,
        source_key=f"{camera}-{number}.jpg",
        captured_at=when,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site.db")
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    site = Site(tmp_path_factory.mktemp("once") / "site.db")
    site.add(80)
    assert update(site.engine, site.clip) == 160
    found = site.clusters()
    site.engine.dispose()
    return found


def test_bursts_become_clusters(at_once: dict[str, tuple[str, float]]) -> None:
    burst = {name: (name[0], int(name[1:]) // 4) for name in at_once}
    assert all(burst[name] == burst[leader] for name, (leader, _) in at_once.items())
    assert 40 <= len({leader for leader, _ in at_once.values()}) <= 60


def test_grown_to_where_all_is_learned_anew_it_is_as_at_once(
    site: Site, at_once: dict[str, tuple[str, float]]
) -> None:
    for step in (7, 3, 10, 1, 19, 40):
        site.add(step)
        assert update(site.engine, site.clip) == 2 * step
    assert site.clusters() == at_once


def test_nothing_new_is_nothing_to_do(site: Site) -> None:
    site.add(20)
    assert update(site.engine, site.clip) == 40
    before = site.clusters()
    assert update(site.engine, site.clip) == 0
    assert site.clusters() == before


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, 12), min_size=2, max_size=6))
def test_between_these_points_what_was_assigned_stays_and_every_frame_is_near_its_leader(
    steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = Site(tmp_path_factory.mktemp("grow") / "site.db", cameras=1)
    before: dict[str, tuple[str, float]] = {}
    learned_from = 0
    for step in steps:
        site.add(step)
        update(site.engine, site.clip)
        now = site.clusters()
        with read(site.engine) as session:
            known = thresholds(session, site.clip)["cam0"]
        assert known.frames == len(now)
        assert learned_from <= known.learned_from <= known.frames < 2 * known.learned_from
        if known.learned_from == learned_from:
            assert {name: now[name] for name in before} == before
        before, learned_from = now, known.learned_from
        _check_leaders(now)
    site.engine.dispose()


def _check_leaders(found: dict[str, tuple[str, float]]) -> None:
    vectors = scenes(0, 400).astype(np.float16).astype(np.float64)
    for name, (leader, reach) in found.items():
        assert found[leader][0] == leader, "a leader leads itself"
        apart = np.linalg.norm(vectors[int(name[1:])] - vectors[int(leader[1:])])
        assert apart <= min(reach, found[leader][1]) + 1e-5


class Stopped(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("at", range(4))
def test_stopped_at_any_commit_it_goes_on_to_the_same(
    at: int, site: Site, at_once: dict[str, tuple[str, float]]
) -> None:
    commits = 0

    def stop(connection: object) -> None:
        nonlocal commits
        commits += 1
        if commits - 1 == at:
            raise Stopped

    site.add(40)
    event.listen(site.engine, "commit", stop)
    with pytest.raises(Stopped) if at < 2 else nullcontext():
        update(site.engine, site.clip)
    event.remove(site.engine, "commit", stop)
    update(site.engine, site.clip)
    site.add(40)
    update(site.engine, site.clip)
    assert site.clusters() == at_once


def test_what_joins_is_stored_for_all_cameras_at_once_or_not_at_all(site: Site) -> None:
    def stop(connection: object) -> None:
        raise Stopped

    site.add(40)
    update(site.engine, site.clip)
    before = site.clusters()
    site.add(8)
    event.listen(site.engine, "commit", stop)
    with pytest.raises(Stopped):
        update(site.engine, site.clip)
    event.remove(site.engine, "commit", stop)
    assert site.clusters() == before
    assert update(site.engine, site.clip) == 16
    assert len(site.clusters()) == 96


def packed(site: Site) -> Leaders:
    with read(site.engine) as session:
        found = packed_leaders(session, site.clip, "cam0")
    assert found is not None
    return found


def check_packed(site: Site) -> None:
    """What new frames are compared with is what leads, as it is stored."""
    found = packed(site)
    with read(site.engine) as session:
        known, leader, reach = clusters_of(session, site.clip)
        ids, vectors = load_embeddings(session, site.clip, found.seq)
        camera = {row.seq: row.camera for row in frames(session)}
        group = {row.seq: row.group_id for row in frames(session)}
    lead = [seq for seq in known[known == leader].tolist() if camera[seq] == "cam0"]
    assert sorted(found.seq.tolist()) == lead
    assert found.group.tolist() == [group[seq] for seq in found.seq.tolist()]
    np.testing.assert_array_equal(found.reach, reach[np.searchsorted(known, found.seq)])
    own = vectors[np.searchsorted(ids, found.seq)]
    np.testing.assert_array_equal(found.vectors, own[:, found.coordinates])
    np.testing.assert_array_equal(found.residual(), (own - found.center)[:, found.coordinates])


def test_the_center_is_the_one_by_which_the_threshold_was_learned(site: Site) -> None:
    site.add(40)
    update(site.engine, site.clip)
    check_packed(site)
    at_first = packed(site)
    learned = scenes(0, 400)[:40].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(at_first.center, np.median(learned, axis=0))
    site.add(20)
    update(site.engine, site.clip)
    check_packed(site)
    np.testing.assert_array_equal(packed(site).center, at_first.center)
    assert packed(site).seq[: len(at_first)].tolist() == at_first.seq.tolist()
    site.add(20)
    update(site.engine, site.clip)
    check_packed(site)
    assert packed(site).center.tolist() != at_first.center.tolist()


def test_leaders_that_a_version_before_did_not_pack_are_packed(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path / "before.db")
    for each in (site, other):
        each.add(60)
        update(each.engine, each.clip)
    with write(other.engine) as session:
        session.execute(delete(CameraLeaders))
        session.execute(changed(CameraThreshold).values(center=None, coordinates=None))
    for each in (site, other):
        each.add(30)
        update(each.engine, each.clip)
        check_packed(each)
    assert other.clusters() == site.clusters()
    other.engine.dispose()


def test_a_process_that_was_overtaken_looks_again(
    site: Site, at_once: dict[str, tuple[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(80)
    record, overtaken = near_duplicates.record_clusters, []

    def late(*arguments: Any) -> bool:
        if not overtaken:
            overtaken.append(True)
            return False
        return record(*arguments)

    monkeypatch.setattr(near_duplicates, "record_clusters", late)
    update(site.engine, site.clip)
    assert overtaken
    assert site.clusters() == at_once


def test_clusters_without_a_database_are_the_stored_ones(chosen: FakeParts) -> None:
    view = coverage_view.build(chosen, quiet)
    side = view.production
    stored = stored_clusters(chosen.project.engine, view.embedder, side.seq)
    pure = clusters_of_side(side)
    assert all(len(np.unique(stored[pure == cluster])) == 1 for cluster in np.unique(pure))
    assert len(np.unique(stored)) == len(np.unique(pure))


def test_analysis_leaves_no_frame_without_a_cluster(chosen: FakeParts) -> None:
    with read(chosen.project.engine) as session:
        embedded = {row.seq for row in frames(session) if row.embedded_by}
        producer = max(row.embedded_by for row in frames(session))
        assert set(clusters_of(session, producer)[0].tolist()) == embedded


@pytest.fixture
def with_copies(labeled: FakeParts, tmp_path: Path) -> FakeParts:
    save_copies(labeled, tmp_path / "incoming")
    return labeled


def test_no_near_duplicates_lie_on_both_sides_of_a_frozen_dataset(with_copies: FakeParts) -> None:
    started(with_copies)
    project = with_copies.project
    embedder = producers(with_copies).embedder
    with read(project.engine) as session:
        manifest = freeze.build_manifest(project, embedder, all_rounds(session)[-1])
        ids, vectors = load_embeddings(session, embedder, [entry.frame for entry in manifest.entries])
        known, _, reach = clusters_of(session, embedder, ids.tolist())
    assert known.tolist() == ids.tolist()
    entry = {entry.frame: entry for entry in manifest.entries}
    trains = np.array([entry[seq].split == "train" for seq in ids.tolist()])
    camera = np.array([entry[seq].group.partition("|")[0] for seq in ids.tolist()])
    apart = np.linalg.norm(vectors[:, None].astype(np.float64) - vectors, axis=2)
    limit = np.where(camera[:, None] == camera, np.maximum(reach[:, None], reach), near_duplicates.SAME_VIEW)
    assert 0 < trains.sum() < len(trains)
    assert not (apart <= limit)[trains][:, ~trains].any()
    assert sum("near-duplicate" in why for _, why in manifest.dropped) >= 6


def test_copies_are_in_one_group_whatever_their_camera(with_copies: FakeParts) -> None:
    with read(with_copies.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
        producer = rows[0].embedded_by
    groups = leak_groups(with_copies.project.engine, producer, rows)
    assert set(groups) == {row.seq for row in rows}
    copies = [row for row in rows if "-9" in row.source_key and "/2359" in row.source_key]
    assert len(copies) == 6
    others: dict[int, int] = {}
    for row in rows:
        if row not in copies:
            others[groups[row.seq]] = row.seq
    assert all(groups[copy.seq] in others for copy in copies)
