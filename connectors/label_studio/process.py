"""One detached process per data folder: its record on disk, whether it still runs, and its end.

The process is started through this very file, which records itself and then becomes the command:
whoever starts it may be killed at any moment, and the next one still finds it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

STOP_SECONDS = 10.0
RECORD = "server.json"
LOG_BYTES = 10_000_000

_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Record:
    """What server.json says.

    started: when the process began, as the system tells it, so that a reused pid is noticed.
    folder: which data folder it serves, so that a copy of the folder does not take the process for
    its own. "" in records of earlier versions.
    """

    pid: int
    started: str
    port: int
    document_root: str
    folder: str = ""


def spawn(
    data_dir: Path,
    command: list[str],
    variables: dict[str, str],
    log: Path,
    port: int,
    document_root: str,
    lock: int,
) -> Record:
    """Starts a process in a session of its own, which records itself; the former log is kept beside
    the new one.

    lock: a descriptor that the process keeps open until its record stands.
    """
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    itself = [
        sys.executable,
        "-I",
        str(Path(__file__).resolve()),
        str(data_dir),
        str(port),
        document_root,
        str(lock),
    ]
    with log.open("ab") as output:  # so that it can be cut while the process writes
        os.fchmod(output.fileno(), 0o600)
        process = subprocess.Popen(
            [*itself, *command],
            cwd=data_dir,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    _children[process.pid] = process
    while (record := live_record(data_dir)) is None or record.pid != process.pid:
        if process.poll() is not None:
            return Record(process.pid, "ended before it was recorded", port, document_root)
        time.sleep(0.01)
    return record


def become(data_dir: Path, port: int, document_root: str, lock: int, command: list[str]) -> NoReturn:
    """Records this process, then is `command`: number and start time stay, and the lock is closed."""
    started = _process_start(os.getpid()) or ""
    record = Record(os.getpid(), started, port, document_root, _identity(data_dir))
    from connectors.files import write_atomically  # nothing of ours is found before this file runs by itself

    write_atomically(data_dir / RECORD, json.dumps(asdict(record)), private=True)
    os.set_inheritable(lock, False)
    os.execv(command[0], command)  # noqa: S606  (no shell is wanted)


def end(data_dir: Path) -> bool:
    """Ends the recorded process, politely first. False when none ran."""
    record = live_record(data_dir)
    if record is not None:
        with suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)
            if not _ended(record, STOP_SECONDS):
                os.kill(record.pid, signal.SIGKILL)
                _ended(record, STOP_SECONDS)
    (data_dir / RECORD).unlink(missing_ok=True)
    return record is not None


def live_record(data_dir: Path) -> Record | None:
    try:
        record = Record(**json.loads((data_dir / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    ours = record.folder in ("", _identity(data_dir))
    return record if ours and alive(record) else None


def cut_log(log: Path, most: int = LOG_BYTES) -> None:
    """Moves what a running process wrote so far to `.log.1` once that is more than `most` bytes."""
    try:
        if log.stat().st_size > most:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            log.with_suffix(".log.1").chmod(0o600)
            os.truncate(log, 0)
    except FileNotFoundError:
        return


def _identity(folder: Path) -> str:
    """Of a folder on this machine: it stays when the folder is moved, and a copy has another."""
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def alive(record: Record) -> bool:
    started = _process_start(record.pid)
    if started is None and (child := _children.pop(record.pid, None)):
        child.wait()
    return started is not None and started == record.started


def _ended(record: Record, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(record):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _process_start(pid: int) -> str | None:
    """When the process began, in the system's own words; None when it does not run, or only its
    zombie is left.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {"Z", "X"} else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    become(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:])
