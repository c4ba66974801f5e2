"""What an error means for whoever asked: its status, and its text for people."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from connectors.errors import ConnectorError
from db.errors import (
    Conflict,
    DatabaseDamaged,
    DatabaseUnusable,
    IndexDamaged,
    SchemaMismatch,
    StateError,
)
from loop.base.errors import ConfigError, LoopError, ProjectError

UNREADABLE = (ProjectError, SQLAlchemyError, DatabaseDamaged, DatabaseUnusable, IndexDamaged, SchemaMismatch)


@dataclass(frozen=True)
class Failure:
    """status: as HTTP has it; 400 what was asked is wrong, 404 there is none of that id, 409 it does not
    fit how things stand, 503 the project cannot be read or something outside does not answer.
    """

    status: int
    text: str


def failure_of(error: Exception) -> Failure | None:
    """None for an error that nobody expected."""
    text = str(getattr(error, "orig", None) or error)
    if isinstance(error, ProjectError) and error.__cause__ is None:  # not what a database cannot answer
        return Failure(409, text)
    if isinstance(error, UNREADABLE):
        return Failure(503, text)
    if isinstance(error, ConfigError):
        return Failure(400, text)
    if isinstance(error, (Conflict, LoopError)):
        return Failure(409, text)
    if isinstance(error, StateError):
        return Failure(404, text)
    return Failure(503, text) if isinstance(error, ConnectorError) else None
