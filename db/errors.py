"""Errors of the state layer."""


class StateError(Exception):
    """Base of everything raised by db."""


class Conflict(StateError):
    """Somebody else changed the row first: read it again."""


class SchemaMismatch(StateError):
    """The database was written by another version of fieldloop."""


class IndexDamaged(StateError):
    """The vector index file does not match its checksum or the database; rebuild it."""
