"""What a person must mend stands in the list of steps, on the page, in the API and in the log until
it is mended, each with its task and reason.
"""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from connectors.ports import Box
from db.engine import read, write
from db.frames import frames
from db.tables import LabelTask
from loop.insights.overview import overview, overview_lines
from loop.labeling import mending
from loop.labeling.mending import Mend, to_mend
from loop.service.jobs import JOBS
from loop.service.scheduler import Service, run_job
from tests.fakes import FakeParts
from tests.loop.desk import HAT, a_key, pull, push, row
from tests.loop.web.worker import client

REASON = "unknown class hat: choose one that the model knows"


def standing(parts: FakeParts) -> list[Mend]:
    with read(parts.project.engine) as session:
        return to_mend(session)


def file_of(parts: FakeParts, key: str) -> str:
    with read(parts.project.engine) as session:
        (frame,) = frames(session, seqs=[row(parts, key).frame])
    return frame.source_key


def test_it_stands_until_it_is_mended(pushed: FakeParts, caplog: pytest.LogCaptureFixture) -> None:
    key = a_key(pushed)
    wrong = pushed.server.answer(key, [Box("hat", HAT.xyxy)])
    job = next(job for job in JOBS if job.name == "pull")
    run_job(Service(pushed, threading.Event(), (job,)), job)
    number = pushed.server.of(key).id
    url = f"http://studio/projects/1/data?task={number}"
    expected = Mend(number, url, file_of(pushed, key), REASON)
    said = f"task {number} ({expected.file}): {REASON}; {url}"
    assert f"mend in Label Studio, no label until then: {said}" in caplog.text
    for _ in range(2):
        pull(pushed)
        push(pushed)
        assert standing(pushed) == [expected]
        assert f"to mend    {said}" in overview_lines(overview(pushed.project))
    page = client(pushed.project)
    text = page.get("/").text
    assert f'<a href="{url}">task {number}</a>' in text
    assert "Answers to mend" in text
    assert page.get("/api/status").json()["to_mend"] == [
        {"task": number, "url": url, "file": expected.file, "reason": REASON}
    ]
    pushed.server.answer(key, [HAT], again=wrong)
    pull(pushed)
    assert standing(pushed) == []
    assert "Answers to mend" not in page.get("/").text


def test_a_service_that_starts_tells_what_stands(pushed: FakeParts, caplog: pytest.LogCaptureFixture) -> None:
    pushed.server.answer(a_key(pushed), [Box("hat", HAT.xyxy)])
    pull(pushed)
    (one,) = standing(pushed)
    served = Service(pushed, threading.Event(), ())
    served.start()
    assert served.shut_down()
    assert f"mend in Label Studio, no label until then: {one.line()}" in caplog.text


def test_a_reason_that_changes_is_told_anew(pushed: FakeParts) -> None:
    key = a_key(pushed)
    wrong = pushed.server.answer(key, [Box("hat", HAT.xyxy)])
    pull(pushed)
    pushed.server.answer(key, [Box("cap", HAT.xyxy)], again=wrong)
    assert pull(pushed).to_mend == [
        f"task {pushed.server.of(key).id}: unknown class cap: choose one that the model knows"
    ]
    assert [one.reason for one in standing(pushed)] == [REASON.replace(" hat:", " cap:")]


def test_of_many_the_first_are_shown_and_the_rest_counted(pushed: FakeParts) -> None:
    one = Mend(7, "http://studio/projects/1/data?task=7", "cam0/a.jpg", "hat")
    lines = mending.lines([one] * 23)
    assert (len(lines), lines[-1]) == (21, "and 3 more; `fieldloop status --json` lists all")


def test_what_an_earlier_version_found_says_how_to_learn_why(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [Box("hat", HAT.xyxy)])
    pull(pushed)
    with write(pushed.project.engine) as session:
        session.execute(update(LabelTask).values(problem=""))
    assert [one.reason for one in standing(pushed)] == [mending.NOT_KNOWN]
