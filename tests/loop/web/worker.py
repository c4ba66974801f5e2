"""A stand-in for the running service that records what pages ask of it, and a client of the pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from starlette.testclient import TestClient

from loop.base.errors import ConfigError
from loop.insights.work import Submitted, submitted
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.service.asked import Asked
from loop.service.scheduler import State
from loop.settings.settings import Web
from loop.web.app import build_app
from tests.fakes import FakeParts

SECRET = "a" * 32
LOCAL = "http://localhost:8765"
OUTSIDE = "http://box.example.org"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def well() -> dict[str, Any]:
    state = State("3/9 frames", "done", "3 frames", datetime(2026, 5, 1, tzinfo=UTC))
    return {
        "ok": True,
        "problems": [],
        "notes": [],
        "jobs": {"ingest": state, "push": State(), "round_at": State(title="round by date")},
        "label_studio": "http://localhost:8080",
    }


class AtOnce:
    """Does what it is given at once."""

    def add_job(self, do: Callable[[], None], **_: Any) -> None:
        do()


@dataclass
class FakeWorker:
    """asked: what was asked for, such as ("pause", "ingest").

    Work that was asked for is done at once, in the thread of whoever asks.
    """

    parts: Parts | None = None
    said: Callable[[], dict[str, Any]] = well
    asked: list[tuple[str, str]] = field(default_factory=list)
    now: dict[int, str] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    checks: dict[str, str] = field(default_factory=lambda: {"database": "", "disk": "", "leader": ""})

    def health(self) -> dict[str, Any]:
        found = self.said()
        states = {
            name: replace(state, paused_at=NOON) if name in self.paused else state
            for name, state in found["jobs"].items()
        }
        return found | {"jobs": states}

    def ready(self) -> dict[str, str]:
        return self.checks

    def run_now(self, job: str) -> None:
        self._ask("run_now", job)

    def pause(self, job: str) -> None:
        self._ask("pause", job)
        self.paused.add(job)

    def resume(self, job: str) -> None:
        self._ask("resume", job)
        self.paused.discard(job)

    def take_up(self) -> None:
        assert self.parts is not None
        Asked(self.parts, threading.Event(), AtOnce(), lambda *_: None).take_up()

    def doing(self) -> dict[int, str]:
        return self.now

    @property
    def works(self) -> list[Submitted]:
        assert self.parts is not None
        return submitted(self.parts.project)

    def _ask(self, what: str, job: str) -> None:
        if job not in self.said()["jobs"]:
            raise ConfigError(f"job: expected one of {', '.join(self.said()['jobs'])}; got {job!r}")
        self.asked.append((what, job))


def client(
    project: Project, health: Callable[[], dict[str, Any]] = well, base_url: str = LOCAL
) -> TestClient:
    """A browser without scripts at the pages of this project."""
    return browsing(FakeParts(project), FakeWorker(said=health), base_url)


def browsing(parts: Parts, worker: FakeWorker, base_url: str = LOCAL) -> TestClient:
    worker.parts = parts
    return TestClient(build_app(parts, worker), base_url=base_url, follow_redirects=False)


def exposed(project: Project) -> Project:
    """The same project, listening beyond loopback."""
    settings = project.settings.model_copy(update={"web": Web(host="0.0.0.0", port=8765)})
    return Project(project.root, settings, project.engine)


def csrf_of(asked: TestClient, page: str = "/sign-in") -> str:
    """The form token of this browser's session, from a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', asked.get(page).text)
    assert found is not None, f"there is no form on {page}"
    return found[1]


def send(asked: TestClient, to: str, page: str = "/sign-in", **fields: Any) -> Any:
    """Posts a form as the browser would; the answer, usually a redirect with status 303."""
    return asked.post(to, data={"csrf": csrf_of(asked, page), **fields})
