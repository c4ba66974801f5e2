"""Every test of `engine` runs on a real SQLite file and on a real PostgreSQL server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

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


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_database(url)
    yield opened
    opened.dispose()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    """For what does not depend on the database: SQLite alone."""
    opened = open_database(f"sqlite:///{tmp_path / 'lite.db'}")
    yield opened
    opened.dispose()
