"""A share of the next batch loosens what is tied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bias.project import BUDGET, NoDetector, NoEmbedder, project_of, step
from benchmarks.scale.verbs import GivenParts, close
from connectors.ports import Purpose
from loop.gaps import bias as ties
from loop.gaps import coverage_view
from loop.selection.loosening import COMPONENT, OF_A_DAY, surest_first
from loop.selection.select import LIKE, Request, SelectReport, select_from
from samplers.reason import LONGEST
from tests.fakes import FakeParts, quiet


@pytest.mark.parametrize("seed", [1, 3])
def test_the_next_batch_halves_the_tie_and_without_the_share_it_stays(tmp_path: Path, seed: int) -> None:
    plain = step(tmp_path / "plain", seed, 0.0, blind=False)
    loosened = step(tmp_path / "loosened", seed, 0.3, blind=False)
    assert plain.asked == 0
    assert plain.before == loosened.before
    assert loosened.after.v <= plain.after.v / 2
    assert loosened.after.odds <= plain.after.odds / 2
    assert plain.after.odds > plain.before.odds / 2


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> SelectReport:
    folder = tmp_path_factory.mktemp("tied") / "project"
    project_of(folder, seed=2, share=0.3, blind=False)
    parts = GivenParts(folder, NoEmbedder(), NoDetector())
    view = coverage_view.build(parts, quiet)
    report = select_from(parts.project, view, Request(BUDGET, "hybrid", explain=True))
    alike = select_from(parts.project, view, Request(BUDGET, LIKE, dry_run=True))
    assert not any(item.component == COMPONENT for item in alike.chosen), (
        "the whole batch looks for something"
    )
    kept = ties.kept(parts.project)
    assert kept is not None
    assert kept[1].shown
    close(parts)
    return report


def test_frames_that_loosen_say_so_and_are_spread_over_the_batch(batch: SelectReport) -> None:
    train = [item for item in batch.chosen if item.purpose == Purpose.TRAIN]
    loose = [item for item in train if item.component == COMPONENT]
    assert 0 < len(loose) <= round(0.3 * len(train))
    assert all(" is labeled " in item.reason and len(item.reason) <= LONGEST for item in loose)
    assert sum(item.reason.startswith("forklift is labeled mostly elsewhere") for item in loose) > 10
    assert len({item.frame for item in batch.chosen}) == len(batch.chosen) == BUDGET
    places = [place for place, item in enumerate(train) if item.component == COMPONENT]
    assert places[len(places) // 2] < 0.7 * len(train), "whoever stops early has labeled some"
    assert batch.explanation is not None
    assert batch.explanation.components[COMPONENT] == len(loose)


def test_nothing_is_spent_where_nothing_is_tied(analyzed: FakeParts) -> None:
    view = coverage_view.build(analyzed, quiet)
    report = select_from(analyzed.project, view, Request(12, "hybrid"))
    assert not any(item.component == COMPONENT for item in report.chosen)
    assert len(report.chosen) == 12


def test_the_surest_come_first_and_no_day_gives_them_all() -> None:
    strength = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    group = np.array([1, 1, 1, 1, 2, 2])
    assert surest_first(np.arange(6), strength, group, OF_A_DAY).tolist() == [0, 1, 2, 4, 5, 3]
    assert surest_first(np.arange(6), strength, group, 1).tolist() == [0, 4, 1, 5, 2, 3]
    assert surest_first(np.arange(0), strength, group, 1).tolist() == []
