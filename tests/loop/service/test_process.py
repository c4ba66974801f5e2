"""One leader, a page on a port, a clear word before anything starts; all in one process, with
fakes.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from db.engine import read, write
from db.leases import acquire, lease
from db.tables import Lease, utcnow
from loop.base import lease as leases
from loop.base.errors import ConfigError
from loop.project.project import Project, open_project
from loop.service import process
from loop.settings.settings import Web
from tests.fakes import FakeParts


class Process:
    """`serve` in a thread: what it said, and its exit code once it ended."""

    def __init__(self, parts: FakeParts) -> None:
        self.parts, self.stop = parts, threading.Event()
        self.said: list[str] = []
        self.code: int | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.code = process.serve(self.parts, self.stop, self.said.append, own_label_studio=False)

    def end(self) -> int | None:
        self.stop.set()
        self._thread.join(20)
        return self.code

    def says(self, pattern: str) -> str:
        """The first line that fits, waited for."""
        found = until(lambda: next((line for line in self.said if re.search(pattern, line)), ""))
        return found

    def page(self, path: str) -> httpx.Response:
        url = self.says("status page").split(": ", 1)[1].rstrip("/")
        return httpx.get(url + path, trust_env=False)


def until(what: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return answer


def with_web(project: Project, host: str = "127.0.0.1", port: int = 0) -> Project:
    settings = project.settings.model_copy(update={"web": Web(host=host, port=port)})
    return replace(project, settings=settings)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WAIT_S", 0.1)
    monkeypatch.setattr(process, "_end_late", lambda code: None)


@pytest.mark.usefixtures("quick")
def test_a_second_serve_waits_and_takes_over(folder: Path) -> None:
    parts = [FakeParts(open_project(folder / "project")) for _ in range(2)]
    first = Process(parts[0])
    assert first.page("/healthz").json()["ok"] is True
    second = Process(parts[1])
    second.says("another `fieldloop serve` leads this project; waiting for it to end")
    time.sleep(0.4)
    assert len(second.said) == 1
    assert first.end() == 0
    assert second.page("/healthz").status_code == 200
    assert second.end() == 0
    with read(parts[0].project.engine) as session:
        assert lease(session, "serve") is None
    for each in parts:
        each.project.engine.dispose()


@pytest.mark.usefixtures("quick")
def test_one_that_waits_ends_when_asked(parts: FakeParts) -> None:
    with leases.exclusive(parts.project.engine, "serve"):
        waiting = Process(parts)
        waiting.says("waiting for it to end")
        assert waiting.end() == 0
    assert len(waiting.said) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_whoever_lost_the_lease_ends(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TTL_S", 0.8)
    leading = Process(parts)
    leading.says("status page")
    with write(parts.project.engine) as session:
        session.execute(update(Lease).where(Lease.name == "serve").values(expires_at=utcnow()))
        assert acquire(session, "serve", "elsewhere/1/1/aa", 60)
    leading.says("another process leads this project now")
    until(lambda: leading.code is not None)
    assert leading.code == 1
    with read(parts.project.engine) as session:
        held = lease(session, "serve")
    assert held is not None
    assert held.holder == "elsewhere/1/1/aa"


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_without_a_scheduler_it_ends_so_that_it_is_started_again(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading = Process(parts)
    leading.says("status page")
    monkeypatch.setattr(process.Service, "alive", lambda service: False)
    leading.says("the scheduler's thread died")
    until(lambda: leading.code is not None)
    assert leading.code == 1


def test_wrong_settings_are_said_before_the_lease_is_taken(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIELDLOOP_WEB_TOKEN", raising=False)
    exposed = FakeParts(with_web(parts.project, "0.0.0.0"))
    with pytest.raises(ConfigError, match=r"web\.host: expected a loopback address, or a token"):
        process.serve(exposed, threading.Event(), print)
    with read(parts.project.engine) as session:
        assert lease(session, "serve") is None


def test_a_busy_port_is_said_and_another_taken() -> None:
    said: list[str] = []
    with process.listen(Web(host="127.0.0.1", port=0), said.append) as taken:
        port = taken.getsockname()[1]
        with process.listen(Web(host="127.0.0.1", port=port), said.append) as other:
            assert other.getsockname()[1] != port
    assert said == [f"port {port} is used by another program; the page takes a free one (web.port)"]


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*given: object, **more: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    if host.endswith(".invalid"):
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match=rf"expected an address of this machine, got {host}:8765 \("):
        process.listen(Web(host=host, port=8765), print)
