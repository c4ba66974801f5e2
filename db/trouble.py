"""What ails a SQLite database, in words: damage, a full disk, a file that is gone.

SQLite's own words for these mislead: a full disk is a "disk I/O error", and no free descriptor is
"unable to open database file".
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from db.errors import DatabaseDamaged, DatabaseUnusable, StateError

LEAST_FREE = 1 << 20
"""Bytes below which a disk counts as full: SQLite's shared memory alone takes 32 KiB."""
_PRIMARY = 0xFF
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_ACCESS = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
RESTORE = "keep the file and take a backup back with `fieldloop restore`"


def connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A connection to a file that exists: one that is missing is never made. Raises sqlite3.Error."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=timeout_s, check_same_thread=False
    )


def trouble(error: BaseException, path: Path) -> StateError | None:
    """What to raise for an error of SQLite's; None where it is no trouble with the file itself."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _DAMAGE:
        return DatabaseDamaged(
            f"cannot open the database {path}: {error}; it is damaged, or none of fieldloop's: {RESTORE}"
        )
    if code == sqlite3.SQLITE_FULL or (code in _NO_ACCESS and _is_full(path.parent)):
        return DatabaseUnusable(
            f"expected room on the disk of {path}, got none: it is full; nothing was lost, free some space"
            " and go on"
        )
    if code not in _NO_ACCESS:
        return None
    if _no_descriptor():
        return DatabaseUnusable(
            "expected to open another file, got: this process has too many open; nothing was lost, raise its"
            " limit (LimitNOFILE of the unit, or ulimit -n)"
        )
    if not path.is_file():
        return DatabaseUnusable(
            f"expected the database {path}, got no such file; nothing is made in its place: copy it back, or"
            " take a backup back with `fieldloop restore`"
        )
    return None


def damage(path: Path, timeout_s: float = 30.0) -> str:
    """What SQLite's quick check finds first in a database file, "" where it is sound.

    Reads the whole file, so it takes about as long as copying it. Raises StateError, sqlite3.Error
    where the file cannot be read at all.
    """
    try:
        with closing(connect(path, timeout_s)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        known = trouble(error, path)
        if isinstance(known, DatabaseDamaged):
            return str(error)
        raise known or error from error
    return "" if found == "ok" else " ".join(found.split())


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST_FREE
    except OSError:
        return False


def _no_descriptor() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
