"""What people do with a slice: name it, stop looking for it, look for it again."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db.engine import write
from db.slices import NAME_LENGTH, SliceRow, name_slice, restore_slice, retire_slice, slice_by_id
from db.states import SliceKind
from loop.base.errors import ConfigError
from loop.changes.audit import Who, note
from loop.changes.collections import free_name, restore_in, retire_in
from loop.insights.slices import SliceView, one_slice
from loop.project.project import Project


def give_name(project: Project, who: Who, slice_id: int, name: str) -> SliceView:
    """Names a slice; an empty name takes back what a user gave. Raises ConfigError, StateError."""
    cleaned = "".join(c if c.isprintable() else " " for c in name).strip()
    if len(cleaned) > NAME_LENGTH:
        raise ConfigError(
            f"expected a name of at most {NAME_LENGTH} characters, got {len(cleaned)}; shorten it"
        )
    with write(project.engine) as session:
        row = slice_by_id(session, slice_id)
        before = row.given_name or ""
        _check_name(session, row, cleaned or row.defined_name)
        if cleaned != before:
            name_slice(session, slice_id, cleaned or None)
            changed = {"name": before}, {"name": cleaned}
            note(session, who, "slice named", f"slice {slice_id}", *changed)
    return one_slice(project, slice_id)


def retire(project: Project, who: Who, slice_id: int) -> SliceView:
    """It is no longer looked for. What was found and judged before stays. A collection gives its quota up,
    as on its own page. Raises StateError.
    """
    with write(project.engine) as session:
        if slice_by_id(session, slice_id).kind is SliceKind.COLLECTION:
            retire_in(session, who, slice_id)
        elif retire_slice(session, slice_id):
            changed = {"retired": False}, {"retired": True}
            note(session, who, "slice retired", f"slice {slice_id}", *changed)
    return one_slice(project, slice_id)


def restore(project: Project, who: Who, slice_id: int) -> SliceView:
    """Takes `retire` back, but for a quota. Raises ConfigError, StateError."""
    with write(project.engine) as session:
        if slice_by_id(session, slice_id).kind is SliceKind.COLLECTION:
            restore_in(session, who, slice_id)
        elif restore_slice(session, slice_id):
            changed = {"retired": True}, {"retired": False}
            note(session, who, "slice restored", f"slice {slice_id}", *changed)
    return one_slice(project, slice_id)


def _check_name(session: Session, row: SliceRow, name: str) -> None:
    """A collection is a slice too, and people ask for it by its name. Raises ConfigError."""
    if row.kind is SliceKind.COLLECTION:
        free_name(session, name, but=row.id)
