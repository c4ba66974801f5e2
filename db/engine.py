"""Opening the database: schema by migrations, one kind of session for writing and one for reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError
from sqlalchemy.orm import Session

from db.errors import DatabaseUnusable, SchemaMismatch, StateError
from db.trouble import connect, trouble

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_TIMEOUT_S = 30
MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 7_203_311_842  # any constant: who holds it on PostgreSQL migrates, the others wait


def open_database(url: str, create: bool = True) -> Engine:
    """The engine of an up-to-date database; upgrades its schema as needed.

    create: make one where there is none; otherwise what is missing or empty is refused. A file is
    made for its owner alone (mode 0600), since it names people.
    Raises SchemaMismatch when a newer fieldloop wrote it, DatabaseDamaged, DatabaseUnusable, and
    StateError when it cannot be opened for another reason.
    """
    engine = _engine(url, create)
    try:
        _upgrade(engine, create)
    except DatabaseError as error:
        engine.dispose()
        shown = engine.url.render_as_string(hide_password=True)
        raise StateError(
            f"cannot open the database {shown}: {error.orig}; check the address and that fieldloop wrote it"
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def write(engine: Engine) -> Iterator[Session]:
    """A session that commits on success and rolls back on any exception."""
    with (
        Session(engine.execution_options(fieldloop="write"), expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


@contextmanager
def read(engine: Engine) -> Iterator[Session]:
    """A session over one snapshot; a statement that would write raises."""
    options: dict[str, Any] = {"fieldloop": "read"}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with Session(engine.execution_options(**options), expire_on_commit=False) as session:
        yield session


def schema_head() -> str:
    """The newest schema revision this fieldloop knows."""
    return schema_revisions()[-1]


def schema_revisions() -> list[str]:
    """Those that this fieldloop knows, oldest first.

    Read off the names of their files: a start that finds the database up to date needs no Alembic.
    """
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def schema_revision(connection: Connection) -> str | None:
    """The revision the database is at, None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migration_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, built here so that it also works from an installed wheel."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def database_file(engine: Engine) -> Path | None:
    """The file of a SQLite database, None for another kind."""
    url = engine.url
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _engine(url: str, create: bool) -> Engine:
    try:
        return _connectable(make_url(url), create)
    except ArgumentError as error:
        raise StateError(
            "expected a database address like sqlite:////path/loop.db or"
            " postgresql+psycopg://user@host/name, got one that cannot be read; correct database_url"
            f" ({type(error).__name__})"
        ) from None
    except ModuleNotFoundError as error:
        raise StateError(
            f"this kind of database needs the Python package {error.name}; install it"
        ) from error


def _connectable(url: URL, create: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    folder = Path(url.database).parent if url.database else None
    if folder is None or not folder.is_dir():
        raise StateError(
            f"expected a database file in an existing folder, got {str(folder)!r}; create the folder first"
        )
    path = Path(url.database or "")
    if create:
        path.touch(mode=0o600)
    engine = create_engine(url, creator=lambda: connect(path, BUSY_TIMEOUT_S))
    event.listen(
        engine, "handle_error", lambda context: trouble(context.original_exception, path), retval=True
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin on its own, and too late
    for pragma in ("journal_mode = WAL", "foreign_keys = ON", f"busy_timeout = {BUSY_TIMEOUT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("fieldloop") == "read"
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if reading else 'OFF'}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _upgrade(engine: Engine, create: bool) -> None:
    with engine.execution_options(fieldloop="read").connect() as connection:
        if _is_current(connection):
            return
        if not create and schema_revision(connection) is None:
            shown = engine.url.render_as_string(hide_password=True)
            raise DatabaseUnusable(
                f"expected fieldloop's tables in the database {shown}, got an empty one; nothing is made in"
                " its place: take a backup back with `fieldloop restore`, or run `fieldloop init` again"
                " where that was stopped"
            )
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        if not _is_current(connection):
            from alembic import command

            command.upgrade(migration_config(connection), "head")


def _is_current(connection: Connection) -> bool:
    found, known = schema_revision(connection), schema_revisions()
    head = known[-1]
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"expected a database schema up to {head}, got {found}: a newer fieldloop wrote it; "
            "upgrade fieldloop, or open a database of this version"
        )
    return found == head
