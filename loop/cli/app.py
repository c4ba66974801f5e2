"""The Typer application, and what all commands share: options, progress, output, errors and exit
codes.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from connectors.errors import ConnectorError, LabelStudioDown
from db.errors import StateError
from loop.base.errors import LoopError, Waiting
from loop.base.jsonable import plain
from loop.base.logs import set_up
from loop.base.printable import printable

if TYPE_CHECKING:
    from connectors.ports import Progress
    from loop.project.wiring import Parts

OK, FAILED, USAGE, AWAY, BUSY, STOPPED = 0, 1, 2, 3, 4, 130
PLAIN_EVERY_S = 10.0
LONGEST_MESSAGE = 8000
NUMBERS = re.compile(r"\d+")
SAY_STOPPED = "stopped; run the command again to go on"
EXIT_CODES = {
    OK: "done",
    FAILED: "refused or failed; the reason stands on stderr",
    USAGE: "wrong usage",
    AWAY: "Label Studio does not answer; nothing is lost, try again later",
    BUSY: "another process is doing this right now",
    STOPPED: "stopped by Ctrl-C; the command goes on from there when run again",
}

app = typer.Typer(
    name="fieldloop",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="The active-learning data-collection loop for object detectors in production.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
)

ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project", "-p", envvar="FIELDLOOP_PROJECT", help="The project folder.", show_default="this folder"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
HERE = Path()


IMPORTED_AT_ONCE = 50_000
"""So many new objects before Python looks for garbage: what is imported is none, and looking for it
takes a tenth of a short command.
"""


def main() -> None:
    """Entry point: errors become one clear line and an exit code."""
    gc.set_threshold(IMPORTED_AT_ONCE)
    logging.basicConfig(level=logging.WARNING, handlers=[set_up(logging.StreamHandler(sys.stderr))])
    warnings.filterwarnings("ignore", category=FutureWarning)
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # before torch is loaded: spinning threads slow a busy machine
    try:
        code = app(prog_name="fieldloop", standalone_mode=False)
    except Waiting as error:
        fail(str(error), BUSY)
    except (LoopError, ConnectorError, StateError) as error:
        fail(str(error), AWAY if isinstance(error, LabelStudioDown) else FAILED)
    except (typer.Abort, KeyboardInterrupt):
        fail(SAY_STOPPED, STOPPED)
    except BrokenPipeError:
        sys.stderr.close()
        os._exit(OK)
    except OSError as error:
        fail(
            f"{error.filename or 'the system'}: {error.strerror or error}; nothing was lost, mend it and run"
            " the command again",
            FAILED,
        )
    except Exception as error:
        _explain(error)
    if code == STOPPED:
        fail(SAY_STOPPED, STOPPED)
    sys.exit(code)


def fail(message: str, code: int) -> NoReturn:
    """Ends the command: the message on stderr, and the exit code."""
    typer.secho("error ", fg="red", bold=True, err=True, nl=False)
    shown = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} …"
    typer.echo(printable(shown, line_ends=True), err=True)
    sys.exit(code)


def say(message: str) -> None:
    """A line for people, on stderr so that stdout stays the result's."""
    typer.echo(printable(message, line_ends=True), err=True)


def agreed(said: str) -> bool:
    """What a person at the terminal answers; yes, with a warning, where nobody sits at one to be asked."""
    if sys.stdin.isatty():
        return typer.confirm(f"{said}. Go on?", err=True)
    say(f"warning: {said}\nnobody is here to be asked, so it goes on; --yes agrees beforehand")
    return True


@contextmanager
def progress_bar(label: str, at_once: bool = True) -> Iterator[Progress]:
    """A `Progress` callback: a bar on stderr, or a line now and then where stderr is no terminal.

    at_once: whether the bar is there before anything is reported; no for a command that asks first.
    """
    if not sys.stderr.isatty():
        yield _plain_progress(label)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    bar = progress.Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)

    def report(done: int, total: int, what: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total or None, description=f"{label}: {printable(what)}")

    if at_once:
        bar.start()
    try:
        yield report
    finally:
        bar.stop()


def told_by_step() -> Progress:
    """A `Progress` callback: a line on stderr for every new step, and one now and then while it
    lasts.
    """
    told, last = -PLAIN_EVERY_S, ""

    def report(done: int, total: int, what: str) -> None:
        nonlocal told, last
        step = NUMBERS.sub("", what)
        if step != last or time.monotonic() - told >= PLAIN_EVERY_S:
            told, last = time.monotonic(), step
            say(f"  {what}" + (f" ({done}/{total})" if total else ""))

    return report


def emit(result: Any, as_json: bool, lines: Callable[[], Iterable[str]]) -> None:
    """The result of a command on stdout: JSON, or lines for people; one that a file name breaks in two
    is shown whole.
    """
    if as_json:
        typer.echo(json.dumps(plain(result), indent=2, sort_keys=True))
    else:
        for line in lines():
            typer.echo(printable(line))


def moment(text: str) -> datetime:
    """A time that was typed."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"expected a time such as 2026-11-24T08:30:00+01:00, got {text!r}"
        ) from error


def opened(root: Path, watching: bool = False) -> Parts:
    """The project in `root` with its connectors. Raises ProjectError, ConfigError."""
    from loop.project.project import open_project
    from loop.project.wiring import Parts

    return Parts(open_project(root), watching)


def _plain_progress(label: str) -> Progress:
    told = time.monotonic()

    def report(done: int, total: int, what: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PLAIN_EVERY_S:
            told = time.monotonic()
            say(f"{label}: {done}/{total} {what}" if total else f"{label}: {done} {what}")

    return report


def _explain(error: Exception) -> NoReturn:
    """Usage errors speak for themselves; a database that refuses is no fault of ours; anything else
    is, and is shown whole.
    """
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        sys.exit(error.exit_code)
    if type(error).__module__.startswith("sqlalchemy."):
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        fail(
            f"expected the database to answer, got: {reason}; nothing was lost, run the command again", FAILED
        )
    raise error
