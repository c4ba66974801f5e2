"""Opening, upgrading, and the two kinds of session."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from db.engine import (
    MIGRATIONS,
    migration_config,
    open_database,
    read,
    schema_head,
    schema_revision,
    schema_revisions,
    write,
)
from db.errors import SchemaMismatch, StateError
from db.facts import claim_fact, get_fact, set_fact
from db.tables import Base

PROJECT = Path(__file__).parents[2]


def test_the_migrations_make_the_tables_that_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index.*one_open_round")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_write_the_same_sql_as_the_tables(lite: Engine, tmp_path: Path) -> None:
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    Base.metadata.create_all(declared)
    declared.dispose()
    assert _schema(tmp_path / "lite.db") == _schema(tmp_path / "declared.db")


def test_the_files_of_migrations_begin_with_their_revision() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert schema_revisions() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert [schema_head()] == scripts.get_heads()


def test_opening_again_changes_nothing(engine: Engine, url: str) -> None:
    with write(engine) as session:
        set_fact(session, "project", "a")
    again = open_database(url)
    with read(again) as session:
        assert get_fact(session, "project") == "a"
        assert schema_revision(session.connection()) == schema_head()
    again.dispose()


def test_the_schema_can_be_taken_back(engine: Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "base")
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}


def test_a_newer_schema_is_refused_in_words(engine: Engine, url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(
        SchemaMismatch, match=r"expected a database schema up to \d{4}, got 0999: a newer fieldloop"
    ):
        open_database(url)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    note = tmp_path / "note.db"
    note.write_text("these are not the rows you are looking for " * 50)
    before = note.read_bytes()
    with pytest.raises(StateError, match=r"cannot open the database .*note\.db: file is not a database"):
        open_database(f"sqlite:///{note}")
    assert note.read_bytes() == before


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE models (id TEXT)")
    connection.close()
    before = _schema(other)
    with pytest.raises(StateError, match="table models already exists; check the address"):
        open_database(f"sqlite:///{other}")
    assert _schema(other) == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"expected a database file in an existing folder, got '.*/nowhere'"):
        open_database(f"sqlite:///{tmp_path / 'nowhere' / 'loop.db'}")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "postgresql+psycopg://me:hunter2@127.0.0.1:9/loop",
            r"cannot open the database|needs the Python package psycopg",
        ),
        ("hunter2:/loop.db", "expected a database address like sqlite:"),
        ("nosuch://me:hunter2@host/loop", "expected a database address like sqlite:"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(address: str, said: str) -> None:
    with pytest.raises(StateError, match=said) as caught:
        open_database(address)
    assert "hunter2" not in str(caught.value)


def test_a_path_with_blanks_and_percent_signs(tmp_path: Path) -> None:
    folder = tmp_path / "my 100% project"
    folder.mkdir()
    open_database(f"sqlite:///{folder / 'loop.db'}").dispose()
    assert (folder / "loop.db").exists()


def test_sqlite_is_set_up_for_two_processes(lite: Engine) -> None:
    with read(lite) as session:
        pragmas = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in PRAGMAS}
    assert pragmas == PRAGMAS


PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}


def test_an_exception_rolls_everything_back(engine: Engine) -> None:
    def fail() -> None:
        with write(engine) as session:
            set_fact(session, "project", "half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with read(engine) as session:
        assert get_fact(session, "project") is None


def test_a_read_session_refuses_to_write(engine: Engine) -> None:
    with read(engine) as session, pytest.raises(DatabaseError, match=r"readonly|read-only"):
        set_fact(session, "project", "a")
    with write(engine) as session:
        set_fact(session, "project", "b")
    with read(engine) as session:
        assert get_fact(session, "project") == "b"


def test_a_read_session_sees_one_snapshot(engine: Engine) -> None:
    with read(engine) as session:
        assert get_fact(session, "project") is None
        with write(engine) as writer:
            set_fact(writer, "project", "a")
        assert get_fact(session, "project") is None


def test_the_first_claim_of_a_fact_stands(engine: Engine) -> None:
    with write(engine) as session:
        assert claim_fact(session, "uuid", "first") == "first"
        assert claim_fact(session, "uuid", "second") == "first"
        set_fact(session, "uuid", "third")
        assert get_fact(session, "uuid") == "third"


@pytest.mark.slow
def test_several_processes_open_and_write_at_once(url: str) -> None:
    children = [_child(url, name) for name in "abc"]
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 3, outputs
    engine = open_database(url)
    with read(engine) as session:
        assert session.execute(text("SELECT COUNT(*) FROM facts")).scalar() == 3 * 15 + 1
        assert get_fact(session, "counter") == "45"
    engine.dispose()


COUNT_TO_15 = """
import sys
from db.engine import open_database, write
from db.facts import claim_fact, get_fact, set_fact
from sqlalchemy import text
engine = open_database(sys.argv[1])
for step in range(15):
    with write(engine) as session:
        claim_fact(session, "counter", "0")
        if engine.dialect.name == "postgresql":
            session.execute(text("SELECT value FROM facts WHERE key = 'counter' FOR UPDATE"))
        set_fact(session, "counter", str(int(get_fact(session, "counter")) + 1))
        set_fact(session, sys.argv[2] + str(step), "done")
"""


def _child(url: str, name: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", COUNT_TO_15, url, name]
    return subprocess.Popen(arguments, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


def _schema(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql NOT NULL AND name <> 'alembic_version'"
    )
    found = {_clauses(" ".join(row[0].split())) for row in rows}
    connection.close()
    return found


def _clauses(sql: str) -> str:
    """The clauses of a CREATE TABLE in order of the alphabet: a column that was added later stands
    last, its key beside it.
    """
    head, _, rest = sql.partition(" ( ")
    body, _, tail = rest.rpartition(")")
    if not head.startswith("CREATE TABLE"):
        return sql
    inside = re.sub(
        r", (\w+) (\w+) REFERENCES (\w+) \((\w+)\)", r", \1 \2, FOREIGN KEY(\1) REFERENCES \3 (\4)", body
    )
    return f"{head} ( {', '.join(sorted(re.split(r', (?![^(]*[)])', inside.strip())))} ){tail}"
