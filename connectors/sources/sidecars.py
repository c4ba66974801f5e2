"""Sidecars: `a.json` (or `a.jpg.json`) beside `a.jpg`, or one CSV in its folder or in one above.

Both know camera, site, sequence and captured_at, under usual names or those that a setting gives; a
CSV also has a column for the file, a path relative to its own folder. Other keys and columns are
left alone; a file of which none is understood is reported.
"""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from pathlib import Path

from connectors.documents import parse_json
from connectors.errors import SourceError
from connectors.files import is_file
from connectors.sources.metadata import (
    CAMERA_LENGTH,
    SEQUENCE_LENGTH,
    SITE_LENGTH,
    Facts,
    clean,
    read_time,
    says_zone,
)
from connectors.sources.names import FACTS, USUAL_NAMES, Names, expected, read_table, value_of

MAX_JSON_BYTES = 1_000_000
SHOWN = 8
"""Keys of a sidecar that are shown where none is understood."""
ANNOTATION_KEYS = {"shapes", "annotations", "imagePath"}
"""Of JSON that labels an image, which says nothing of where it was taken."""
Row = tuple[str, str, str, str]
Report = Callable[[str, str], object]
"""`report(key, problem)`: something beside a frame could not be used; the frame itself can."""


class NothingUnderstood(SourceError):
    """A sidecar of which no key is one that is wanted: likely all of its folder are so."""


def json_sidecar(image: Path) -> Path | None:
    """The JSON file that belongs to an image, if there is one."""
    for candidate in (image.with_suffix(".json"), image.with_name(image.name + ".json")):
        if is_file(candidate) and not candidate.is_symlink():
            return candidate
    return None


def read_json(path: Path, assumed: tzinfo, names: Names = USUAL_NAMES) -> Facts:
    """Raises SourceError for a file that is no JSON object, holds a value of the wrong kind, or none
    of the keys that are wanted.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise SourceError(f"expected a sidecar of at most {MAX_JSON_BYTES:,} bytes, got more")
        content = parse_json(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SourceError(f"expected a JSON sidecar, got: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"expected a JSON object with {', '.join(FACTS)}, got a {type(content).__name__}")
    columns = names.of(content)
    if content and not columns.keys() & set(FACTS) and not ANNOTATION_KEYS & content.keys():
        raise NothingUnderstood(
            f"expected one of the keys {', '.join(FACTS)}, got {', '.join(list(content)[:SHOWN])};"
            " rename them, or say what is what in frames.columns"
        )
    return to_facts({wanted: value_of(content, columns[wanted]) for wanted in columns}, assumed)


def to_facts(values: Mapping[str, object], assumed: tzinfo) -> Facts:
    """Facts from a sidecar's values by what is wanted, empty ones silent. Raises SourceError that
    names the key.
    """
    moment = values.get("captured_at")
    try:
        captured_at = None if moment in (None, "") else read_time(moment, assumed)
    except ValueError as error:
        raise SourceError(f"captured_at: {error}") from error
    return Facts(
        _name(values, "camera", CAMERA_LENGTH),
        _name(values, "site", SITE_LENGTH),
        _name(values, "sequence", SEQUENCE_LENGTH),
        captured_at,
        captured_at is not None and not says_zone(moment),
    )


class CsvSidecars:
    """The CSV files of a folder tree, one per folder, read when first needed.

    Only those in the folders above the last key stay in memory.
    """

    def __init__(self, root: Path, report: Report, names: Names = USUAL_NAMES) -> None:
        self._root = root
        self._names = names
        self._report = report
        self._tables: dict[str, dict[str, Row]] = {}

    def values(self, key: str) -> Mapping[str, object] | None:
        """The row of a file, from the nearest folder that has one."""
        folders = _folders_above(key)
        self._tables = {folder: table for folder, table in self._tables.items() if folder in folders}
        for folder in folders:
            if folder not in self._tables:
                self._tables[folder] = self._load(folder)
            if row := self._tables[folder].get(posixpath.relpath(key, folder or ".")):
                return dict(zip(FACTS, row, strict=True))
        return None

    def _load(self, folder: str) -> dict[str, Row]:
        tables = [table for path in self._candidates(folder) if (table := self._read(path)) is not None]
        if len(tables) > 1:
            self._report(
                folder or ".", f"expected one CSV with a column 'file', got {len(tables)}; none is used"
            )
            return {}
        return tables[0] if tables else {}

    def _candidates(self, folder: str) -> list[Path]:
        try:
            with os.scandir(self._root / folder) as entries:
                return sorted(Path(entry.path) for entry in entries if _is_csv(entry))
        except OSError:
            return []

    def _read(self, path: Path) -> dict[str, Row] | None:
        key = path.relative_to(self._root).as_posix()
        try:
            rows = read_table(path)
            header = next(rows)
            columns = self._names.of(header)
            if "file" not in columns or not columns.keys() & set(FACTS):
                self._report(key, expected(header))
                return None
            name = columns.pop("file")
            named = ((str(value_of(row, name) or ""), _row(row, columns)) for row in rows)
            table, differ = _one_each((file, row) for file, row in named if file)
            if differ:
                self._report(
                    key,
                    f"{len(differ)} files such as {min(differ)} have rows that contradict each other; none of"
                    " these is used",
                )
            return table
        except (SourceError, OSError) as error:
            self._report(key, str(error))
            return None


def _one_each(rows: Iterable[tuple[str, Row]]) -> tuple[dict[str, Row], set[str]]:
    """The row of each file, and the files of which rows differ."""
    table: dict[str, Row] = {}
    differ: set[str] = set()
    for name, row in rows:
        file = posixpath.normpath(name.replace("\\", "/"))
        if table.setdefault(file, row) != row:
            differ.add(file)
    return {file: row for file, row in table.items() if file not in differ}, differ


def _is_csv(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith((".csv", ".tsv")) and entry.is_file(follow_symlinks=False)


def _folders_above(key: str) -> list[str]:
    folders = []
    while key:
        key = posixpath.dirname(key)
        folders.append(key)
    return folders


def _row(row: Mapping[str, str], columns: Mapping[str, tuple[str, ...]]) -> Row:
    said = (str(value_of(row, columns[fact]) or "") if fact in columns else "" for fact in FACTS)
    camera, site, sequence, captured_at = (sys.intern(value) for value in said)
    return camera, site, sequence, captured_at


def _name(values: Mapping[str, object], key: str, length: int) -> str | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SourceError(f"{key}: expected text, got {value!r:.60}")
    return clean(str(value), length)
