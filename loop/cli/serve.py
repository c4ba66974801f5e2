"""serve: the loop by itself, with its page."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from loop.base.logs import RotatingLog, UntilFull
from loop.cli.app import HERE, ProjectOption, app, opened, say

OURS = ("loop", "connectors", "db", "samplers")
QUIET = {"apscheduler": logging.ERROR}


@app.command(epilog="Example: fieldloop serve --project helmets")
def serve(
    project: ProjectOption = HERE,
    label_studio: Annotated[
        bool, typer.Option(help="Keep our own Label Studio running too, where no URL is configured.")
    ] = True,
) -> None:
    """Run the loop as a service, until SIGTERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for name, level in (dict.fromkeys(OURS, logging.INFO) | QUIET).items():
        logging.getLogger(name).setLevel(level)
    from loop.service.process import serve as lead

    parts = opened(project, watching=True)
    path = parts.project.logs / "serve.log"
    for handler in logging.getLogger().handlers:
        handler.addFilter(UntilFull(sys.stderr, path))
    logging.getLogger().addHandler(RotatingLog(path))
    _end(lead(parts, stop, say, label_studio))


def _end(code: int) -> None:
    """At once: taking the interpreter and torch's threads down took longer than the end itself on a
    busy machine.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
