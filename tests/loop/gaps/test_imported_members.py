"""Collections gather imported frames too, those that judge included; what is counted stays production's."""

from __future__ import annotations

import pytest

from db.engine import read
from db.facts import get_fact
from db.frames import frames
from db.models import deployed
from db.recorded_slices import open_recorded
from db.slice_members import load_counts, members
from db.states import Origin, Role
from loop.analysis.producers import producers
from loop.base.errors import ConfigError
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.changes.collections import make_by_examples, make_by_rules
from loop.gaps import coverage_view
from loop.gaps.slices import RECORDED, recorded_folder
from loop.insights.collection_accuracy import measure_accuracy
from loop.insights.collections import one_collection
from loop.rounds.judge import held_out
from loop.settings.collections import Address, Crowd, OfSlice, rule_of
from tests.fakes import FakeParts, quiet

ANN = Who("ann", "page")
TRAIN, VAL = 24, 8
"""Of the imported dataset; every fourth shows a helmet."""


def imported(parts: FakeParts, number: int) -> set[int]:
    with read(parts.project.engine) as session:
        own = {row.seq for row in frames(session, origin=Origin.IMPORTED)}
        return own & set(members(session, producers(parts).measure, number)[0].tolist())


def test_what_came_with_the_training_set_is_gathered_and_not_counted(analyzed: FakeParts) -> None:
    number = make_by_rules(analyzed, ANN, "any", [Crowd(1)])
    assert len(imported(analyzed, number)) == TRAIN + VAL
    with read(analyzed.project.engine) as session:
        held = [row.seq for row in frames(session, origin=Origin.IMPORTED) if row.role == Role.EVALUATION]
        counted = load_counts(session, slice_ids=[number])
    assert len(held) == VAL
    assert set(held) <= imported(analyzed, number)
    found = one_collection(analyzed.project, number)
    assert counted.inside.sum() == found.inside == 36
    assert found.labeled == 0


@pytest.mark.parametrize("compared_first", [True, False])
def test_a_slice_is_told_of_imported_frames_as_well(analyzed: FakeParts, compared_first: bool) -> None:
    """Whether the rule is asked for by itself or in a comparison."""
    coverage_view.build(analyzed, quiet)
    if not compared_first:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(changing, "record_collection", lambda *given: 0)
            number = make_by_rules(analyzed, ANN, "helmets", [OfSlice("class/helmet")])
        coverage_view.build(analyzed, quiet)
    else:
        number = make_by_rules(analyzed, ANN, "helmets", [OfSlice("class/helmet")])
    assert len(imported(analyzed, number)) == (TRAIN + VAL) / 4


def test_the_next_comparison_reads_them_as_they_were_left(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    number = make_by_rules(analyzed, ANN, "any", [Crowd(1)])
    for _ in range(2):
        project, measure = analyzed.project, producers(analyzed).measure
        with read(project.engine) as session:
            stored = members(session, measure, number)[0].tolist()
            left = open_recorded(recorded_folder(project), get_fact(session, RECORDED))
        assert left is not None
        assert left.members[measure, number].frames.tolist() == stored
        assert set(stored) <= set(left.frames.tolist())
        coverage_view.build(analyzed, quiet)


def test_an_address_can_ask_for_an_origin(analyzed: FakeParts) -> None:
    ours = make_by_rules(analyzed, ANN, "ours", [Address("origin=imported")])
    assert len(imported(analyzed, ours)) == TRAIN + VAL
    assert one_collection(analyzed.project, ours).inside == 0
    theirs = make_by_rules(analyzed, ANN, "theirs", [Address("camera=cam0&origin=production")])
    assert imported(analyzed, theirs) == set()
    assert one_collection(analyzed.project, theirs).inside > 0
    with pytest.raises(ConfigError, match="one of production, imported behind origin, got 'elsewhere'"):
        rule_of({"frames": "origin=elsewhere"})


def test_an_imported_example_is_in(analyzed: FakeParts) -> None:
    with read(analyzed.project.engine) as session:
        first = min(row.seq for row in frames(session, origin=Origin.IMPORTED))
    number = make_by_examples(analyzed, ANN, "one", [first], alike=False)
    assert imported(analyzed, number) == {first}


def test_a_model_is_told_by_imported_frames_that_judge(analyzed: FakeParts) -> None:
    """Nothing of production is labeled: what came with the training set and was held out tells."""
    number = make_by_rules(analyzed, ANN, "any", [Crowd(1)])
    (one,) = measure_accuracy(analyzed.project)[number]
    assert (one.frames, one.imported, one.objects) == (VAL, VAL, VAL)
    assert (one.recall, one.precision) == (1.0, 1.0)
    assert one.ap50 is None  # eight objects are too few


def test_a_round_judges_a_collection_on_them(analyzed: FakeParts) -> None:
    make_by_rules(analyzed, ANN, "any", [Crowd(1)])
    with read(analyzed.project.engine) as session:
        model = deployed(session)
    assert model is not None
    held = held_out(analyzed.project, producers(analyzed), model.id)
    assert held.conditions["any"].sum() == VAL
