"""A table that says, after the fact, where and when frames were taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from connectors.documents import parse_json
from connectors.errors import SourceError
from connectors.sources.metadata import Facts
from connectors.sources.names import FACTS, Names, expected, read_table, value_of
from connectors.sources.sidecars import to_facts


@dataclass(frozen=True, slots=True)
class ToldRow:
    """What a row says of a file.

    number: from 1, without the header.
    problem: why it says nothing.
    """

    number: int
    file: str
    facts: Facts
    problem: str = ""


def read_told(path: Path, names: Names, assumed: tzinfo) -> Iterator[ToldRow]:
    """The rows of a CSV, or of a JSON list of objects.

    assumed: the zone of times without one.
    Raises SourceError for what is no such file, or has none of the columns that are wanted.
    """
    try:
        header, rows = _json(path) if path.suffix.lower() == ".json" else _table(path)
    except (OSError, StopIteration) as error:
        raise SourceError(f"{path}: expected a table of frames, got: {error}; check the path") from error
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from error
    columns = names.of(header)
    if "file" not in columns or not columns.keys() & set(FACTS):
        raise SourceError(f"{path}: {expected(header)}")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            yield ToldRow(number, "", Facts(), f"expected an object, got {row!r:.60}")
            continue
        file = str(value_of(row, columns["file"]) or "").replace("\\", "/")
        said = {fact: value_of(row, columns[fact]) for fact in FACTS if fact in columns}
        try:
            yield ToldRow(number, file, to_facts(said, assumed), "" if file else "it names no file")
        except SourceError as error:
            yield ToldRow(number, file, Facts(), str(error))


def _table(path: Path) -> tuple[list[str], Iterator[Mapping[str, Any]]]:
    rows = read_table(path)
    return list(next(rows)), rows


def _json(path: Path) -> tuple[list[str], Iterator[Any]]:
    try:
        content = parse_json(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise SourceError(f"expected JSON, got: {error}") from error
    rows = [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []
    if not rows:
        raise SourceError("expected a JSON list of objects, one a frame")
    return list(dict.fromkeys(key for row in rows for key in row)), iter(content)
