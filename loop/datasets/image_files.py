"""The image file that an annotation means: its path may be that of a server or of another machine."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
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

    def find(self, name: str, near: Path | None = None) -> Path | None:
        """The file below the folder whose path ends as `name` does, by as many folders as any does.

        near: of several that end alike, the one that shares most folders with this path.
        None where there is none, or several are alike.
        """
        wanted = _parts(name)
        if not wanted:
            return None
        last = wanted[-1].lower()
        found = self._by_name.get(last) or self._by_name.get(_UPLOAD.sub("", last)) or []
        nearest = _most(found, lambda path: _shared(path.parts[-2::-1], wanted[-2::-1]))
        if near is not None:
            nearest = _most(nearest, lambda path: _shared(path.parts, near.parts))
        return nearest[0] if len(nearest) == 1 else None

    def missing(self, name: str) -> str:
        """Why no file was found for what an annotation calls its image."""
        alike = sum(len(self._by_name.get(one, ())) for one in names_meant(name))
        return f"no file for {name!r}" if alike < 2 else f"{alike} files may be meant by {name!r}"

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


def _most(paths: Sequence[Path], count: Callable[[Path], int]) -> list[Path]:
    """Those of which the count is the highest."""
    best = max((count(path) for path in paths), default=0)
    return [path for path in paths if count(path) == best]


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many names they begin with alike."""
    pairs = zip(ours, theirs, strict=False)
    return next(
        (place for place, (a, b) in enumerate(pairs) if a.lower() != b.lower()), min(len(ours), len(theirs))
    )
