"""Errors of the state layer."""


class StateError(Exception):
    """Base of everything raised by db."""


class Conflict(StateError):
    """Somebody else changed the row first: read it again."""


class SchemaMismatch(StateError):
    """The database was written by another version of fieldloop."""


class DatabaseDamaged(StateError):
    """The file of the database is damaged, or is none."""


class DatabaseUnusable(StateError):
    """The database cannot be used now, and nothing in it is wrong: a full disk, a file that is gone."""


class IndexDamaged(StateError):
    """The vector index file does not match its checksum or the database; rebuild it."""
