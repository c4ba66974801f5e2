"""Whether the service can do its work now, for whoever sends it work: a balancer, a supervisor.

Health says whether anything is wrong; this, whether everything that the work needs answers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db.engine import read
from db.errors import StateError
from db.facts import get_fact
from db.leases import lease
from db.tables import utcnow
from loop.project.project import Project

LEAST_FREE = 200_000_000
"""Bytes below which no frame is taken any more."""
LEASE = "serve"


def of_database(project: Project) -> str:
    """Why the database is not ready, "" where it is."""
    try:
        with read(project.engine) as session:
            get_fact(session, "uuid")
    except (SQLAlchemyError, StateError) as error:
        return f"expected the database to answer, got: {getattr(error, 'orig', None) or error}"
    return ""


def of_leader(project: Project) -> str:
    """Why nobody is known to lead the project, "" where somebody does."""
    try:
        with read(project.engine) as session:
            found = lease(session, LEASE)
    except (SQLAlchemyError, StateError):
        return "expected to see who leads this project, got no answer of the database"
    if found is None or found.expires_at <= utcnow():
        return f"expected a process that leads this project, found none with the lease {LEASE!r}"
    return ""


def of_disk(folder: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return f"expected the folder {folder}, got: {error.strerror or error}"
    if free < LEAST_FREE:
        return (
            f"expected {LEAST_FREE / 1e6:.0f} MB free below {folder}, got {free / 1e6:.0f} MB; make room, or"
            " move the project to a larger disk"
        )
    return ""
