"""serve: the loop by itself, with its page."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import ExitStack
from typing import Any

import typer
import uvicorn

from connectors.errors import ConnectorError
from loop.cli.app import HERE, ProjectOption, app, opened, say
from loop.deploying import sync_deployed
from loop.errors import LoopError
from loop.exclusive import exclusive
from loop.service import JOBS, Service, end_process
from loop.web.app import build_app
from loop.wiring import Parts

WAIT_S = 2.0


@app.command(epilog="Example: fieldloop serve --project helmets")
def serve(
    project: ProjectOption = HERE,
    label_studio: bool = typer.Option(
        True, help="Start our own Label Studio too, where no URL is configured."
    ),
) -> None:
    """Run the loop as a service, until SIGTERM or Ctrl-C."""
    parts = opened(project)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    with ExitStack() as held:
        if _become_leader(parts, held, stop):
            _run(parts, stop, label_studio)


def _become_leader(parts: Parts, held: ExitStack, stop: threading.Event) -> bool:
    told = False
    while not stop.is_set():
        with ExitStack() as attempt:
            if attempt.enter_context(exclusive(parts.project.engine, "serve", ttl_s=30)):
                held.push(attempt.pop_all())
                return True
        if not told:
            say("another `fieldloop serve` leads this project; waiting for it to end")
            told = True
        stop.wait(WAIT_S)
    return False


def _run(parts: Parts, stop: threading.Event, label_studio: bool) -> None:
    sync_deployed(parts.project)
    service = Service(parts, stop)
    service.start()
    server = _start_pages(parts, service)
    if label_studio and not parts.project.settings.label_studio.url:
        threading.Thread(target=_start_label_studio, args=(parts,), daemon=True).start()
    while not stop.wait(1.0):
        if not service.alive():
            say(
                "the scheduler's thread died; ending, so that whoever supervises this service starts it again"
            )
            sys.exit(1)
    say("stopping")
    server.should_exit = True
    end_process(service.shut_down())


def _start_pages(parts: Parts, service: Service) -> uvicorn.Server:
    web = parts.project.settings.web

    def health() -> dict[str, Any]:
        return {"ok": service.alive(), "jobs": {job.name: service.doing.get(job.name, "") for job in JOBS}}

    config = uvicorn.Config(
        build_app(parts.project, health), host=web.host, port=web.port, log_level="warning"
    )
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, daemon=True).start()
    say(f"status page: http://{web.host}:{web.port}/")
    return server


def _start_label_studio(parts: Parts) -> None:
    from loop.stages import start_label_studio

    try:
        server = start_label_studio(parts, lambda done, total, what: None)
        say(f"Label Studio: {server.url}")
    except (LoopError, ConnectorError, OSError) as error:
        say(f"Label Studio did not start: {error}; what is chosen waits")
