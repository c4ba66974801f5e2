"""Damage is named as damage, a full disk as a full disk, and nothing is made where a file is gone."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from db import trouble as troubles
from db.engine import open_database, read, write
from db.errors import DatabaseDamaged, DatabaseUnusable
from db.facts import get_fact, set_fact
from db.trouble import connect, damage, trouble


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One of several pages per table, closed."""
    path = tmp_path / "fieldloop.db"
    engine = open_database(f"sqlite:///{path}")
    with write(engine) as session:
        for number in range(400):
            set_fact(session, f"fact {number}", "x" * 200)
    engine.dispose()
    return path


def spoil(path: Path, begin: int = 0, end: int | None = None) -> None:
    """Writes noise over the pages from `begin` on."""
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(os.urandom((end or path.stat().st_size) - begin))


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (lambda path: spoil(path), "file is not a database"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(5000)), "file is not a database"),
        (lambda path: spoil(path, 4096, 3 * 4096), "database disk image is malformed"),
    ],
)
def test_damage_is_named_as_damage(database: Path, spoiled: Callable[[Path], None], said: str) -> None:
    spoiled(database)
    with pytest.raises(DatabaseDamaged, match=rf"fieldloop\.db: {said}; it is damaged, .*fieldloop restore"):
        read_all(database)


def read_all(path: Path) -> None:
    engine = open_database(f"sqlite:///{path}", create=False)
    try:
        with read(engine) as session:
            for (name,) in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")):
                session.execute(text(f"SELECT * FROM {name}")).all()
    finally:
        engine.dispose()


def test_a_missing_database_is_refused_and_none_made(database: Path) -> None:
    database.unlink()
    with pytest.raises(DatabaseUnusable, match=r"expected the database .*fieldloop\.db, got no such file"):
        open_database(f"sqlite:///{database}", create=False)
    assert not database.exists()


def test_an_empty_database_is_refused_and_stays_empty(database: Path) -> None:
    database.write_bytes(b"")
    with pytest.raises(DatabaseUnusable, match=r"expected fieldloop's tables in .*got an empty one"):
        open_database(f"sqlite:///{database}", create=False)
    with closing(connect(database, 1)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)


def test_a_file_that_goes_away_while_open_is_not_made_anew(database: Path) -> None:
    engine = open_database(f"sqlite:///{database}", create=False)
    engine.dispose()
    database.unlink()
    with pytest.raises(DatabaseUnusable, match="got no such file"), read(engine) as session:
        get_fact(session, "fact 1")
    assert not database.exists()


def test_a_new_database_is_for_its_owner_alone(database: Path) -> None:
    assert database.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_named_whatever_sqlite_calls_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(10**9, 10**9, 0)
    monkeypatch.setattr(troubles.shutil, "disk_usage", lambda folder: usage)
    for code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        found = trouble(error, database)
        assert isinstance(found, DatabaseUnusable)
        assert "it is full; nothing was lost, free some space" in str(found)


def test_a_database_that_may_not_grow_says_that_the_disk_is_full(database: Path) -> None:
    engine = open_database(f"sqlite:///{database}", create=False)

    def fill() -> None:
        with write(engine) as session:
            session.execute(text("PRAGMA max_page_count = 1"))
            for number in range(400):
                set_fact(session, f"more {number}", "x" * 2000)

    with pytest.raises(DatabaseUnusable, match="it is full"):
        fill()
    engine.dispose()


def _highest() -> int:
    return max(int(path.name) for path in Path("/proc/self/fd").iterdir())


@contextmanager
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (_highest() + 2, hard))
    try:
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_many_open_files_are_named(database: Path) -> None:
    engine = open_database(f"sqlite:///{database}", create=False)
    engine.dispose()
    with few_descriptors(), pytest.raises(DatabaseUnusable, match="too many open"), read(engine) as session:
        get_fact(session, "fact 1")


def test_the_check_finds_what_no_query_meets(database: Path) -> None:
    assert damage(database) == ""
    spoil(database, 10 * 4096, 12 * 4096)
    assert damage(database)
    spoil(database)
    assert damage(database) == "file is not a database"


def test_other_errors_stay_what_they_are(database: Path) -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    assert trouble(error, database) is None
    assert trouble(ValueError("of Python's"), database) is None
