"""Whether a project can be written at all: asked again and again, however idle its jobs are.

A job that finds nothing to do touches neither disk nor database, so that its success says nothing
of them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from connectors.files import draft_of
from db.engine import database_file, write
from db.errors import StateError
from db.facts import set_fact
from db.tables import utcnow
from db.trouble import RESTORE, damage
from loop.project.project import Project

log = logging.getLogger(__name__)
EVERY_S = 10.0
SILENT_S = 90.0
"""Longer than a database that is busy is waited for."""
PROBE_BYTES = 1 << 16
FACT = "pulse"
CHECK_AFTER_S, CHECK_SHARE = 60.0, 0.01
"""The whole database is read after a minute, and again when that takes 1 % of the time at most."""


class Pulse:
    """Tries in a thread of its own until `stop` is set. `problems` is what the latest try found."""

    def __init__(self, project: Project, stop: threading.Event) -> None:
        self._project = project
        self._stop = stop
        self._file = database_file(project.engine)
        self._inode = _inode(self._file)
        self._found: tuple[str, ...] = ()
        self._damage = ""
        self._check_at = time.monotonic() + CHECK_AFTER_S
        self._tried_at = time.monotonic()

    def start(self) -> None:
        self._tried_at = time.monotonic()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def problems(self) -> list[str]:
        """What is wrong, each in a sentence; asks nobody."""
        silent = time.monotonic() - self._tried_at
        hung = [f"expected disk and database to answer, got nothing for {silent:.0f} s"]
        return [*self._found, *(hung if silent > SILENT_S else [])]

    def beat(self) -> None:
        """Tries once, and checks the database where that is due."""
        found = [*self._disk(), *self._database()]
        if not found and time.monotonic() >= self._check_at:
            self.check()
        self._found = (*found, *([self._damage] if self._damage else []))
        self._tried_at = time.monotonic()

    def check(self) -> None:
        """Reads the whole database and keeps what is wrong with it; one of a server checks itself."""
        begun = time.monotonic()
        if self._file is not None:
            found = damage(self._file)
            self._damage = f"the database {self._file} is damaged: {found}; {RESTORE}" if found else ""
        ended = time.monotonic()
        self._check_at = ended + max(CHECK_AFTER_S, (ended - begun) / CHECK_SHARE)

    def _beat(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.beat()
            except Exception as error:
                log.exception("asking whether the project can be written failed")
                self._found = (f"{type(error).__name__}: {error}",)

    def _disk(self) -> Iterator[str]:
        for folder in _disks(self._project):
            try:
                with draft_of(folder / ".pulse", private=True) as draft:
                    draft.write_bytes(os.urandom(PROBE_BYTES))
                (folder / ".pulse").unlink()
            except OSError as error:
                yield f"expected to write in {folder}, got: {error.strerror or error}"

    def _database(self) -> Iterator[str]:
        if self._file is not None and _inode(self._file) != self._inode:
            yield (
                f"expected the database {self._file} as it was opened, got another file or none: what is"
                " written since is lost; stop the service, copy the file back, start it again"
            )
            return
        try:
            with write(self._project.engine) as session:
                set_fact(session, FACT, utcnow().isoformat())
        except (StateError, SQLAlchemyError, OSError) as error:
            yield str(getattr(error, "orig", None) or error)


def _disks(project: Project) -> list[Path]:
    """One folder for each file system that the project writes to."""
    folders = [folder for folder in (project.rounds, project.store, project.root) if folder.is_dir()]
    return list({folder.stat().st_dev: folder for folder in folders}.values())


def _inode(path: Path | None) -> int:
    try:
        return path.stat().st_ino if path else 0
    except OSError:
        return 0
