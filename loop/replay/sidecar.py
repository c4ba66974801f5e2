"""What is known of a frame beside its pixels and boxes: from a CSV, from its path, or from the
folder it lies in.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from connectors.errors import SourceError
from connectors.ports import Capture
from connectors.sources.folder import FolderSource
from connectors.sources.metadata import Defaults, Facts
from connectors.sources.names import FACTS
from connectors.sources.pattern import compile_pattern
from connectors.sources.sidecars import to_facts
from loop.datasets.imported import DatasetError

NAMES = ("file", "path")


@dataclass(frozen=True, slots=True)
class Known:
    """facts: camera, site, sequence, time.
    columns: everything else that the CSV says, empty values left out.
    """

    facts: Facts
    columns: Mapping[str, str] = field(default_factory=dict)


def read_sidecar(path: Path) -> dict[Path, Known]:
    """By absolute path of the image. Raises DatasetError when it is no such CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            name = next((each for each in NAMES if each in (reader.fieldnames or ())), None)
            if name is None:
                raise DatasetError(
                    f"{path}: expected a column {' or '.join(NAMES)}, got"
                    f" {', '.join(reader.fieldnames or ()) or 'none'}; name the images there, relative to"
                    " the CSV"
                )
            return {(path.parent / row[name]).resolve(): _known(row, name, path) for row in reader}
    except FileNotFoundError:
        raise DatasetError(f"expected a sidecar CSV, got nothing at {path}; correct the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected a CSV in UTF-8, got {error}; save it as one") from None


def read_paths(paths: Sequence[Path], root: Path, pattern: str) -> dict[Path, Known]:
    """What the paths below `root` say. Raises SourceError for a wrong pattern, DatasetError when it
    fits nothing.
    """
    compiled = compile_pattern(pattern)
    found = {}
    for path in paths:
        facts = compiled.facts(
            path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name, UTC
        )
        if facts is not None:
            found[path] = Known(facts)
    if paths and not found:
        raise DatasetError(
            f"expected paths that fit the pattern {pattern!r}, got {paths[0].relative_to(root).as_posix()!r};"
            " correct the pattern"
        )
    return found


def read_beside(paths: Sequence[Path]) -> dict[Path, Known]:
    """What EXIF and sidecars beside the images say, as when a training set is imported."""
    found = {}
    for folder in sorted({path.parent for path in paths}):
        for item in FolderSource(folder, recursive=False, defaults=Defaults(), settle_s=0).captures():
            if not isinstance(item, Capture) or item.path is None:
                continue
            facts = Facts(item.camera, item.site, item.sequence, item.captured_at)
            if facts.sequence or facts.captured_at:
                found[item.path.resolve()] = Known(facts)
    return found


def _known(row: Mapping[str, str | None], name: str, path: Path) -> Known:
    try:
        facts = to_facts({key: row.get(key) for key in FACTS}, UTC)
    except SourceError as error:
        raise DatasetError(f"{path}: {row[name]}: {error}; correct the value") from None
    columns = {key: value for key, value in row.items() if key and key not in (*FACTS, name) and value}
    return Known(facts, columns)
