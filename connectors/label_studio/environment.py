"""The environment of its own in which Label Studio lives: its dependencies contradict those of a
detector.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.errors import LabelStudioError
from connectors.files import sha256_of_file, write_atomically
from connectors.ports import Progress

LOCK = Path(__file__).with_name("label_studio_lock.txt")
MARKER = "complete"
Process = subprocess.Popen[str]


def default_home() -> Path:
    """Where fieldloop keeps what several projects share: $FIELDLOOP_HOME, $XDG_DATA_HOME/fieldloop
    or ~/.local/share/fieldloop.
    """
    if chosen := os.environ.get("FIELDLOOP_HOME"):
        return Path(chosen).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share").absolute() / "fieldloop"


def quiet(done: int, total: int, what: str) -> None:
    """A Progress that says nothing."""


def environment_path(home: Path) -> Path:
    """The folder of the environment that belongs to the lock: another lock, another folder."""
    return home / f"label-studio-{sha256_of_file(LOCK)[:12]}"


def is_complete(environment: Path) -> bool:
    return (environment / MARKER).is_file()


def ensure_environment(home: Path, progress: Progress = quiet) -> Path:
    """The environment with Label Studio, built when it is not there yet (one to three minutes, 1
    GB).

    pip takes proxies and indexes from its own configuration. A half-made environment is built
    again; of two processes one waits for the other. Raises LabelStudioError with the last lines of
    pip.
    """
    environment = environment_path(home)
    if is_complete(environment):
        return environment
    home.mkdir(parents=True, exist_ok=True)
    with locked(
        environment.with_name(environment.name + ".lock"),
        lambda: progress(0, 0, "waiting for another process to install"),
    ):
        if not is_complete(environment):
            _build(environment, progress)
    return environment


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[int]:
    """Holds an exclusive lock between processes; calls `on_wait` once when somebody else has it.

    Yields the descriptor that holds it: a child that inherits it holds the lock too.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _build(environment: Path, progress: Progress) -> None:
    # Scripts of an environment carry its absolute path, so it is built in place and the marker, written last,
    # makes it valid.
    shutil.rmtree(environment, ignore_errors=True)
    total = sum(line[:1].isalnum() for line in LOCK.read_text().splitlines())
    progress(0, total, f"creating {environment}")
    _run([sys.executable, "-m", "venv", str(environment)], lambda _: None)
    install = [
        "-m",
        "pip",
        "install",
        "--progress-bar",
        "off",
        "--no-input",
        "--require-hashes",
        "-r",
        str(LOCK),
    ]
    collected = 0

    def follow(line: str) -> None:
        nonlocal collected
        if line.startswith("Collecting "):
            collected += 1
            progress(collected, total, f"fetching {line.split()[1].partition('==')[0]}")
        elif line.startswith("Installing collected packages"):
            progress(total, total, "installing (about a minute)")

    _run([str(environment / "bin" / "python"), *install], follow)
    write_atomically(environment / MARKER, LOCK.read_text())


def _run(command: list[str], on_line: Callable[[str], None]) -> None:
    environment = {
        k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    }
    tail: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as process:
        for line in process.stdout or ():
            tail = [*tail[-14:], line.rstrip()]
            on_line(line)
    if process.returncode:
        raise LabelStudioError(
            "expected Label Studio to install into an environment of its own; got exit code"
            f" {process.returncode} from {' '.join(command[1:4])}:\n"
            + "\n".join(tail)
            + "\nnext: mend the network or pip's configuration (PIP_INDEX_URL, PIP_FIND_LINKS, proxies) and"
            " run the command again, or give the URL and token of a Label Studio that you already run"
        )
