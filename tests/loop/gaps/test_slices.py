"""A condition, a class or a region is one slice for good: whatever grows past it and whatever it is
called.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from connectors.ports import Box, Purpose
from db.engine import read, write
from db.frames import frames
from db.labels import set_label
from db.slice_members import load_counts, members
from db.slices import SliceRow, slice_totals, slices
from db.states import SliceKind, TaskStatus
from db.tasks import batches, move, tasks
from loop.analysis.analyze import analyze
from loop.changes.audit import Who
from loop.changes.slices import give_name, restore, retire
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.insights.slices import all_slices
from loop.rounds import judge, rounds
from loop.selection.select import select
from tests.fakes import BRIGHT, MONDAY, SIZE, FakeParts, make_project, quiet, write_frames

LEFT, TOP = "left", "top"
WHO = Who("Ada", "command")


def half_dark(side: str, seed: int) -> bytes:
    """A picture of which the left or the upper half lies in the dark; no training frame is like
    that.
    """
    pixels = np.full((SIZE[1], SIZE[0], 3), BRIGHT, np.int64)
    pixels += np.random.default_rng(seed).integers(-12, 13, pixels.shape)
    if side == LEFT:
        pixels[:, : SIZE[0] // 2] -= 150
    else:
        pixels[: SIZE[1] // 2] -= 150
    file = io.BytesIO()
    Pil.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=95)
    return file.getvalue()


def add_half_dark(folder: Path, side: str, count: int, first: int) -> None:
    """Bursts of five over two cameras and many days."""
    for number in range(first, first + count):
        burst = number // 5
        when = MONDAY + timedelta(days=burst % 6, minutes=burst, seconds=number % 5)
        path = folder / f"cam{burst % 2}" / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(half_dark(side, number))


@pytest.fixture
def two_kinds(tmp_path: Path) -> Iterator[FakeParts]:
    """30 frames of one kind and 20 of another, unlike all that is labeled, beside 60 ordinary ones."""
    project = make_project(
        tmp_path / "project",
        overrides=[
            "frames.path=../incoming",
            "gaps.metadata=false",
            "gaps.measured=false",
            "evaluation.group_share=0.5",
            "select.evaluation_share=0.5",
        ],
        train=48,
        val=8,
    )
    write_frames(tmp_path / "incoming", bright=60, dark=0, days=6)
    add_half_dark(tmp_path / "incoming", LEFT, 30, 1000)
    add_half_dark(tmp_path / "incoming", TOP, 20, 2000)
    parts = FakeParts(project)
    analyzed(parts)
    yield parts
    parts.project.engine.dispose()


def analyzed(parts: FakeParts) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)


def kinds_of(parts: FakeParts, seqs: object) -> set[str]:
    with read(parts.project.engine) as session:
        rows = frames(session, seqs=[int(seq) for seq in np.asarray(seqs)])
    numbers = [int(Path(row.source_key).stem.split("-")[-1]) for row in rows]
    return {LEFT if 1000 <= number < 2000 else TOP if number >= 2000 else "ordinary" for number in numbers}


def regions_by_kind(parts: FakeParts) -> dict[str, SliceRow]:
    """The stored region of each kind; each must hold frames of one kind alone."""
    view = coverage_view.build(parts, quiet)
    found: dict[str, SliceRow] = {}
    with read(parts.project.engine) as session:
        known = {row.key: row for row in slices(session, [SliceKind.REGION])}
        for region in view.regions:
            row = known[region.key]
            (kind,) = kinds_of(parts, members(session, view.embedder, row.id)[0])
            assert kind not in found
            found[kind] = row
    return found


def test_regions_keep_their_ids_when_the_smaller_outgrows_the_other(two_kinds: FakeParts) -> None:
    """Numbered by size, they changed places: what judged one kind of frame then judged the other."""
    before = regions_by_kind(two_kinds)
    assert set(before) == {LEFT, TOP}
    sizes = sizes_of(two_kinds, before)
    assert sizes[LEFT] > sizes[TOP]
    select(two_kinds, quiet, budget=24)
    add_half_dark(two_kinds.project.root.parent / "incoming", TOP, 25, 3000)
    analyzed(two_kinds)
    now = regions_by_kind(two_kinds)
    assert {kind: row.id for kind, row in now.items()} == {kind: row.id for kind, row in before.items()}
    sizes = sizes_of(two_kinds, now)
    assert sizes[TOP] > sizes[LEFT]
    judged = judged_as(two_kinds)
    assert judged == {now[LEFT].id: {LEFT}, now[TOP].id: {TOP}}


def sizes_of(parts: FakeParts, rows: dict[str, SliceRow]) -> dict[str, int]:
    with read(parts.project.engine) as session:
        totals = slice_totals(session)
    return {kind: totals[row.id].inside for kind, row in rows.items()}


def judged_as(parts: FakeParts) -> dict[int, set[str]]:
    """What kinds of frames each region would be judged on, once all evaluation frames are labeled."""
    project = parts.project
    with write(project.engine) as session:
        asked = [task for task in tasks(session) if task.purpose == Purpose.EVALUATION]
        for row in frames(session, seqs=[task.frame for task in asked]):
            set_label(
                session, row.seq, [Box("person", (0.0, 0.0, 8.0, 8.0))], Purpose.EVALUATION, "annotation"
            )
        move(session, [task.id for task in asked], TaskStatus.PENDING, TaskStatus.DONE)
    rounds.start(parts)
    opened = rounds.current(project)
    assert opened is not None
    held = judge.held_out(project, coverage_view.build(parts, quiet).made, opened.base_model_id)
    seqs = np.array([row.seq for row in held.rows])
    return {
        number: kinds_of(parts, seqs[held.conditions[name]])
        for label, number in held.slice_ids.items()
        if (name := label.removeprefix("condition ")) in held.conditions
    }


def test_a_region_keeps_the_name_that_a_user_gave(two_kinds: FakeParts) -> None:
    before = regions_by_kind(two_kinds)
    project = two_kinds.project
    assert give_name(project, WHO, before[TOP].id, ' <b>wet\tramp</b> "1" ').name == '<b>wet ramp</b> "1"'
    add_half_dark(project.root.parent / "incoming", TOP, 25, 3000)
    analyzed(two_kinds)
    view = coverage_view.build(two_kinds, quiet)
    named = [gap for gap in view.gaps if gap.name == '<b>wet ramp</b> "1"']
    assert [view.slice_ids[gap.key] for gap in named] == [before[TOP].id]
    assert named[0].why.startswith('<b>wet ramp</b> "1": ')


def test_a_retired_slice_is_no_gap_and_comes_back(two_kinds: FakeParts) -> None:
    before = regions_by_kind(two_kinds)
    gone = before[LEFT]
    retire(two_kinds.project, WHO, gone.id)
    assert gone.key not in keys(coverage_view.build(two_kinds, quiet))
    assert gone.id not in [each.id for each in all_slices(two_kinds.project)]
    assert gone.id in [each.id for each in all_slices(two_kinds.project, every=True)]
    restore(two_kinds.project, WHO, gone.id)
    assert gone.key in keys(coverage_view.build(two_kinds, quiet))


def keys(view: CoverageView) -> list[str]:
    return [gap.key for gap in view.gaps]


@pytest.fixture
def compared(parts: FakeParts) -> FakeParts:
    """The planted gap of `template`, compared by metadata and measurements."""
    analyzed(parts)
    coverage_view.build(parts, quiet)
    return parts


def test_counts_are_those_of_the_frames(compared: FakeParts) -> None:
    view = coverage_view.build(compared, quiet)
    production = view.production
    with read(compared.project.engine) as session:
        counts, named = load_counts(session), {row.id: row for row in slices(session)}
        dark = next(row for row in named.values() if row.key == "brightness/dark")
        found, strength = members(session, view.made.measure, dark.id)
    (facet,) = [each for each in view.facets if each.options == ("dark",)]
    rows = np.flatnonzero(facet.production == 0)
    assert found.tolist() == [int(production.seq[row]) for row in rows]
    assert strength.tolist() == facet.strength[rows].tolist()
    own = counts.slice_id == dark.id
    assert counts.inside[own].sum() == len(rows)
    for group, inside, known in zip(counts.group[own], counts.inside[own], counts.known[own], strict=True):
        of_group = production.group == group
        assert inside == np.isin(rows, np.flatnonzero(of_group)).sum()
        assert known == of_group.sum()
    cameras = {row.name: row.id for row in named.values() if row.kind is SliceKind.METADATA}
    assert {"camera: cam0", "camera: cam1"} <= set(cameras)


def test_shares_of_classes_and_regions_are_of_all_frames(two_kinds: FakeParts) -> None:
    coverage_view.build(two_kinds, quiet)
    views = {each.key: each for each in all_slices(two_kinds.project)}
    regions = [each for each in views.values() if each.kind is SliceKind.REGION]
    assert {each.known for each in [*regions, views["class/person"]]} == {110}
    assert sorted(each.share for each in regions if each.share) == [
        each.inside / 110 for each in sorted(regions, key=lambda each: each.inside)
    ]
    assert max(each.inside for each in regions) <= 30


def test_nothing_is_written_where_nothing_changed(compared: FakeParts) -> None:
    database = Path(str(compared.project.engine.url.database))
    before = (database.stat().st_mtime_ns, Path(f"{database}-wal").read_bytes())
    coverage_view.build(compared, quiet)
    assert (database.stat().st_mtime_ns, Path(f"{database}-wal").read_bytes()) == before


def test_a_condition_called_otherwise_is_the_same_slice(compared: FakeParts, tmp_path: Path) -> None:
    ids = coverage_view.build(compared, quiet).slice_ids
    own = tmp_path / "own.yaml"
    own.write_text("measured: {gloomy: {of: brightness, below: 0.02, id: dark}}\nmetadata: [camera]\n")
    settings = compared.project.settings.model_copy(update={"conditions": str(own)})
    view = coverage_view.build(FakeParts(replace(compared.project, settings=settings)), quiet)
    assert view.slice_ids["brightness/dark"] == ids["brightness/dark"]
    with read(compared.project.engine) as session:
        row = next(row for row in slices(session) if row.id == ids["brightness/dark"])
    assert (row.name, row.definition) == (
        "brightness: gloomy",
        {"of": "brightness", "below": 0.02, "per_camera": False},
    )


def test_tasks_and_batches_refer_to_slices(compared: FakeParts) -> None:
    select(compared, quiet, budget=12)
    view = coverage_view.build(compared, quiet)
    with read(compared.project.engine) as session:
        asked = tasks(session)
        gaps = [row.settings["gaps"] for row in batches(session)]
        shown = {
            task.slice_id: set(members(session, view.made.measure, task.slice_id)[0].tolist())
            for task in asked
            if task.slice_id is not None
        }
    assert shown
    assert all(task.frame in shown[task.slice_id] for task in asked if task.slice_id is not None)
    assert [each["slice_id"] for each in gaps[0]] == [view.slice_ids[gap.key] for gap in view.gaps]
