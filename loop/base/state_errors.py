"""What can go wrong with the database, by what whoever asked can do about it: for those who may not
know the database.
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from db.errors import Conflict, StateError, Unknown

NOT_THERE: tuple[type[Exception], ...] = (Unknown,)
"""There is nothing of that id."""
CHANGED: tuple[type[Exception], ...] = (Conflict,)
"""Somebody else was first: read again."""
AWAY: tuple[type[Exception], ...] = (StateError, SQLAlchemyError)
"""The database cannot be used now; the two above are of these as well."""


def reason_of(error: Exception) -> str:
    """In a sentence, without statements and parameters."""
    return str(getattr(error, "orig", None) or error)
