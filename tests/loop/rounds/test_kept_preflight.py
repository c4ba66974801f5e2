"""What the verdict of a round could show, as it is kept for pages."""

from __future__ import annotations

from sqlalchemy import delete

from connectors.ports import Box, Purpose
from db.engine import read, write
from db.labels import labels, set_label
from db.page_facts import page_fact_dates
from db.tables import Fact
from loop.rounds import rounds
from loop.rounds.kept_preflight import KIND, keep_preflight, kept_preflight
from loop.rounds.preflight import preflight
from tests.fakes import FakeParts, quiet


def test_it_is_told_once_and_anew_when_labels_change(labeled: FakeParts) -> None:
    project = labeled.project
    assert kept_preflight(project) is None
    assert keep_preflight(labeled, quiet) == preflight(labeled).lines()[0]
    first = kept_preflight(project)
    assert first is not None
    assert (first.lines, first.wrong, first.current) == (tuple(preflight(labeled).lines()), "", True)
    assert keep_preflight(labeled, quiet) == ""
    with write(project.engine) as session:
        seq = max(labels(session, purpose=Purpose.EVALUATION))
        set_label(
            session,
            seq,
            [Box("helmet", (9 * k, 0, 9 * k + 8, 8)) for k in range(5)],
            Purpose.EVALUATION,
            "annotation",
        )
    stale = kept_preflight(project)
    assert stale is not None
    assert (stale.lines, stale.current) == (first.lines, False)
    keep_preflight(labeled, quiet)
    now = kept_preflight(project)
    assert now is not None
    assert (now.lines, now.current) == (tuple(preflight(labeled).lines()), True)
    assert now.lines != first.lines
    with read(project.engine) as session:
        assert len(page_fact_dates(session, KIND)) == 1


def test_why_it_cannot_be_told_is_kept_until_it_can(labeled: FakeParts) -> None:
    with write(labeled.project.engine) as session:
        session.execute(delete(Fact).where(Fact.key.startswith("detector:")))
    labeled.dead.add("detector")
    keep_preflight(labeled, quiet)
    told = kept_preflight(labeled.project)
    assert told is not None
    assert told.wrong == "expected a detector, got a damaged file"
    labeled.dead.clear()
    keep_preflight(labeled, quiet)
    told = kept_preflight(labeled.project)
    assert told is not None
    assert (told.wrong, told.lines != ()) == ("", True)


def test_nothing_is_told_while_a_round_is_open(labeled: FakeParts) -> None:
    rounds.start(labeled)
    assert keep_preflight(labeled, quiet) == ""
    assert kept_preflight(labeled.project) is None
