"""What was read before and need not be read again: a watched folder of a million files is a scan,
no more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cached_property

from sqlalchemy import Engine

from db.engine import read
from db.frames import Seen, all_seen, seen_sources
from loop.settings.settings import IngestRules


class KnownFiles:
    """ports.IsKnown of a project: files that were read before and would be judged the same again.

    Hashes of what it knows are loaded when it is first asked. Of all else the database is asked.
    """

    def __init__(self, engine: Engine, rules: IngestRules) -> None:
        self._engine = engine
        self._rules = rules

    def __call__(self, key: str, size: int, mtime_ns: int) -> bool:
        prints = _print(key, size, mtime_ns), _print(key_within(self._rules, key), size, mtime_ns)
        if not self._prints.isdisjoint(prints):
            return True
        if not unchanged(self._engine, [Seen(key, size, mtime_ns)], self._rules):
            return False
        self._prints.add(prints[0])
        return True

    @cached_property
    def _prints(self) -> set[int]:
        with read(self._engine) as session:
            return {_print(seen.source_key, seen.size, seen.mtime_ns) for seen in all_seen(session)}


def unchanged(engine: Engine, sightings: Collection[Seen], rules: IngestRules) -> set[str]:
    """Keys of files that were read before and would be judged the same again."""
    too_large = {key_within(rules, seen.source_key): seen for seen in sightings}
    again = [replace(seen, source_key=key) for key, seen in too_large.items()]
    with read(engine) as session:
        found = seen_sources(session, [*sightings, *again])
    return {too_large[key].source_key if key in too_large else key for key in found}


def key_within(rules: IngestRules, key: str) -> str:
    """What is too large is too large for these limits alone."""
    return f"{key} within {rules.max_pixels} px and {rules.max_bytes} bytes"


def _print(key: str, size: int, mtime_ns: int) -> int:
    return hash((key, size, mtime_ns))
