"""Slices: parts of the frames that last, as they are defined and named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.errors import StateError
from db.sql import changed_rows, in_chunks, insert_new, table_of
from db.states import SliceKind
from db.tables import Slice, SliceCount, utcnow

Ids = NDArray[np.int64]
Reals = NDArray[np.float64]
NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class NewSlice:
    """A slice as it is defined now.

    key: of its own, whatever it is called.
    parent: the key of its facet, "" for none.
    definition: what decides who is in it, such as sentences, a limit or a center.
    """

    key: str
    kind: SliceKind
    name: str
    parent: str = ""
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice as stored.

    name: what a person reads, a user's own name before that of the definition.
    """

    id: int
    key: str
    kind: SliceKind
    parent_id: int | None
    definition: dict[str, Any]
    defined_name: str
    given_name: str | None
    created_at: datetime
    retired_at: datetime | None

    @property
    def name(self) -> str:
        return self.given_name or self.defined_name


@dataclass(frozen=True, slots=True)
class SliceTotal:
    """A slice over all groups of production.

    known, inside: frames.
    groups: that show it.
    """

    known: int
    inside: int
    groups: int


def define_slices(session: Session, wanted: Sequence[NewSlice]) -> dict[str, int]:
    """Ids by key. New slices are made; of those that are there, name and definition become these;
    ids and the names that users gave stay. A parent must be among `wanted` or stored.
    """
    known = _by_key(session, [one.key for one in wanted])
    first = [one for one in wanted if one.key not in known]
    insert_new(
        session, Slice, [_columns(one, None) | {"key": one.key, "created_at": utcnow()} for one in first]
    )
    named = _by_key(session, {key for one in wanted for key in (one.key, one.parent) if key})
    for one in wanted:
        row, columns = named[one.key], _columns(one, named[one.parent].id if one.parent else None)
        if columns != {
            "kind": row.kind,
            "parent_id": row.parent_id,
            "definition": row.definition,
            "name": row.defined_name,
        }:
            session.execute(update(Slice).where(Slice.id == row.id).values(**columns))
    return {one.key: named[one.key].id for one in wanted}


def _columns(one: NewSlice, parent: int | None) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "parent_id": parent,
        "definition": dict(one.definition),
        "name": one.name[:NAME_LENGTH],
    }


def slices(
    session: Session, kinds: Iterable[SliceKind] | None = None, ids: Iterable[int] | None = None
) -> list[SliceRow]:
    """Slices in order of their ids, retired ones too."""
    statement = select(*table_of(Slice).columns).order_by(Slice.id)
    if kinds is not None:
        statement = statement.where(Slice.kind.in_(list(kinds)))
    if ids is not None:
        statement = statement.where(Slice.id.in_(list(ids)))
    return [_row(row) for row in session.execute(statement)]


def slice_by_id(session: Session, slice_id: int) -> SliceRow:
    """Raises StateError when there is none of that id."""
    found = slices(session, ids=[slice_id])
    if not found:
        raise StateError(f"expected the id of a slice, got {slice_id}; `fieldloop slices` lists them")
    return found[0]


def slice_names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """What a person reads, by id."""
    return {row.id: row.name for row in slices(session, ids=set(ids))}


def name_slice(session: Session, slice_id: int, name: str | None) -> None:
    """Gives a slice the name of a user, or with None takes it back."""
    session.execute(update(Slice).where(Slice.id == slice_id).values(given_name=name))


def retire_slice(session: Session, slice_id: int) -> bool:
    """It is no longer looked for; its history stays. False when it was retired before."""
    open_one = update(Slice).where(Slice.id == slice_id, Slice.retired_at.is_(None))
    return changed_rows(session.execute(open_one.values(retired_at=utcnow()))) == 1


def restore_slice(session: Session, slice_id: int) -> bool:
    """Takes `retire_slice` back. False when it was not retired."""
    retired = update(Slice).where(Slice.id == slice_id, Slice.retired_at.is_not(None))
    return changed_rows(session.execute(retired.values(retired_at=None))) == 1


def slice_totals(session: Session) -> dict[int, SliceTotal]:
    """By slice, over all groups; a slice that no frame shows is absent."""
    inside = func.sum(SliceCount.inside)
    sums = select(SliceCount.slice_id, inside, func.count()).where(SliceCount.inside > 0)
    counted = {
        number: (int(count), int(groups))
        for number, count, groups in session.execute(sums.group_by(SliceCount.slice_id))
    }
    facets = {number: parent for number, parent in session.execute(select(Slice.id, Slice.parent_id))}  # noqa: C416
    return {
        number: SliceTotal(counted.get(facets[number] or number, (count, 0))[0], count, groups)
        for number, (count, groups) in counted.items()
    }


def _by_key(session: Session, keys: Iterable[str]) -> dict[str, SliceRow]:
    statement = select(*table_of(Slice).columns)
    return {
        row.key: _row(row)
        for chunk in in_chunks(keys)
        for row in session.execute(statement.where(Slice.key.in_(chunk)))
    }


def _row(row: Any) -> SliceRow:
    values = dict(row._mapping)
    name, kind = values.pop("name"), SliceKind(values.pop("kind"))
    return SliceRow(**values, defined_name=name, kind=kind)
