"""What people do with a slice is on record, and once."""

from __future__ import annotations

from typing import Any

import pytest

from db.changes import changes
from db.engine import read
from db.errors import StateError
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.collections import make_by_rules, set_quota
from loop.changes.collections import retire as retire_collection
from loop.changes.slices import give_name, restore, retire
from loop.gaps.coverage_view import CoverageView
from loop.insights.collections import one_collection
from loop.settings.collections import rule_of
from tests.fakes import FakeParts

ADA = Who("Ada", "page")


def told(parts: FakeParts) -> list[tuple[str, str, str, dict[str, Any], dict[str, Any]]]:
    with read(parts.project.engine) as session:
        return [(row.who, row.what, row.subject, row.before, row.after) for row in changes(session, 10)][::-1]


def test_naming_retiring_and_restoring_are_on_record(view: CoverageView, parts: FakeParts) -> None:
    number = view.slice_ids[view.gaps[0].key]
    assert give_name(parts.project, ADA, number, "the ramp").name == "the ramp"
    assert give_name(parts.project, ADA, number, "the ramp").name == "the ramp"
    assert retire(parts.project, ADA, number).retired_at is not None
    assert retire(parts.project, ADA, number).retired_at is not None
    assert restore(parts.project, ADA, number).retired_at is None
    assert restore(parts.project, ADA, number).retired_at is None
    assert give_name(parts.project, ADA, number, "").name == view.gaps[0].name
    subject = f"slice {number}"
    assert told(parts) == [
        ("Ada", "slice named", subject, {"name": ""}, {"name": "the ramp"}),
        ("Ada", "slice retired", subject, {"retired": False}, {"retired": True}),
        ("Ada", "slice restored", subject, {"retired": True}, {"retired": False}),
        ("Ada", "slice named", subject, {"name": "the ramp"}, {"name": ""}),
    ]


def test_what_cannot_be_is_refused_and_not_on_record(view: CoverageView, parts: FakeParts) -> None:
    number = view.slice_ids[view.gaps[0].key]
    with pytest.raises(ConfigError, match="at most 200 characters, got 201"):
        give_name(parts.project, ADA, number, "x" * 201)
    for change in (retire, restore):
        with pytest.raises(StateError, match="expected the id of a slice, got 10000"):
            change(parts.project, ADA, 10_000)
    assert told(parts) == []


def test_a_collection_keeps_a_name_of_its_own_whoever_names_it(view: CoverageView, parts: FakeParts) -> None:
    first, second = (
        make_by_rules(parts, ADA, name, [rule_of({"crowd": 1})]) for name in ("jams", "more jams")
    )
    with pytest.raises(ConfigError, match=f"which is that of collection {first}"):
        give_name(parts.project, ADA, second, "Jams")
    retire(parts.project, ADA, first)
    give_name(parts.project, ADA, second, "Jams")
    with pytest.raises(ConfigError, match=f"which is that of collection {second}"):
        restore(parts.project, ADA, first)


def test_a_collection_gives_its_quota_up_wherever_it_is_retired(parts: FakeParts, view: CoverageView) -> None:
    here, there = (make_by_rules(parts, ADA, name, [rule_of({"crowd": 1})]) for name in ("jams", "queues"))
    for number in (here, there):
        set_quota(parts, ADA, number, 0.25)
    retire(parts.project, ADA, here)
    retire_collection(parts, ADA, there)
    for number in (here, there):
        found = one_collection(parts.project, number)
        assert (found.retired_at is not None, found.quota) == (True, None)
    assert [(what, before, after) for _, what, _, before, after in told(parts)[-2:]] == 2 * [
        ("collection retired", {"retired": False, "quota": 0.25}, {"retired": True, "quota": None})
    ]
    restore(parts.project, ADA, here)
    assert (one_collection(parts.project, here).retired_at, told(parts)[-1][1]) == (
        None,
        "collection restored",
    )
