"""Ties between classes and places, gathered from a project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bias.project import NoDetector, NoEmbedder, project_of
from benchmarks.scale.verbs import GivenParts, close
from connectors.ports import Box
from db.engine import write
from db.facts import get_fact, set_fact
from db.labels import set_label
from loop.gaps import bias as ties
from loop.gaps import coverage_view
from loop.gaps.bias import Bias
from loop.gaps.bias_choices import CHOICES
from loop.gaps.bias_places import SCENES, told_apart
from loop.gaps.bias_report import REPORTS, lines, sentence
from loop.gaps.coverage_view import CoverageView
from loop.insights import bias as reading
from loop.math.bias.association import Factor
from tests.fakes import FakeParts, quiet


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose labeled forklifts are nearly all of site A."""
    made = tmp_path_factory.mktemp("tied") / "project"
    project_of(made, seed=2, share=0.3, blind=False)
    return made


@pytest.fixture(scope="module")
def world(tied: Path) -> tuple[GivenParts, CoverageView, Bias]:
    parts = GivenParts(tied, NoEmbedder(), NoDetector())
    view = coverage_view.build(parts, quiet)
    bias = ties.find(parts.project, view, 22)
    close(parts)
    return parts, view, bias


def test_the_planted_tie_is_told_with_what_to_collect(
    world: tuple[GivenParts, CoverageView, Bias],
) -> None:
    _, view, bias = world
    (tie,) = [one for one in bias.report.shown if one.class_name == "forklift"]
    assert (tie.more, tie.scope) == (True, "labeled")
    assert tie.place.startswith("A")
    assert "site A" in (f"{tie.kind} {tie.place}", *tie.also)
    assert tie.interval is not None
    assert 0 < tie.interval[0] < tie.odds < tie.interval[1]
    elsewhere = [one for one in tie.collect if one.with_class and one.level.startswith("B")]
    assert elsewhere
    for one in elsewhere:
        assert one.wanted > 0
        assert one.query == f"{tie.kind}={one.level}"
        level = bias.factors[tie.kind, tie.factor].levels.index(one.level)
        assert one.available <= bias.rows(tie, level, True).sum()
    said = "\n".join(lines(bias.report))
    assert sentence(tie) in said
    assert "collect forklift at" in said
    assert len(view.production) == bias.report.by_label + bias.report.by_detection


def test_tables_count_every_frame_once(world: tuple[GivenParts, CoverageView, Bias]) -> None:
    _, view, bias = world
    site = next(table for table in bias.report.tables if table.kind == "site")
    assert sum(site.production) == len(view.production)
    assert sum(site.labeled) == bias.report.labeled_frames == 150
    person = view.classes.index("person")
    assert sum(row[person] for row in site.production_with) == bias.suspected[:, person].sum()


def test_labels_outdo_detections(tied: Path, world: tuple[GivenParts, CoverageView, Bias]) -> None:
    """What people say of a frame counts, whatever the detector saw there."""
    _, view, bias = world
    parts = GivenParts(tied, NoEmbedder(), NoDetector())
    forklift = view.classes.index("forklift")
    unlabeled = ~np.isin(view.production.seq, view.training.seq)
    seen = int(np.flatnonzero((view.scores[:, forklift] > 0.5) & unlabeled)[0])
    assert bias.suspected[seen, forklift]
    with write(parts.project.engine) as session:
        boxes = [Box("person", (1, 1, 9, 9))]
        set_label(session, int(view.production.seq[seen]), boxes, "evaluation", "annotation")
    again = ties.find(parts.project, view, 22)
    assert not again.suspected[seen, forklift]
    assert again.suspected[seen, view.classes.index("person")]
    assert again.report.labeled_frames == 150, "what judges teaches no model"
    close(parts)


def test_a_report_is_kept_as_json_and_read_again(tied: Path) -> None:
    parts = GivenParts(tied, NoEmbedder(), NoDetector())
    assert ties.kept(parts.project) is None
    report = reading.survey(parts, quiet)
    found = ties.kept(parts.project)
    assert found is not None
    assert found[1] == report
    told = reading.as_json(report)
    assert json.loads(json.dumps(told))["findings"][0]["text"] == sentence(report.shown[0])
    assert REPORTS.validate_json(REPORTS.dump_json(report)) == report
    with write(parts.project.engine) as session:
        set_fact(
            session,
            CHOICES,
            json.dumps({report.shown[0].id: {"choice": "ignored", "reason": "only A has a dock"}}),
        )
    decided = ties.kept(parts.project)
    assert decided is not None
    (first,) = [tie for tie in decided[1].ties if tie.id == report.shown[0].id and tie.told]
    assert (first.choice, first.reason, first.targeted) == ("ignored", "only A has a dock", False)
    assert any("ignored: only A has a dock" in line for line in lines(decided[1]))
    close(parts)


def test_a_small_project_is_told_what_is_lacking(parts: FakeParts, view: CoverageView) -> None:
    bias = ties.find(parts.project, view, 10)
    said = "\n".join(lines(bias.report))
    assert bias.report.shown == ()
    assert "not told: site: 0 sites are known, two are needed" in said
    assert "recall by place: no labeled production frame is held out" in said


def test_what_labels_do_not_tell_is_taken_as_production_shows_it(
    world: tuple[GivenParts, CoverageView, Bias],
) -> None:
    _, _, bias = world
    tie = bias.report.shown[0]
    tables = tuple(replace(each, labeled=(0,) * len(each.labeled)) for each in bias.report.tables)
    hits, totals = ties.known_counts(replace(bias.report, tables=tables), tie, 40)
    assert totals.sum() == pytest.approx(40, abs=len(totals))
    assert 0 < hits.sum() < totals.sum()


def test_scenes_keep_their_names(tied: Path, world: tuple[GivenParts, CoverageView, Bias]) -> None:
    """Whatever they would be called now; one that somebody decided of is remembered while it is away."""
    _, view, bias = world
    parts = GivenParts(tied, NoEmbedder(), NoDetector())
    names = bias.factors["scene", "scene"].levels
    assert len(names) == len(set(names)) > 1
    with write(parts.project.engine) as session:
        stored = json.loads(get_fact(session, SCENES) or "")
        assert set(stored) == set(names)
        called = {f"yard {place}": own for place, own in enumerate(stored.values())}
        gone = {"gone": [10_001], "decided": [10_002]}
        set_fact(session, SCENES, json.dumps(called | gone))
        choice = {"choice": "ignored", "reason": "a dock"}
        set_fact(session, CHOICES, json.dumps({"forklift|scene|scene|decided": choice}))
    again = ties.find(parts.project, view, 22)
    assert set(again.factors["scene", "scene"].levels) == set(called)
    with write(parts.project.engine) as session:
        assert set(json.loads(get_fact(session, SCENES) or "")) == {*called, "decided"}
        set_fact(session, CHOICES, "{}")
        set_fact(session, SCENES, json.dumps(stored))
    close(parts)


def test_two_limits_of_one_measurement_are_told_apart() -> None:
    codes = np.zeros(3, dtype=np.int64)
    limits = [
        Factor("slice", "brightness", (name, "other"), (name, ""), codes) for name in ("dark", "glaring")
    ]
    told = told_apart([*limits, Factor("slice", "weather", ("fog",), ("weather/fog",), codes)])
    assert [one.name for one in told] == [
        "brightness (dark, other)",
        "brightness (glaring, other)",
        "weather",
    ]
