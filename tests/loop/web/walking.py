"""The pages of a project under a real server, whose work is done before it answers; a page of a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Page

from loop.project.wiring import Parts
from loop.rounds import rounds
from loop.service.process import listen
from loop.settings.settings import Web
from loop.web.app import build_app
from tests.fakes import FakeParts, quiet
from tests.loop.desk import push
from tests.loop.web.worker import FakeWorker, well


class WorkingAtOnce(FakeWorker):
    """Does what pages ask of it before it answers."""

    def run_now(self, job: str) -> None:
        assert isinstance(self.parts, FakeParts)
        super().run_now(job)
        if job == "round":
            rounds.run(self.parts, quiet)
        if job == "push":
            push(self.parts)


def idle() -> dict[str, Any]:
    found = well()
    return found | {"jobs": found["jobs"] | {"round": found["jobs"]["push"]}}


@contextmanager
def served(parts: Parts, worker: FakeWorker | None = None) -> Iterator[str]:
    """The address of the pages, for as long as the block runs. worker: does all at once where left out."""
    worker = worker or WorkingAtOnce(said=idle)
    worker.parts = parts
    listening = listen(Web(host="127.0.0.1", port=0), lambda said: None)
    server = uvicorn.Server(uvicorn.Config(build_app(parts, worker), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


@contextmanager
def page_of(browser: Browser, scripts: bool = True) -> Iterator[Page]:
    """It fails where the browser says anything against a page."""
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [text for text in said if not text.startswith("Failed to load resource")] == []
