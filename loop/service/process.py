"""The service as a process: one leader per project, its pages, and a swift end.

The leader holds the lease `serve`; another process waits until it ends, dies, or falls silent.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import uvicorn

from loop.base.errors import ConfigError
from loop.base.lease import exclusive
from loop.insights.warming import warm
from loop.project.project import Project
from loop.project.weights import sync_deployed
from loop.project.wiring import Parts
from loop.service.label_studio_keeper import Keeper
from loop.service.scheduler import Service
from loop.service.settings_watch import SettingsWatch
from loop.settings.settings import Web
from loop.web.app import build_app
from loop.web.bounded import server
from loop.web.guard import token_for

log = logging.getLogger(__name__)
Say = Callable[[str], None]
LEASE, TTL_S, WAIT_S = "serve", 30.0, 2.0
END_WITHIN_S = 7.0


def serve(parts: Parts, stop: threading.Event, say: Say, own_label_studio: bool = True) -> int:
    """Leads the project until `stop` is set; the exit code. What is wrong with the settings is said
    before anything starts.

    Raises ConfigError, ProjectError.
    """
    token_for(parts.project.settings.web.host)
    service = Service(parts, stop)
    lost = threading.Event()
    with ExitStack() as held:
        if not _become_leader(parts.project, held, stop, lost, say):
            return 0
        sync_deployed(parts.project)
        return _lead(service, stop, lost, say, own_label_studio)


def _become_leader(
    project: Project, held: ExitStack, stop: threading.Event, lost: threading.Event, say: Say
) -> bool:
    told = False
    while not stop.is_set():
        with ExitStack() as attempt:
            if attempt.enter_context(exclusive(project.engine, LEASE, TTL_S, on_lost=lost.set)):
                held.push(attempt.pop_all())
                return True
        if not told:
            say("another `fieldloop serve` leads this project; waiting for it to end")
            told = True
        stop.wait(WAIT_S)
    return False


def _lead(service: Service, stop: threading.Event, lost: threading.Event, say: Say, own: bool) -> int:
    keeper, settings = Keeper(service.parts, stop, say), SettingsWatch(service.parts.project)
    pages = _start_pages(service, keeper if own or keeper.url else None, settings, say)
    service.start()
    if own:
        keeper.start()
    code = _watch(service, settings, stop, lost, say)
    threading.Thread(target=_end_late, args=(code,), daemon=True).start()
    pages.should_exit = True
    if not service.shut_down():
        _end_now(code, "a job did not stop in time; it goes on at the next start")
    return code


def _watch(
    service: Service, settings: SettingsWatch, stop: threading.Event, lost: threading.Event, say: Say
) -> int:
    while not stop.wait(1.0):
        service.tell_problems()
        if note := settings.look():
            log.warning(note)
        if lost.is_set():
            say("another process leads this project now, this one was silent too long; ending")
            return 1
        if not service.alive():
            say(
                "the scheduler's thread died; ending, so that whoever supervises this service starts it again"
            )
            return 1
    say("stopping")
    return 0


def _start_pages(
    service: Service, keeper: Keeper | None, settings: SettingsWatch, say: Say
) -> uvicorn.Server:
    """keeper: of the Label Studio in use, None where there is none."""
    web = service.parts.project.settings.web

    def around() -> dict[str, Any]:
        notes = {"notes": [settings.note] if settings.note else []}
        return notes | ({"label_studio": keeper.url} if keeper else {})

    service.around = around
    warm(service.parts)
    listening = listen(web, say)
    pages = server(build_app(service.parts, service))
    threading.Thread(target=pages.run, args=([listening],), name="pages", daemon=True).start()
    host = f"[{web.host}]" if ":" in web.host else web.host
    say(f"status page: http://{host}:{listening.getsockname()[1]}/")
    return pages


def listen(web: Web, say: Say) -> socket.socket:
    """A socket on the configured address, or on any free port where another program has that one.
    Raises ConfigError.
    """
    try:
        return _bound(web.host, web.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(
                f"web.host, web.port: expected an address of this machine, got {web.host}:{web.port} "
                f"({error.strerror or error}); correct them"
            ) from error
    say(f"port {web.port} is used by another program; the page takes a free one (web.port)")
    return _bound(web.host, 0)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def _end_late(code: int) -> None:
    threading.Event().wait(END_WITHIN_S)
    _end_now(code, "the end took too long; what was under way goes on at the next start")


def _end_now(code: int, why: str) -> None:
    """Every stage may be stopped anywhere, and children watch for the end of this process."""
    log.warning(why)
    logging.shutdown()
    os._exit(code)
