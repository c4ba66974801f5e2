"""What the database says of slices, as arrays: who is in them and what is counted, as it was
written last. What changed since can then be told without reading millions of rows.

A view: the fact RECORDED of the database names the one that holds. With any other, or with none,
everything is read from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from db.columns import Column, Columns, locked
from db.slices import Counts, Members

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
    """frames: (N,) ids, ascending, of which it was judged what they show. members: by producer and
    slice.
    """

    frames: Ids
    members: Mapping[Key, Members]
    counts: Counts


def open_recorded(folder: Path, token: str | None) -> Recorded | None:
    """None where this is not what the database was left with."""
    found = Columns(folder, token or "")
    if not token or not found.columns:
        return None
    members, strength = found["member"], found["strength"]
    places = {(producer, number): slice(*place) for producer, number, *place in found.notes["slices"]}
    return Recorded(
        found["frame"],
        {key: Members(members[place], strength[place]) for key, place in places.items()},
        Counts(*(found[name] for name in COUNTS)),
    )


def save_recorded(folder: Path, token: str, recorded: Recorded) -> None:
    """For the next time. Raises OSError."""
    ordered = list(recorded.members.values())
    ends = np.cumsum([0, *(len(each.frames) for each in ordered)]).tolist()
    nobody = Members(np.zeros(0, np.int64), np.zeros(0, np.float64))
    parts = {
        "frame": recorded.frames,
        "member": np.concatenate([each.frames for each in (nobody, *ordered)]),
        "strength": np.concatenate([each.strength.astype(np.float32) for each in (nobody, *ordered)]),
        **{name: getattr(recorded.counts, name) for name in COUNTS},
    }
    places = [[*key, *place] for key, *place in zip(recorded.members, ends[:-1], ends[1:], strict=True)]
    with locked(folder):
        kept = Columns(folder, token)
        kept.clear()
        kept.append(parts, COLUMNS, {"slices": places})
