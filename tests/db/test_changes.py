"""The audit log, answers by key, dated views and reports, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from db.changes import change_by_id, changes, record_change
from db.engine import read, write
from db.idempotency import WORKED_ON, Kept, answer_request, claim_request, forget_request, mark_request
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_by_id, page_fact_dates
from db.reports import add_report, close_report, open_report, reports
from db.states import ReportKind
from db.tables import IdempotentRequest, PageFact, utcnow
from loop.changes.audit import Who, at_the_terminal, note
from tests.db.world import stocked


def test_changes_come_newest_first_and_by_page(engine: Engine) -> None:
    with write(engine) as session:
        made = [
            record_change(session, "ana", "page", "renamed", f"slice {n % 2}", {"name": n}, {"name": n + 1})
            for n in range(5)
        ]
    with read(engine) as session:
        newest = changes(session, 2)
        older = changes(session, 10, before=newest[-1].id)
        of_one = changes(session, 10, subject="slice 1")
        assert change_by_id(session, made[0]) == older[-1]
        assert change_by_id(session, 999) is None
    assert [row.id for row in newest + older] == made[::-1]
    assert [row.before["name"] for row in of_one] == [3, 1]
    assert (newest[0].who, newest[0].via, newest[0].after) == ("ana", "page", {"name": 5})


def test_a_line_is_kept_or_undone_with_its_change(lite: Engine) -> None:
    def stopped() -> None:
        with write(lite) as session:
            note(session, Who("ana", "page"), "model promoted", "model 3")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    with write(lite) as session:
        note(session, Who("a\x1b[31mna", "page"), "model promoted", "model 3", after={"at": utcnow()})
    with read(lite) as session:
        (row,) = changes(session, 10)
    assert row.who == r"a\x1b[31mna"
    assert row.after["at"].startswith(str(utcnow().year))
    assert at_the_terminal().via == "command"


def test_a_key_is_answered_once(engine: Engine) -> None:
    with write(engine) as session:
        assert claim_request(session, "k", "asked") is None
        assert claim_request(session, "k", "asked") == Kept("asked", None, None)
        answer_request(session, "k", 201, '{"id": 3}')
    with write(engine) as session:
        assert claim_request(session, "k", "other") == Kept("asked", 201, '{"id": 3}')
        forget_request(session, "k")
        assert claim_request(session, "k", "other") == Kept("asked", 201, '{"id": 3}')
        claim_request(session, "refused", "asked")
        forget_request(session, "refused")
        assert claim_request(session, "refused", "asked") is None


def test_a_request_that_was_stopped_in_its_middle_may_be_asked_again(engine: Engine) -> None:
    with write(engine) as session:
        claim_request(session, "stopped", "asked")
        claim_request(session, "answered", "asked")
        claim_request(session, "changed", "asked")
        mark_request(session, "changed", "change 3")
        mark_request(session, "changed", "change 4")
        answer_request(session, "answered", 200, "")
        long_ago = utcnow() - WORKED_ON - timedelta(seconds=1)
        session.execute(update(IdempotentRequest).values(asked_at=long_ago))
    with write(engine) as session:
        assert claim_request(session, "stopped", "asked") is None
        assert claim_request(session, "answered", "asked") == Kept("asked", 200, "")
        assert claim_request(session, "changed", "asked") == Kept("asked", None, "change 3")


def test_page_facts_by_date(engine: Engine) -> None:
    with write(engine) as session:
        first, second = (add_page_fact(session, "coverage", {"n": n}) for n in (1, 2))
        add_page_fact(session, "bias", {"n": 3})
        yesterday = utcnow() - timedelta(days=1)
        session.execute(update(PageFact).where(PageFact.id == first).values(made_at=yesterday))
    with read(engine) as session:
        newest, before = (
            latest_page_fact(session, "coverage"),
            latest_page_fact(session, "coverage", yesterday + timedelta(hours=1)),
        )
        assert newest is not None
        assert before is not None
        assert (newest.value, before.value) == ({"n": 2}, {"n": 1})
        assert [one for one, _ in page_fact_dates(session, "coverage")] == [first, second]
        assert latest_page_fact(session, "coverage", yesterday - timedelta(days=1)) is None
    with write(engine) as session:
        drop_page_facts(session, [first])
        assert page_fact_by_id(session, first) is None
        assert page_fact_by_id(session, second) == newest


def test_reports_are_closed_and_opened_again(engine: Engine) -> None:
    one, other = stocked(engine, 2)
    with write(engine) as session:
        missed = add_report(
            session, one, ReportKind.MISSED, "ana", class_name="helmet", box=(1, 2, 3, 4), note="in fog"
        )
        add_report(session, other, ReportKind.OTHER, "ben")
        assert not close_report(session, other, missed)
        assert close_report(session, one, missed)
        assert not close_report(session, one, missed)
    with write(engine) as session:
        assert [row.frame for row in reports(session, only_open=True)] == [other]
        (row,) = reports(session, frame=one)
        assert open_report(session, one, missed)
        assert not open_report(session, one, missed)
    assert (row.kind, row.class_name, row.box, row.note) == (
        ReportKind.MISSED,
        "helmet",
        (1, 2, 3, 4),
        "in fog",
    )
    assert row.closed_at is not None
