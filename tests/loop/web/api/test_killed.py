"""A process that is killed between a change and its answer: the change happened once, whoever asks again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from db.engine import write
from db.idempotency import WORKED_ON
from db.tables import IdempotentRequest, utcnow
from loop.project.project import open_project
from loop.web.api import changing
from tests.fakes import FakeParts
from tests.loop.web.api.test_push import problem
from tests.loop.web.worker import FakeWorker, client

SAID = {"kind": "missed", "note": "a helmet in fog"}
KEYED = {"Idempotency-Key": "night run"}


def report(asked: TestClient, seq: int) -> httpx.Response:
    return asked.post(f"/api/frames/{seq}/reports", json=SAID, headers=KEYED)


def killed(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask_and_die(root: Path, seq: int, before: str) -> None:
    """Asks in a process that is killed before this function of the API's."""
    setattr(changing, before, killed)
    report(client(open_project(root)), seq)


def a_frame(asked: TestClient) -> int:
    return int(asked.get("/api/frames").json()["frames"][0]["seq"])


def died(root: Path, seq: int, before: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=ask_and_die, args=(root, seq, before))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def test_what_was_changed_before_the_kill_is_not_changed_again(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    seq = a_frame(asked)
    died(analyzed.project.root, seq, "keep")
    (line,) = asked.get("/api/changes").json()["changes"]
    for hours in (0, 30):
        aged(analyzed, hours)
        body = problem(report(asked, seq), 409, "outcome-unknown")
        assert f"change {line['id']}" in body["got"]
        assert len(asked.get("/api/changes").json()["changes"]) == 1
    assert asked.post(f"/api/frames/{seq}/reports", json=SAID, headers={"Idempotency-Key": "b"}).is_success


def test_what_was_stopped_before_it_changed_anything_may_be_asked_again(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = client(analyzed.project)
    seq = a_frame(asked)
    died(analyzed.project.root, seq, "under")
    problem(report(asked, seq), 409, "under-way")
    assert asked.get("/api/changes").json()["changes"] == []
    aged(analyzed, 1)
    assert report(asked, seq).status_code == 201
    assert len(asked.get("/api/changes").json()["changes"]) == 1


def test_a_key_whose_work_was_asked_for_leads_to_it(analyzed: FakeParts) -> None:
    asked = client(analyzed.project)
    process = multiprocessing.get_context("spawn").Process(
        target=select_and_die, args=(analyzed.project.root,)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (work,) = asked.get("/api/jobs").json()["work"]
    for hours in (0, 1):
        aged(analyzed, hours)
        again = select(asked)
        assert (again.status_code, again.json()["id"]) == (202, work["id"])
        assert again.headers["location"] == f"/api/work/{work['id']}"
        assert again.headers["idempotency-replayed"] == "true"
    assert len(asked.get("/api/jobs").json()["work"]) == 1


def select(asked: TestClient) -> httpx.Response:
    return asked.post("/api/selections", json={"address": "origin=production", "budget": 3}, headers=KEYED)


def select_and_die(root: Path) -> None:
    """Asks in a process that is killed before the answer is kept; its worker does nothing."""
    changing.keep = killed
    FakeWorker.take_up = lambda worker: None
    select(client(open_project(root)))


def aged(parts: FakeParts, hours: int) -> None:
    """As if the request had come so long ago."""
    with write(parts.project.engine) as session:
        then = utcnow() - WORKED_ON - timedelta(hours=hours)
        session.execute(update(IdempotentRequest).values(asked_at=then))
