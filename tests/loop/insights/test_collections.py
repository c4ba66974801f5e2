"""What is told of collections: how they grew, what is labeled, and how well models see inside."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import delete

from db.engine import read, write
from db.frames import frames
from db.labels import labels
from db.states import Origin, Role
from db.tables import Label
from loop.analysis.analyze import analyze
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.gaps import coverage_view
from loop.insights.collection_accuracy import keep_accuracy, kept_accuracy, measure_accuracy
from loop.insights.collections import all_collections, details, lines, one_collection
from loop.rounds.deploy import promote
from loop.settings.collections import Address
from tests.fakes import FakeParts, add_checkpoint, quiet, weights
from tests.loop.judged import BY_DAY, BY_NIGHT

ANN = Who("ann", "page")


def test_growth_is_by_day_and_adds_up(analyzed: FakeParts) -> None:
    number = changing.make_by_rules(analyzed, ANN, "first", [Address("camera=cam0")])
    found = one_collection(analyzed.project, number)
    with read(analyzed.project.engine) as session:
        own = [row for row in frames(session, origin=Origin.PRODUCTION) if row.camera == "cam0"]
    days = Counter(row.captured_at.date() for row in own if row.captured_at)
    assert found.growth == sorted(days.items())
    assert all(isinstance(day, date) for day, _ in found.growth)
    assert sum(count for _, count in found.growth) == found.inside == len(own)
    assert found.share == pytest.approx(len(own) / 42)


def test_what_is_labeled_is_counted(labeled: FakeParts) -> None:
    number = changing.make_by_rules(labeled, ANN, "first", [Address("camera=cam0")])
    found = one_collection(labeled.project, number)
    assert found.labeled == found.inside > 5
    assert found.labeled_share == 1
    with write(labeled.project.engine) as session:
        rows = [row for row in frames(session, origin=Origin.PRODUCTION) if row.camera == "cam0"]
        session.execute(delete(Label).where(Label.frame.in_([row.seq for row in rows[:3]])))
    assert one_collection(labeled.project, number).labeled == found.inside - 3


def test_each_model_is_told_inside_each_collection(labeled: FakeParts) -> None:
    """The deployed model is blind in the dark; one that sees is told beside it once it has looked."""
    project = labeled.project
    with read(project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    held = [row for row in rows if row.role == Role.EVALUATION]
    by_night = [row.seq for row in rows if int(Path(row.source_key).stem.split("-")[-1]) >= BY_DAY]
    by_day = [row.seq for row in rows if row.seq not in by_night]
    dark = changing.make_by_examples(labeled, ANN, "dark", by_night, alike=False)
    bright = changing.make_by_examples(labeled, ANN, "bright", by_day, alike=False)
    (blind,) = measure_accuracy(project)[dark]
    assert (blind.recall, blind.precision) == (0.0, None)
    (seeing,) = measure_accuracy(project)[bright]
    assert (seeing.recall, seeing.precision) == (1.0, 1.0)
    assert blind.frames + seeing.frames == len(held)
    assert blind.objects == blind.frames
    assert (blind.ap50, seeing.ap50) == (0.0, None if seeing.objects < 20 else 1.0)
    assert (blind.ap50_interval, seeing.ap50_interval) == (None, None)  # no day tells otherwise
    assert blind.groups == len({row.group_key for row in held if row.seq in by_night})
    assert BY_NIGHT >= blind.frames > seeing.frames > 0
    promote(project, add_checkpoint(project, weights(note="sees in the dark")), "by hand")
    analyze(labeled, quiet)
    told = measure_accuracy(project)[dark]
    assert [(one.recall, one.frames) for one in told] == [(1.0, blind.frames), (0.0, blind.frames)]
    assert [one.status for one in told] == ["deployed", "retired"]


def test_what_rests_on_a_few_objects_is_not_known(labeled: FakeParts) -> None:
    with read(labeled.project.engine) as session:
        rows = [r for r in frames(session, origin=Origin.PRODUCTION) if r.role == Role.EVALUATION]
    number = changing.make_by_examples(labeled, ANN, "two", [row.seq for row in rows[:2]], alike=False)
    (one,) = measure_accuracy(labeled.project)[number]
    assert (one.frames, one.recall, one.recall_interval, one.precision) == (2, None, None, None)


def test_accuracy_is_kept_until_something_changes(labeled: FakeParts) -> None:
    number = changing.make_by_sentence(labeled, ANN, "dark", "a photo at night")
    assert kept_accuracy(labeled.project) is None
    assert keep_accuracy(labeled, quiet) == "accuracy inside 1 collection"
    kept = kept_accuracy(labeled.project)
    assert kept is not None
    assert kept.by_collection == measure_accuracy(labeled.project)
    assert keep_accuracy(labeled, quiet) == ""
    with write(labeled.project.engine) as session:
        session.execute(delete(Label).where(Label.frame == next(iter(labels(session)))))
    assert keep_accuracy(labeled, quiet) == "accuracy inside 1 collection"
    changing.retire(labeled, ANN, number)
    assert keep_accuracy(labeled, quiet) == "accuracy inside 0 collections"


def test_lines_for_people(analyzed: FakeParts) -> None:
    assert "make the built-in ones" in lines(all_collections(analyzed.project), "UTC")[0]
    coverage_view.build(analyzed, quiet)
    told = lines(all_collections(analyzed.project), "UTC")
    assert len(told) == 7
    assert any("night" in line and "%" in line for line in told)
    night = next(view for view in all_collections(analyzed.project) if view.name == "night")
    assert "    brightness 6 spreads below what is usual of the camera" in details(night, "UTC")
