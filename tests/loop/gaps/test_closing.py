"""How far what frames were chosen for is closed, whether it is still a gap or not."""

from __future__ import annotations

from connectors.ports import Purpose
from db.engine import read, write
from db.frames import frames
from db.labels import labels, set_label
from db.slices import retire_slice, slices
from db.states import Origin, SliceKind
from db.tasks import NewTask, add_tasks, create_batch, queue_batch, tasks
from loop.gaps import coverage_view
from loop.gaps.closing import Closing
from loop.gaps.coverage_view import CoverageView
from loop.web.pages.gaps import render
from tests.fakes import FakeParts, quiet


def chosen(parts: FakeParts, purposes: list[Purpose], answered: int) -> int:
    """Frames that were chosen because they are dark, and the first of them labeled."""
    coverage_view.build(parts, quiet)
    with write(parts.project.engine) as session:
        rows = slices(session, [SliceKind.MEASURED])
        number = next(row.id for row in rows if "dark" in row.name)
        seqs = [row.seq for row in frames(session, origin=Origin.PRODUCTION)][: len(purposes)]
        batch = create_batch(session, "hybrid", 0, len(seqs), {})
        made = [
            NewTask(seq, purpose, f"dark-{seq}", rank, 1.0, "dark", "gaps", number, shows=(number,))
            for rank, (seq, purpose) in enumerate(zip(seqs, purposes, strict=True))
        ]
        add_tasks(session, batch, made)
        queue_batch(session, batch)
        for seq, purpose in list(zip(seqs, purposes, strict=True))[:answered]:
            set_label(session, seq, [], purpose, "annotation")
    return number


def dark(view: CoverageView) -> set[int]:
    """Training frames that are dark by the comparison."""
    found = [facet.training == 0 for facet in view.facets if facet.options == ("dark",)]
    return {seq for shown in found for seq in view.training.seq[shown].tolist()}


def answered(parts: FakeParts, purpose: Purpose) -> set[int]:
    with read(parts.project.engine) as session:
        known = labels(session)
        return {
            task.frame
            for task in tasks(session)
            if task.frame in known and known[task.frame].purpose == purpose
        }


def test_a_gap_stays_until_enough_is_labeled_and_says_what_judges_it(analyzed: FakeParts) -> None:
    number = chosen(analyzed, [Purpose.TRAIN, Purpose.EVALUATION, Purpose.TRAIN, Purpose.TRAIN], 3)
    view = coverage_view.build(analyzed, quiet)
    (one,) = view.closing
    assert one == Closing(number, one.name, len(dark(view) | answered(analyzed, Purpose.TRAIN)), 30, 1)
    said = f"brightness: dark: {one.labeled} of 30 frames labeled, judged on 1 frame"
    assert coverage_view.lines(view)[-2:] == [coverage_view.CLOSING, f"    {said}"]
    assert f"{one.labeled} of 30 labeled · judged on 1" in render(analyzed.project, view)
    assert coverage_view.as_json(view)["closing"][0]["judged"] == 1


def test_what_is_no_gap_any_more_is_still_told(analyzed: FakeParts) -> None:
    number = chosen(analyzed, [Purpose.TRAIN] * 4, 4)
    with write(analyzed.project.engine) as session:
        for row in frames(session, origin=Origin.PRODUCTION):
            set_label(session, row.seq, [], Purpose.TRAIN, "annotation")
    view = coverage_view.build(analyzed, quiet)
    assert number not in {view.slice_ids[gap.key] for gap in view.gaps}
    with read(analyzed.project.engine) as session:
        asked = {task.frame for task in tasks(session)}
    assert len(asked) == 4
    assert [(one.slice_id, one.labeled) for one in view.closing] == [(number, len(dark(view) | asked))]


def test_a_retired_slice_is_told_no_more(analyzed: FakeParts) -> None:
    number = chosen(analyzed, [Purpose.TRAIN], 1)
    with write(analyzed.project.engine) as session:
        retire_slice(session, number)
    assert coverage_view.build(analyzed, quiet).closing == []


def test_nothing_chosen_is_nothing_told(analyzed: FakeParts) -> None:
    view = coverage_view.build(analyzed, quiet)
    assert view.closing == []
    assert coverage_view.CLOSING not in coverage_view.lines(view)
    with read(analyzed.project.engine) as session:
        assert slices(session)
