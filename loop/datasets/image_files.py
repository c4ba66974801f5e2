"""The image file that an annotation means: its path may be that of a server or of another machine."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from connectors.data_yaml import SUFFIXES, files_below

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of a file that was uploaded."""


class ImageFiles:
    """The images below a folder, found by what annotations call them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def all(self) -> tuple[Path, ...]:
        """Every image file below the folder."""
        return tuple(path for path in files_below(self.root) if path.suffix.lower() in SUFFIXES)

    def find(self, name: str) -> Path | None:
        """The file below the folder whose path ends as `name` does, by as many folders as any does.

        None where there is none, or several end alike.
        """
        wanted = _parts(name)
        if not wanted:
            return None
        last = wanted[-1].lower()
        found = self._by_name.get(last) or self._by_name.get(_UPLOAD.sub("", last)) or []
        shared = [_shared(path, wanted) for path in found]
        best = max(shared, default=0)
        nearest = [path for path, count in zip(found, shared, strict=True) if count == best]
        return nearest[0] if len(nearest) == 1 else None

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        names: dict[str, list[Path]] = defaultdict(list)
        for path in self.all:
            names[path.name.lower()].append(path)
        return names


def names_meant(name: str) -> set[str]:
    """What the file that a path or an address ends with may be called, in small letters."""
    last = (_parts(name) or [""])[-1].lower()
    return {last, _UPLOAD.sub("", last)}


def _parts(name: str) -> list[str]:
    """The folders and the name that a path or an address ends with."""
    address = urlsplit(name.replace("\\", "/")) if "://" in name or name.startswith("/data/") else None
    if address:
        name = (parse_qs(address.query).get("d") or [address.path])[0]
    path = PurePosixPath(unquote(name) if address else name.replace("\\", "/"))
    return [part for part in path.parts if part not in {"/", ".."}]


def _shared(path: Path, wanted: list[str]) -> int:
    """How many of the last folders above the file are those wanted."""
    count = 0
    for ours, theirs in zip(reversed(path.parts[:-1]), reversed(wanted[:-1]), strict=False):
        if ours.lower() != theirs.lower():
            break
        count += 1
    return count
