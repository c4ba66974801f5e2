"""Quotas of collections in a batch, and collections that are drawn to judge."""

from __future__ import annotations

import pytest

from db.engine import read
from db.slices import slices
from db.states import Role, SliceKind
from db.tasks import tasks
from loop.base.errors import ConfigError
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.gaps import coverage_view
from loop.selection.collected import COMPONENT
from loop.selection.select import Request, SelectReport, select, select_from
from loop.settings.collections import Address
from samplers import STRATEGIES
from samplers.reason import LONGEST
from tests.fakes import FakeParts, quiet
from tests.loop.selection.test_select import of_purpose, with_select

ANN = Who("ann", "page")


def of_camera(parts: FakeParts, camera: str, judged: bool = False) -> int:
    number = changing.make_by_rules(parts, ANN, f"by {camera}", [Address(f"camera={camera}")])
    changing.set_judged(parts, ANN, number, judged)
    return number


def by_camera(report: SelectReport, camera: str) -> int:
    return sum(item.camera == camera for item in of_purpose(report, "train"))


def test_a_quota_is_filled_first_and_said_in_reason_and_component(analyzed: FakeParts) -> None:
    number = of_camera(analyzed, "cam0")
    report = select(with_select(analyzed, quotas={"By cam0": 4.0}), quiet, budget=8)
    own = [item for item in report.chosen if item.component == COMPONENT]
    assert len(own) == 4
    assert {(item.camera, item.slice, item.slice_id, item.purpose) for item in own} == {
        ("cam0", "by cam0", number, "train")
    }
    assert {item.reason for item in own} == {
        "From the collection by cam0, of which 4 frames of each batch shall be"
    }
    assert len({item.frame for item in report.chosen}) == len(report.chosen) == 8
    with read(analyzed.project.engine) as session:
        shown = {task.frame: task.shows for task in tasks(session)}
    cameras = {item.frame: item.camera for item in report.chosen}
    assert all((number in shown[frame]) == (cameras[frame] == "cam0") for frame in shown)


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"targeted"}))
def test_every_strategy_fills_a_quota(analyzed: FakeParts, strategy: str) -> None:
    of_camera(analyzed, "cam1")
    view = coverage_view.build(analyzed, quiet)
    for camera, share in (("cam1", 0.9), ("cam1", 0.5)):
        project = with_select(analyzed, quotas={f"by {camera}": share}).project
        report = select_from(project, view, Request(8, strategy, dry_run=True))
        assert by_camera(report, camera) >= int(share * 6)
        assert {
            row.role for row in view.frames if row.seq in {c.frame for c in of_purpose(report, "train")}
        } == {Role.POOL}


def test_what_a_batch_with_a_quota_buys_is_told(analyzed: FakeParts) -> None:
    of_camera(analyzed, "cam0")
    view = coverage_view.build(analyzed, quiet)
    project = with_select(analyzed, quotas={"by cam0": 3.0}).project
    report = select_from(project, view, Request(8, "hybrid", dry_run=True, explain=True))
    assert report.explanation is not None
    assert report.explanation.components[COMPONENT] == 3
    assert sum(report.explanation.components.values()) == len(of_purpose(report, "train")) == 6
    assert report.explanation.coverage_after >= report.explanation.coverage_before


def test_a_share_is_kept_over_many_small_batches(analyzed: FakeParts) -> None:
    number = of_camera(analyzed, "cam0")
    chosen = []
    for _ in range(8):
        parts = with_select(analyzed, quotas={str(number): 0.25}, evaluation_share=0.0, strategy="random")
        chosen += select(parts, quiet, budget=1).chosen
    assert sum(item.component == COMPONENT for item in chosen) == 2


def test_a_quota_that_cannot_be_filled_is_said(analyzed: FakeParts) -> None:
    with read(analyzed.project.engine) as session:
        assert not slices(session, [SliceKind.COLLECTION])
    coverage_view.build(analyzed, quiet)
    report = select(with_select(analyzed, quotas={"crowds": 3.0}), quiet, budget=8)
    assert "quota crowds: 0 of 3 frames; no more of the collection can be chosen" in report.lacking
    assert len(of_purpose(report, "train")) == 6


def test_a_quota_of_what_is_no_collection_is_refused(analyzed: FakeParts) -> None:
    with pytest.raises(
        ConfigError, match=r"select\.quotas: expected the name or number .* got 'nigth'.* night"
    ):
        select(with_select(analyzed, quotas={"nigth": 0.2}), quiet, budget=8)


def test_a_quota_that_people_set_is_filled_and_the_settings_hold_before_it(analyzed: FakeParts) -> None:
    number = of_camera(analyzed, "cam0")
    changing.set_quota(analyzed, ANN, number, 2.0)
    assert component_count(select(with_select(analyzed), quiet, budget=8, dry_run=True)) == 2
    by_settings = with_select(analyzed, quotas={str(number): 4.0})
    assert component_count(select(by_settings, quiet, budget=8, dry_run=True)) == 4
    assert changing.retire(analyzed, ANN, number) == 2.0
    report = select(by_settings, quiet, budget=8, dry_run=True)
    assert component_count(report) == 0
    assert any("the collection is retired" in line for line in report.lacking)


def component_count(report: SelectReport) -> int:
    return sum(item.component == COMPONENT for item in report.chosen)


def test_a_line_for_the_labeler_stays_short(analyzed: FakeParts) -> None:
    number = of_camera(analyzed, "cam0")
    changing.rename(analyzed, ANN, number, "frames of the first camera by the north gate " * 3)
    report = select(with_select(analyzed, quotas={str(number): 0.333}), quiet, budget=8)
    assert max(len(item.reason) for item in report.chosen) <= LONGEST
    assert any("33% of each batch" in item.reason for item in report.chosen)


@pytest.mark.parametrize("judged", [True, False])
def test_a_collection_that_is_judged_is_drawn_to_judge(analyzed: FakeParts, judged: bool) -> None:
    number = of_camera(analyzed, "cam1", judged)
    report = select(analyzed, quiet, budget=16)
    drawn = [item for item in of_purpose(report, "evaluation") if item.slice_id == number]
    assert bool(drawn) == judged
    for item in drawn:
        assert (item.slice, item.camera) == ("by cam1", "cam1")
        assert item.reason == (
            "To test the model, not to train it: chosen at random from images with by cam1"
        )
        assert item.probability
