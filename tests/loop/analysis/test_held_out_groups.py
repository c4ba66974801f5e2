"""Which held-out frames are independent evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from db.engine import read
from db.frames import FrameRow, frames
from db.states import Origin, Role
from loop.analysis.analyze import analyze
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.producers import producers
from loop.rounds.judge import held_out
from loop.rounds.rounds import current
from tests.fakes import MONDAY, FakeParts, make_project, quiet
from tests.loop.judged import started


def imported(parts: FakeParts) -> list[FrameRow]:
    with read(parts.project.engine) as session:
        return frames(session, origin=Origin.IMPORTED, role=Role.EVALUATION)


def groups_of(parts: FakeParts, rows: list[FrameRow]) -> list[str]:
    return held_out_groups(parts.project.engine, producers(parts).embedder, rows)


def test_frames_of_production_are_grouped_by_camera_and_day(analyzed: FakeParts) -> None:
    with read(analyzed.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    assert groups_of(analyzed, rows) == [row.group_key for row in rows]


def test_an_imported_sequence_is_one_group_and_else_a_camera_and_day(analyzed: FakeParts) -> None:
    rows = imported(analyzed)
    told = [
        replace(rows[0], sequence="walk", camera="a", captured_at=MONDAY),
        replace(rows[1], sequence="walk", camera="b", captured_at=MONDAY + timedelta(days=3)),
        replace(rows[2], sequence="ride"),
        replace(rows[3], camera="a", captured_at=MONDAY),
        replace(rows[4], camera="a", captured_at=MONDAY + timedelta(hours=2)),
        replace(rows[5], camera="a", captured_at=MONDAY + timedelta(days=1)),
    ]
    found = groups_of(analyzed, told)
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4]
    assert len(set(found)) == 4


@pytest.mark.parametrize("images", [9, 64])
def test_images_that_tell_nothing_are_no_more_groups_than_they_show(
    images: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parts = FakeParts(make_project(tmp_path_factory.mktemp("val") / "project", val=images))
    assert len(set(groups_of(parts, imported(parts)))) == 1, "not embedded yet"
    analyze(parts, quiet)
    found = groups_of(parts, imported(parts))
    assert len(found) == images
    assert len(set(found)) <= round(images**0.5)
    assert len(set(found)) > 1
    assert found == groups_of(parts, imported(parts))


def test_images_that_are_not_embedded_are_one_group_of_their_own(analyzed: FakeParts) -> None:
    rows = imported(analyzed)
    unknown = [replace(row, seq=row.seq + 10**6) for row in rows[:3]]
    found = groups_of(analyzed, [*rows, *unknown])
    assert len(set(found[-3:])) == 1
    assert found[-1] not in found[:-3]


def test_the_judge_counts_these_groups(chosen: FakeParts) -> None:
    started(chosen)
    row = current(chosen.project)
    assert row is not None
    held = held_out(chosen.project, producers(chosen), row.base_model_id)
    assert held.groups == groups_of(chosen, held.rows)
    assert (len(held.rows), len(set(held.groups))) == (8, 3)
