"""From labels to suspects: who judges what, what is found, and what is kept of it."""

from __future__ import annotations

from db.engine import read
from db.suspects import newest_run, suspects
from loop.rounds.suspects import judge_labels
from tests.fakes import FakeParts, quiet
from tests.loop.planted import wrong


def test_planted_errors_come_first(labeled: FakeParts) -> None:
    planted = wrong(labeled)
    report = judge_labels(labeled, quiet)
    with read(labeled.project.engine) as session:
        rows = suspects(session)
        print([(r.kind, r.frame, r.probability, r.score, r.box, r.fix) for r in rows[:12]], planted)
        print(newest_run(session).judges, report.lines())
    assert {(row.kind, row.frame) for row in rows[:4]} == set(planted.items())
