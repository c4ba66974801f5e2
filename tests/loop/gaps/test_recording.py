"""Writing only what differs leaves the database as writing everything does."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select

from db.engine import read, write
from db.facts import get_fact
from db.frames import frames
from db.labels import set_label
from db.recorded_slices import COUNTS, Recorded, open_recorded
from db.slice_members import load_counts, members
from db.slices import restore_slice, retire_slice, slices
from db.sql import table_of
from db.states import Origin, SliceKind
from db.tables import Group, Label, Producer, SliceMember
from loop.gaps import coverage_view
from loop.gaps import slices as slicing
from loop.gaps.arrivals import analyze
from loop.gaps.slices import RECORDED
from loop.ingest.ingest import ingest
from loop.project.project import Project, open_project
from loop.rounds import deploy
from tests.fakes import (
    MONDAY,
    FakeParts,
    add_checkpoint,
    copy_linked,
    make_project,
    picture,
    quiet,
    weights,
    write_frames,
)
from tests.loop.gaps.test_slices import LEFT, TOP, add_half_dark

WORDED = """
prompts:
  time of day:
    none_below: {below}
    options: {{day: [by day], night: {{id: night, sentences: ["{night}"]}}}}
measured: {{dark: {{of: brightness, below: 0.02}}, flat: {{of: contrast, below: {flat}, per_camera: true}}}}
metadata: [camera, daypart]
dayparts: {{{dayparts}}}
"""


class World:
    """One project, and what happens to it."""

    def __init__(
        self, root: Path, url: str | None = None, dayparts: str | None = None, begun: Path | None = None
    ) -> None:
        """begun: the folder of another one of the same address and dayparts, to which nothing happened
        yet; it is copied.
        """
        self.dayparts = dayparts
        self.root, self.number = root, 0
        if begun:
            copy_linked(begun, root)
        project = open_project(root / "project") if begun else _empty(root, url)
        self.conditions = root / "own.yaml"
        settings = project.settings.model_copy(update={"conditions": str(self.conditions)})
        self.parts = FakeParts(replace(project, settings=settings))
        self.engine = project.engine
        if begun:
            self.number = 20
            return
        self.word(0)
        add_half_dark(root / "incoming", LEFT, 15, 1000)
        add_half_dark(root / "incoming", TOP, 15, 2000)
        self.come_in(0)

    @property
    def views(self) -> Path:
        return self.parts.project.indexes

    def compare(self) -> None:
        coverage_view.build(self.parts, quiet)

    def come_in(self, draw: int) -> None:
        incoming = self.root / "incoming"
        write_frames(incoming, 9, 3 * (draw % 3), first=self.number, class_of=lambda number: number % 2)
        add_half_dark(incoming, (LEFT, TOP)[draw % 2], 5, (1000, 2000)[draw % 2] + 15 + self.number)
        self.number += 20
        ingest(self.parts, quiet)
        analyze(self.parts, quiet)

    def add_at(self, hour: int, count: int) -> None:
        for number in range(count):
            when = MONDAY.replace(hour=hour) + timedelta(days=number // 4, minutes=number)
            path = self.root / "incoming" / "cam0" / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{hour}{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(seed=5000 + 100 * hour + number))
        ingest(self.parts, quiet)
        analyze(self.parts, quiet)

    def shown(self, key: str) -> list[int]:
        with read(self.engine) as session:
            (number,) = [row.id for row in slices(session) if row.key == key]
            shown = select(SliceMember.frame).where(SliceMember.slice_id == number)
            return sorted(session.execute(shown).scalars())

    def label(self, draw: int) -> None:
        with write(self.engine) as session:
            rows = [row.seq for row in frames(session, origin=Origin.PRODUCTION)]
            for seq in np.random.default_rng(draw).choice(rows, 6, replace=False).tolist():
                set_label(session, seq, [], "train", "annotation")

    def unlabel(self, draw: int) -> None:
        with write(self.engine) as session:
            known = session.execute(select(Label.frame).order_by(Label.frame)).scalars().all()
            chosen = np.random.default_rng(draw).choice(known, 5, replace=False).tolist()
            session.execute(delete(Label).where(Label.frame.in_(chosen)))

    def word(self, draw: int) -> None:
        night = ("at night", "in the dark", "by night")[draw % 3]
        below, flat, until = (0.5, 0.6)[draw % 2], (0.01, 0.3)[draw % 2], (8, 9)[draw % 2]
        dayparts = self.dayparts or f"early: [6, {until}], late: [{until}, 20]"
        text = WORDED.format(night=night, below=below, flat=flat, dayparts=dayparts)
        self.conditions.write_text(text)

    def retire(self, draw: int) -> None:
        with write(self.engine) as session:
            regions = slices(session, [SliceKind.REGION, SliceKind.PROMPT])
            for row in regions[draw % 2 :: 2]:
                (restore_slice if row.retired_at else retire_slice)(session, row.id)

    def switch(self, draw: int) -> None:
        gaps = self.parts.project.settings.gaps
        name = ("regions", "prompts", "measured")[draw % 3]
        changed = gaps.model_copy(update={name: not getattr(gaps, name)})
        settings = self.parts.project.settings.model_copy(update={"gaps": changed})
        self.parts = self.again(replace(self.parts.project, settings=settings))

    def again(self, project: Project) -> FakeParts:
        parts = FakeParts(project)
        parts.clip = self.parts.clip
        return parts

    def promote(self, draw: int, whole: bool = True) -> None:
        """Half of production is analyzed by the new detector, then the rest."""
        checkpoint = weights(blind_below=(100, 60)[draw % 2], note=str(draw % 2))
        deploy.promote(self.parts.project, add_checkpoint(self.parts.project, checkpoint), "by hand")
        with pytest.MonkeyPatch.context() as patched:
            stop_after(patched, 2)
            with suppress(KeyboardInterrupt):
                analyze(self.parts, quiet)
        self.compare()
        if whole:
            analyze(self.parts, quiet)

    def embed_otherwise(self, draw: int) -> None:
        self.parts.clip.name = ("fake-clip", "other-clip")[draw % 2]
        chosen = self.parts.project.settings.embedder.model_copy(update={"pretrained": str(draw % 2)})
        settings = self.parts.project.settings.model_copy(update={"embedder": chosen})
        self.parts = self.again(replace(self.parts.project, settings=settings))
        analyze(self.parts, quiet)

    def nothing(self, draw: int) -> None:
        pass

    def state(self) -> tuple[dict[object, float], dict[object, tuple[float, ...]]]:
        """Strength by slice, producer and frame; what is counted by slice and group. Ids are told by
        what they stand for: PostgreSQL leaves some out.
        """
        with read(self.engine) as session:
            key = {row.id: row.key for row in slices(session)}
            made = {row.id: row.name for row in session.execute(select(Producer.id, Producer.name))}
            shown = {row.seq: row.content_hash for row in frames(session)}
            group = {row.id: row.key for row in session.execute(select(Group.id, Group.key))}
            rows = session.execute(select(*table_of(SliceMember).columns)).all()
            counted = load_counts(session)
        found: dict[object, float] = {
            (key[row.slice_id], made[row.producer], shown[row.frame]): row.strength for row in rows
        }
        columns = zip(*(getattr(counted, name).tolist() for name in COUNTS), strict=True)
        return found, {(key[row[1]], group[row[0]]): row[2:] for row in columns}


def _empty(root: Path, url: str | None) -> Project:
    overrides = ["frames.path=../incoming", "gaps.prompts=true", "embedder.batch=24"]
    if url:
        overrides.append(f"database_url={json.dumps(url)}")
    return make_project(root / "project", overrides=overrides, train=24, val=4)


def stop_after(patched: pytest.MonkeyPatch, batches: int) -> None:
    """Analysis is stopped once so many batches are done."""
    from loop.analysis import analyze as analysis

    work, done = analysis._analyze_batch, iter(range(99))

    def stopped(*args: object) -> object:
        if next(done) == batches:
            raise KeyboardInterrupt
        return work(*args)  # type: ignore[arg-type]

    patched.setattr(analysis, "_analyze_batch", stopped)


Step = Callable[[World, int], None]
STEPS: tuple[Step, ...] = (
    World.come_in,
    World.label,
    World.unlabel,
    World.word,
    World.retire,
    World.switch,
    World.promote,
    World.embed_otherwise,
    World.nothing,
)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a world on SQLite to which nothing happened yet."""
    made = World(tmp_path_factory.mktemp("world") / "begun")
    made.engine.dispose()
    return made.root


