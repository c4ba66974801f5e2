"""One holder at a time, over processes: a lease in the database that a dead holder loses at once
and a silent one after a while.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db.engine import read, write
from db.errors import StateError
from db.leases import acquire, beat, lease, release

log = logging.getLogger(__name__)


@contextmanager
def exclusive(
    engine: Engine, name: str, ttl_s: float = 120.0, on_lost: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Holds the lease `name` while the block runs; yields False when somebody alive holds it
    already.

    on_lost: called when this process was silent for so long that another took the lease.
    """
    holder = holder_id()
    got = take(engine, name, holder, ttl_s)
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(engine, name, holder, ttl_s, stop, on_lost), daemon=True)
    if got:
        beating.start()
    try:
        yield got
    finally:
        stop.set()
        if got:
            beating.join()
            with write(engine) as session:
                release(session, name, holder)


def take(engine: Engine, name: str, holder: str, ttl_s: float) -> bool:
    """Acquires a lease that is free, expired, or held by a process of this machine that is gone."""
    with read(engine) as session:
        current = lease(session, name)
    with write(engine) as session:
        if current is not None and current.holder != holder and not holder_alive(current.holder):
            release(session, name, current.holder)
        return acquire(session, name, holder, ttl_s)


def holder_id() -> str:
    """Host, process, its start time (process numbers are used again) and a nonce (one process may
    ask twice).
    """
    return f"{socket.gethostname()[:30]}/{os.getpid()}/{_started(os.getpid())}/{secrets.token_hex(4)}"


def holder_alive(holder: str) -> bool:
    """False only when `holder` is known to be gone; of another machine nothing is known."""
    host, pid, started, _ = holder.split("/")
    return host != socket.gethostname()[:30] or _started(int(pid)) == started


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _started_elsewhere(pid)
    fields = stat.rsplit(")", 1)[1].split()
    return "gone" if fields[0] == "Z" else fields[19]


def _started_elsewhere(pid: int) -> str:
    """Without /proc only whether the process exists is known."""
    try:
        os.kill(pid, 0)
    except OSError:
        return "gone"
    return "alive"


def _beat(
    engine: Engine,
    name: str,
    holder: str,
    ttl_s: float,
    stop: threading.Event,
    on_lost: Callable[[], None],
) -> None:
    while not stop.wait(ttl_s / 4):
        try:
            with write(engine) as session:
                kept = beat(session, name, holder, ttl_s)
        except (SQLAlchemyError, StateError) as error:
            log.warning("the lease %s could not be prolonged; trying again: %s", name, error)
            continue
        if not kept:
            log.error(
                "another process took the lease %s: this one was silent for more than %g s", name, ttl_s
            )
            on_lost()
            return
