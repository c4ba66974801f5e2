"""What the database says of slices, as arrays: who is in them and what is counted, as it was
written last. What changed since can then be told without reading millions of rows.

A view: the fact RECORDED of the database names the one that holds. With any other, or with none,
everything is read from the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from db.columns import Column, Columns, Pieces, locked
from db.slice_members import Counts, Members, load_counts, members_of, together

Ids = NDArray[np.int64]
Key = tuple[int, int]
COUNTS = tuple(field.name for field in fields(Counts))
COLUMNS = {
    "frame": Column("<i8"),
    "member": Column("<i8", axis="member"),
    "strength": Column("<f4", axis="member"),
    **{name: Column("<i8" if place < 4 else "<f8", axis="count") for place, name in enumerate(COUNTS)},
}


@dataclass(frozen=True, eq=False)
class Recorded:
    """frames: (N,) ids, ascending, of which it was judged what they show.
    members: by producer and slice.
    """

    frames: Ids
    members: Mapping[Key, Members]
    counts: Counts


def open_recorded(folder: Path, token: str | None) -> Recorded | None:
    """None where this is not what the database was left with."""
    if not token:
        return None
    with locked(folder):
        found = Columns(folder, token)
    if not found.columns:
        return None
    members, strength = found["member"], found["strength"]
    places = {(producer, number): slice(*place) for producer, number, *place in found.notes["slices"]}
    return Recorded(
        found["frame"],
        {key: Members(members[place], strength[place]) for key, place in places.items()},
        Counts(*(found[name] for name in COUNTS)),
    )


def as_stored(session: Session, left: Recorded, frames: Ids, groups: Ids) -> Recorded:
    """What is stored: what was left, and what was written since of frames that came in.

    groups: of these frames.
    """
    members = _Joined(left.members, frames, members_of(session, frames))
    others, new = ~np.isin(left.counts.group, groups), load_counts(session, groups)
    counts = [np.concatenate([getattr(left.counts, name)[others], getattr(new, name)]) for name in COUNTS]
    return Recorded(left.frames, members, Counts(*counts))


@dataclass(frozen=True, eq=False)
class _Joined(Mapping[Key, Members]):
    """Members that are known, and of these frames those that are written; joined when asked for,
    since together they are more than memory should hold.
    """

    known: Mapping[Key, Members]
    frames: Ids
    written: Mapping[Key, Members]

    def __getitem__(self, key: Key) -> Members:
        known, new = self.known[key], self.written.get(key)
        if new is None:
            return known
        new = Members(new.frames, new.strength.astype(known.strength.dtype))
        if np.max(known.frames, initial=-1) < np.min(self.frames, initial=np.iinfo(np.int64).max):
            return together(known, new)
        others = ~np.isin(known.frames, self.frames)
        return together(Members(known.frames[others], known.strength[others]), new)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def save_recorded(folder: Path, token: str, recorded: Recorded) -> None:
    """For the next time. Raises OSError."""
    ordered = list(recorded.members.values())
    ends = np.cumsum([0, *(len(each.frames) for each in ordered)]).tolist()
    parts: dict[str, NDArray[Any] | Pieces] = {
        "frame": recorded.frames,
        "member": [each.frames for each in ordered],
        "strength": [each.strength for each in ordered],
        **{name: getattr(recorded.counts, name) for name in COUNTS},
    }
    places = [[*key, *place] for key, *place in zip(recorded.members, ends[:-1], ends[1:], strict=True)]
    with locked(folder):
        kept = Columns(folder, token)
        kept.clear()
        kept.append(parts, COLUMNS, {"slices": places})