def on(url: str, root: Path, begun: Path) -> World:
    return World(root, begun=begun) if url.startswith("sqlite") else World(root, url)


@pytest.fixture
def worlds(tmp_path: Path, url: str, begun: Path) -> Iterator[tuple[World, World]]:
    """The same project twice; the second is on SQLite."""
    made = on(url, tmp_path / "a", begun), World(tmp_path / "b", begun=begun)
    yield made
    for world in made:
        world.engine.dispose()


def same(one: World, other: World) -> None:
    (found, counted), (truth, true_counts) = one.state(), other.state()
    assert found.keys() == truth.keys()
    for key, strength in found.items():
        assert strength == pytest.approx(truth[key], rel=0.1), key
    assert counted.keys() == true_counts.keys()
    for key, row in counted.items():
        assert row == pytest.approx(true_counts[key]), key


def recorded(world: World) -> Recorded | None:
    with read(world.engine) as session:
        return open_recorded(world.views / "slices", get_fact(session, RECORDED))


def view_is_true(world: World) -> None:
    """What is said to be stored is stored."""
    found = recorded(world)
    if found is None:
        return
    with read(world.engine) as session:
        stored = load_counts(session)
        for (producer, number), known in found.members.items():
            seqs, strength = members(session, producer, number)
            assert known.frames.tolist() == seqs.tolist()
            np.testing.assert_allclose(known.strength, strength, rtol=1e-6)
    order = np.lexsort((found.counts.group, found.counts.slice_id))
    for name in vars(stored):
        np.testing.assert_array_equal(getattr(found.counts, name)[order], getattr(stored, name))


