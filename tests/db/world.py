"""Small hand-made rows, and a throw-away PostgreSQL server."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import write
from db.frames import NewFrame, add_frame, group_id
from db.states import Origin, Role
from db.tasks import NewTask


def new_frame(group: int, number: int, origin: Origin = Origin.PRODUCTION) -> NewFrame:
    name = f"frame {number}"
    return NewFrame(
        content_hash=hashlib.sha256(name.encode()).hexdigest(),
        path=f"frames/{number}.jpg",
        origin=origin,
        group_id=group,
        camera="gate-1",
        site="north",
        width=640,
        height=480,
        bytes=1000 + number,
        source_key=f"incoming/{number}.jpg",
    )


def add_frames(session: Session, count: int, start: int = 0, role: Role = Role.POOL) -> list[int]:
    group = group_id(session, f"gate-1|{role}", role)
    added = [add_frame(session, new_frame(group, number)) for number in range(start, start + count)]
    return [seq for seq in added if seq is not None]


def stocked(engine: Engine, count: int) -> list[int]:
    with write(engine) as session:
        return add_frames(session, count)


def new_task(frame: int, rank: int = 0, purpose: Purpose = Purpose.TRAIN, key: str | None = None) -> NewTask:
    return NewTask(
        frame, purpose, key or f"{purpose}-{frame}", rank, 1.0 - rank / 100, "dark, unusual", "uncertainty"
    )


def unit_vectors(count: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(size=(count, dim))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a server of its own, on a socket in its own folder."""
    # PostgreSQL refuses to run as root, and its user cannot enter pytest's private folders.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    run = {"check": True, "user": user, "stdout": subprocess.DEVNULL, "cwd": folder, "timeout": 120}
    try:
        options = ["--auth=trust", "--username=fieldloop", "--encoding=UTF8", "--no-sync"]
        subprocess.run([_program("initdb"), "-D", data, *options], **run)  # type: ignore[call-overload]
        serve = (
            f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c"
            " timezone=Asia/Tokyo"
        )
        subprocess.run(  # type: ignore[call-overload]
            [_program("pg_ctl"), "-D", data, "-w", "-o", serve, "-l", folder / "log", "start"], **run
        )
        yield f"postgresql+psycopg://fieldloop@/postgres?host={folder}"
    finally:
        if (data / "postmaster.pid").exists():
            subprocess.run([_program("pg_ctl"), "-D", data, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder)


def missing_for_postgres() -> str:
    """What this machine lacks to run the tests on PostgreSQL, empty when nothing."""
    lacking = [name for name in ("initdb", "pg_ctl") if not _program(name)]
    try:
        import psycopg  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        lacking.append("the Python package psycopg")
    return ", ".join(lacking)


def _program(name: str) -> str:
    installed: Sequence[Path] = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else "")
