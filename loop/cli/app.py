"""The Typer application, and what all commands share: options, progress, output, errors and exit codes."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from connectors.errors import ConnectorError, LabelStudioDown
from connectors.ports import Progress as Report
from db.errors import StateError
from loop.errors import LoopError
from loop.jsonable import plain
from loop.project import open_project
from loop.wiring import Parts

OK, FAILED, USAGE, AWAY, BUSY = 0, 1, 2, 3, 4
EXIT_CODES = {
    OK: "done",
    FAILED: "refused or failed; the reason stands on stderr",
    USAGE: "wrong usage",
    AWAY: "Label Studio does not answer; nothing is lost, try again later",
    BUSY: "another process is doing this right now",
}

app = typer.Typer(
    name="fieldloop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="The active-learning data-collection loop for object detectors in production.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
)
console = Console(stderr=True)

ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project", "-p", envvar="FIELDLOOP_PROJECT", help="The project folder.", show_default="this folder"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
HERE = Path()


def main() -> None:
    """Entry point: errors become one clear line and an exit code."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        app()
    except (LoopError, ConnectorError, StateError) as error:
        fail(str(error), AWAY if isinstance(error, LabelStudioDown) else FAILED)
    except OSError as error:
        fail(
            f"{error.filename or 'the system'}: {error.strerror or error}; nothing was lost, mend it and run the command again",
            FAILED,
        )


def fail(message: str, code: int) -> NoReturn:
    console.print(f"[bold red]error[/] {message}", highlight=False, soft_wrap=True)
    sys.exit(code)


def say(message: str) -> None:
    """A line for people, on stderr so that stdout stays a program's."""
    console.print(message, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(label: str) -> Iterator[Report]:
    """A `Progress` callback drawn as a bar on stderr (plain lines where it is no terminal)."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total or None, description=f"{label}: {what}")

        yield report


def emit(result: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    """The result of a command: JSON on stdout, or lines for people."""
    if as_json:
        typer.echo(json.dumps(plain(result), indent=2, sort_keys=True))
    else:
        for line in lines():
            say(line)


def opened(root: Path) -> Parts:
    """The project in `root` with its connectors. Raises ProjectError, ConfigError."""
    return Parts(open_project(root))