@pytest.mark.parametrize("seed", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_whatever_happened_the_database_is_that_of_a_comparison_from_nothing(
    worlds: tuple[World, World], seed: int
) -> None:
    one, other = worlds
    rng = np.random.default_rng(seed)
    held: Path | None = None
    for step in rng.permutation(np.array(STEPS, dtype=object))[:6]:
        draw, fate = (int(number) for number in rng.integers(100, size=2))
        for world in worlds:
            step(world, draw)
        if fate % 6 == 0:
            shutil.rmtree(one.views / "slices", ignore_errors=True)
        elif fate % 6 == 1 and held:
            shutil.rmtree(one.views / "slices", ignore_errors=True)
            shutil.copytree(held, one.views / "slices")
        elif fate % 6 == 2 and (one.views / "slices").exists():
            held = one.root / f"slices {draw}"
            shutil.copytree(one.views / "slices", held, dirs_exist_ok=True)
        shutil.rmtree(other.views, ignore_errors=True)
        for world in worlds:
            world.compare()
        same(one, other)
        view_is_true(one)


def test_frames_that_a_new_model_has_not_seen_yet_keep_what_they_showed(tmp_path: Path, begun: Path) -> None:
    """A region keeps frames that are labeled since; once they are back, it was forgotten that it
    does.
    """
    worlds = tuple(World(tmp_path / name, begun=begun) for name in "ab")
    for step in (World.nothing, World.label, World.promote, World.nothing):
        for world in worlds:
            step(world, 1)
        shutil.rmtree(worlds[1].views, ignore_errors=True)
        for world in worlds:
            world.compare()
        same(*worlds)
        view_is_true(worlds[0])
    for world in worlds:
        world.engine.dispose()


def test_what_came_in_is_not_counted_for_a_new_model_that_has_not_seen_it(
    tmp_path: Path, begun: Path
) -> None:
    """It was written since the last comparison, which was by another model."""
    worlds = tuple(World(tmp_path / name, begun=begun) for name in "ab")
    for world in worlds:
        world.compare()
        world.come_in(1)
    shutil.rmtree(worlds[1].views / "slices")
    for world in worlds:
        world.promote(2, whole=False)
    same(*worlds)
    for world in worlds:
        view_is_true(world)
        world.engine.dispose()


def test_frames_that_were_compared_meanwhile_are_not_counted_again(
    tmp_path: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even those that show nothing: somebody compared before what came in was counted."""
    world, truth = (World(tmp_path / name, begun=begun) for name in "ab")
    for each in (world, truth):
        off = each.parts.project.settings.gaps.model_copy(update={"prompts": False, "measured": False})
        each.conditions.write_text("metadata: [site]\n")
        settings = each.parts.project.settings.model_copy(update={"gaps": off})
        each.parts = each.again(replace(each.parts.project, settings=settings))
        each.compare()
    add = slicing.add

    def late(*told: Any) -> None:
        world.compare()
        add(*told)

    with monkeypatch.context() as patched:
        patched.setattr(slicing, "add", late)
        world.come_in(1)
    truth.come_in(1)
    truth.compare()
    same(world, truth)
    for each in (world, truth):
        each.engine.dispose()


def test_other_frames_in_slices_of_the_same_size_are_written(tmp_path: Path) -> None:
    """In the zone at the other side of the world, morning and evening change places."""
    world = World(tmp_path / "a", dayparts="early: [3, 4], late: [15, 16]")
    world.add_at(3, 12)
    world.add_at(15, 12)
    world.compare()
    early = world.shown("daypart/early")
    changed = world.parts.project.settings.frames.model_copy(update={"timezone": "Etc/GMT-12"})
    settings = world.parts.project.settings.model_copy(update={"frames": changed})
    world.parts = world.again(replace(world.parts.project, settings=settings))
    world.compare()
    assert len(early) == len(world.shown("daypart/early"))
    assert world.shown("daypart/late") == early
    world.engine.dispose()


@pytest.mark.slow
def test_two_that_record_at_once_write_one_after_the_other(
    tmp_path: Path, url: str, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, both wrote what differed from the same state."""
    world = on(url, tmp_path / "a", begun)
    world.compare()
    both = threading.Barrier(2, timeout=1)

    def together(folder: Path, token: str | None) -> Recorded | None:
        with suppress(threading.BrokenBarrierError):
            both.wait()
        return open_recorded(folder, token)

    monkeypatch.setattr("loop.gaps.slices.open_recorded", together)
    other = World.__new__(World)
    vars(other).update(vars(world))
    other.switch(2)
    world.label(1)
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(each.compare) for each in (world, other)]:
            each.result(60)
    view_is_true(world)
    world.engine.dispose()
