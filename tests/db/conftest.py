"""Every test of `engine` runs on a real SQLite file and on a real PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from db.engine import open_database
from tests.db.world import missing_for_postgres, postgres_server

numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    if lacking := missing_for_postgres():
        if os.environ.get("CI"):
            pytest.fail(f"PostgreSQL is part of the contract: {lacking} must be installed")
        pytest.skip(f"not run on PostgreSQL here: {lacking} not installed")
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'loop.db'}"
    address: str = request.getfixturevalue("postgres")
    name = f"test{next(numbers)}"
    server = create_engine(address)
    with server.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    server.dispose()
    return f"{address}&options=-csearch_path%3D{name}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables and nothing of how a connection sets it up."""
    path = tmp_path_factory.mktemp("migrated") / "loop.db"
    open_database(f"sqlite:///{path}").dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


@pytest.fixture
def engine(url: str, migrated: Path) -> Iterator[Engine]:
    if url.startswith("sqlite"):
        shutil.copyfile(migrated, make_url(url).database or "")
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def lite(tmp_path: Path, migrated: Path) -> Iterator[Engine]:
    """For what does not depend on the database: SQLite alone."""
    shutil.copyfile(migrated, tmp_path / "lite.db")
    opened = open_database(f"sqlite:///{tmp_path / 'lite.db'}")
    yield opened
    opened.dispose()
