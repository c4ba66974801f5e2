"""serve: the loop by itself, with its page."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import Annotated

import typer

from loop.cli.app import HERE, ProjectOption, app, opened, say

QUIET = {"apscheduler": logging.ERROR, "httpx": logging.WARNING, "alembic": logging.WARNING}


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
    logging.getLogger().setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    from loop.serving import serve as lead

    sys.exit(lead(opened(project, watching=True), stop, say, label_studio))
