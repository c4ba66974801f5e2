"""What a source need not offer again, so that a watched folder of a million files is a scan and nothing more."""

from __future__ import annotations

from sqlalchemy import Engine

from db.engine import read
from db.frames import Seen, all_seen
from loop.ingest.ingest import IngestRules, key_within, unchanged


class Memory:
    """`known` of a folder source: whether this very file was read before and would be judged the same again.

    Remembers hashes of what it knows; of all else the database is asked.
    """

    def __init__(self, engine: Engine, rules: IngestRules) -> None:
        self._engine = engine
        self._rules = rules
        with read(engine) as session:
            self._known = {_print(seen.source_key, seen.size, seen.mtime_ns) for seen in all_seen(session)}

    def __call__(self, key: str, size: int, mtime_ns: int) -> bool:
        prints = _print(key, size, mtime_ns), _print(key_within(self._rules, key), size, mtime_ns)
        if not self._known.isdisjoint(prints):
            return True
        if not unchanged(self._engine, [Seen(key, size, mtime_ns)], self._rules):
            return False
        self._known.add(prints[0])
        return True


def _print(key: str, size: int, mtime_ns: int) -> int:
    return hash((key, size, mtime_ns))
