"""A copy of a SQLite database at one moment, taken while others write; and what it names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from db.errors import DatabaseDamaged, StateError
from db.trouble import RESTORE, connect, damage, trouble

BUSY_S = 30.0


def save_copy(database: Path, target: Path) -> None:
    """Makes `target` a whole copy of a SQLite file, for its owner alone, and checks it.

    Raises DatabaseDamaged, DatabaseUnusable, StateError.
    """
    target.touch(mode=0o600)
    try:
        with closing(connect(database, BUSY_S)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        raise trouble(error, database) or StateError(f"cannot copy {database}: {error}") from error
    if found := damage(target):
        raise DatabaseDamaged(f"the database {database} is damaged: {found}; {RESTORE}")


def files_named(database: Path) -> list[tuple[str, int | None]]:
    """(path below the project, bytes where they are known) of the images and checkpoints that a
    copy names.
    """
    with closing(connect(database, BUSY_S)) as opened:
        images = opened.execute("SELECT path, bytes FROM frames").fetchall()
        models = opened.execute("SELECT path FROM models").fetchall()
    return [*((f"store/{path}", size) for path, size in images), *((path, None) for (path,) in models)]


def counts(database: Path) -> dict[str, int]:
    """Rows of a copy that people ask about."""
    tables = {"frames": "frames", "labels": "labels", "tasks": "label_tasks", "models": "models"}
    with closing(connect(database, BUSY_S)) as opened:
        return {
            name: int(opened.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608
            for name, table in tables.items()
        }


def forget_the_present(database: Path) -> None:
    """Lets a database that was taken back know nothing of who worked on it, nor up to when Label
    Studio was read: all answers are read again.
    """
    with closing(connect(database, BUSY_S)) as opened, opened:
        opened.execute("DELETE FROM leases")
        opened.execute("DELETE FROM facts WHERE key LIKE 'pull\\_watermark\\_%' ESCAPE '\\'")
