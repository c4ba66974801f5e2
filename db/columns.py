"""Columns in files: what is known of many frames, as arrays that are mapped into memory.

A set of columns is a view: its rows come from the database, in the order in which they are found
there, and a folder that is lost or damaged is made again. Rows are only ever added. `rows.json` is
written last and says how many there are, so that what a stopped process left is written over.
Whoever has opened columns keeps them as they were, whatever becomes of the folder.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.files import make_folder, write_atomically

Ids = NDArray[np.int64]
HEADER = "rows.json"


Pieces = list[NDArray[Any]]
"""Rows one array after another."""


@dataclass(frozen=True)
class Column:
    """dtype: as NumPy writes it, such as "<f4".
    shape: of one row.
    axis: what it has a row for.
    empty: what stands where nothing is known.
    """

    dtype: str
    shape: tuple[int, ...] = ()
    axis: str = "frame"
    empty: float = 0.0

    @property
    def width(self) -> int:
        """Bytes of one row."""
        return np.dtype(self.dtype).itemsize * prod(self.shape)

    def empties(self, rows: int) -> NDArray[Any]:
        """(rows, *shape) of what stands where nothing is known."""
        return np.full((rows, *self.shape), self.empty, self.dtype)


class Columns:
    """The columns of a folder, as they are now. The caller holds `locked` while it makes one.

    stamp: whose they are; a folder with another counts as empty.
    made: another whenever the columns were begun anew, "" while there are none.
    notes: what is to be known beside the arrays, such as the names that codes stand for.
    """

    def __init__(self, folder: Path, stamp: str) -> None:
        self.folder, self.stamp = folder, stamp
        self.columns: dict[str, Column] = {}
        self.rows: dict[str, int] = {}
        self.notes: dict[str, Any] = {}
        self.made = ""
        self._files: dict[str, _File] = {}
        self._read()

    def __len__(self) -> int:
        return self.rows.get("frame", 0)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The column (N, *shape), read-only; what is not looked at is not in memory."""
        return self.part(name, 0, self.rows[self.columns[name].axis])

    def part(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows start to stop of the column, as they lie in the file: mapped alone, so that no others
        count as memory in use.
        """
        column = self.columns[name]
        stop = min(stop, self.rows[column.axis])
        shape = (max(stop - start, 0), *column.shape)
        if not prod(shape):
            return np.zeros(shape, column.dtype)
        page, skipped = divmod(start * column.width, mmap.ALLOCATIONGRANULARITY)
        mapped = mmap.mmap(
            self._files[name].number,
            skipped + shape[0] * column.width,
            access=mmap.ACCESS_READ,
            offset=page * mmap.ALLOCATIONGRANULARITY,
        )
        return np.ndarray(shape, column.dtype, mapped, skipped)

    @property
    def ids(self) -> Ids:
        """(N,) int64, the frames in the order of their rows."""
        return self["frame"] if len(self) else np.zeros(0, np.int64)

    def places(self, frames: Ids) -> Ids | slice:
        """Rows of these frames, which must be there; a slice where they stand one after another."""
        ids = self.ids
        if np.array_equal(ids, frames):
            return slice(0, len(ids))
        order = np.arange(len(ids)) if (np.diff(ids) > 0).all() else np.argsort(ids)
        places: Ids = order[np.searchsorted(ids, frames, sorter=order)]
        if len(places) and (np.diff(places) == 1).all():
            return slice(int(places[0]), int(places[-1]) + 1)
        return places

    def append(
        self,
        parts: Mapping[str, NDArray[Any] | Pieces],
        columns: Mapping[str, Column],
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds rows. A column that is new is filled up before them; one without a part gets empty
        rows.

        The caller holds `locked`. Raises OSError; then nothing was added.
        """
        if not self.columns:
            self._forget_files()
        made = self.made or secrets.token_hex(8)
        known = self.columns | dict(columns)
        added = {column.axis: _rows(parts[name]) for name, column in known.items() if name in parts}
        for name, column in known.items():
            here = self.rows.get(column.axis, 0) if name in self.columns else 0
            missing = self.rows.get(column.axis, 0) - here
            rows = parts[name] if name in parts else column.empties(added[column.axis])
            self._write(name, column, here, [column.empties(missing), *(_pieces(rows))])
        files = {name: self._files.get(name) or _File(self.folder / name) for name in known}
        total = self.rows | {axis: self.rows.get(axis, 0) + count for axis, count in added.items()}
        written = self.notes | dict(notes or {})
        self._commit(made, known, total, written)
        self.made, self.columns, self.rows, self.notes, self._files = made, known, total, written, files

    def clear(self) -> None:
        """Forgets every row. Arrays that were handed out stay as they are."""
        (self.folder / HEADER).unlink(missing_ok=True)
        self.made, self.columns, self.rows, self.notes, self._files = "", {}, {}, {}, {}

    def _write(self, name: str, column: Column, rows: int, parts: Pieces) -> None:
        path = self.folder / name
        with path.open("r+b" if path.exists() else "w+b") as file:
            file.truncate(rows * column.width)
            file.seek(rows * column.width)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype=column.dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _commit(
        self, made: str, columns: dict[str, Column], rows: dict[str, int], notes: dict[str, Any]
    ) -> None:
        written = {name: asdict(column) for name, column in columns.items()}
        header = {"stamp": self.stamp, "made": made, "rows": rows, "columns": written, "notes": notes}
        write_atomically(self.folder / HEADER, json.dumps(header))

    def _read(self) -> None:
        """What the header says, unless it is of somebody else or a file is not what it says."""
        try:
            found = json.loads((self.folder / HEADER).read_text(encoding="utf-8"))
            columns = {
                name: Column(**column | {"shape": tuple(column["shape"])})
                for name, column in found["columns"].items()
            }
            rows = {axis: int(count) for axis, count in found["rows"].items()}
            files = {name: _File(self.folder / name) for name in columns}
            whole = all(
                files[name].size() >= rows[column.axis] * column.width for name, column in columns.items()
            )
            right = whole and found["stamp"] == self.stamp
            made, notes = str(found["made"]), dict(found["notes"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return
        if right:
            self.made, self.columns, self.rows, self.notes, self._files = made, columns, rows, notes, files

    def _forget_files(self) -> None:
        """Those that somebody has opened stay as they are for him."""
        for path in self.folder.iterdir():
            if path.is_file():
                path.unlink()


def _pieces(rows: NDArray[Any] | Pieces) -> Pieces:
    return rows if isinstance(rows, list) else [rows]


def _rows(rows: NDArray[Any] | Pieces) -> int:
    return sum(map(len, _pieces(rows)))


class _File:
    """A file that is open for reading. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    def size(self) -> int:
        return os.fstat(self.number).st_size

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else opens, writes or removes the columns of this folder meanwhile."""
    make_folder(folder.parent)
    with _lock_of(folder).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        make_folder(folder)
        yield


def forget_others(folder: Path) -> None:
    """Removes the folders of the same kind beside this one, those of producers that count no more:
    "boxes-3" beside "boxes-5". One that somebody works on stays until the next time.
    """
    kind = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{kind}-*"):
        if kind and other != folder and other.name.rpartition("-")[0] == kind:
            _remove(other)


def _remove(folder: Path) -> None:
    with _lock_of(folder).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        shutil.rmtree(folder, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    """Beside the folder: who removes the folder leaves the lock that others wait for."""
    return folder.with_name(f".{folder.name}.lock")
