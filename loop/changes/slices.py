"""What people do with a slice: name it, stop looking for it, look for it again."""

from __future__ import annotations

from db.engine import write
from db.slices import NAME_LENGTH, name_slice, restore_slice, retire_slice, slice_by_id
from loop.base.errors import ConfigError
from loop.changes.audit import Who, note
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
        before = slice_by_id(session, slice_id).given_name or ""
        if cleaned != before:
            name_slice(session, slice_id, cleaned or None)
            changed = {"name": before}, {"name": cleaned}
            note(session, who, "slice named", f"slice {slice_id}", *changed)
    return one_slice(project, slice_id)


def retire(project: Project, who: Who, slice_id: int) -> SliceView:
    """It is no longer looked for. What was found and judged before stays. Raises StateError."""
    with write(project.engine) as session:
        slice_by_id(session, slice_id)
        if retire_slice(session, slice_id):
            note(session, who, "slice retired", f"slice {slice_id}")
    return one_slice(project, slice_id)


def restore(project: Project, who: Who, slice_id: int) -> SliceView:
    """Takes `retire` back. Raises StateError."""
    with write(project.engine) as session:
        slice_by_id(session, slice_id)
        if restore_slice(session, slice_id):
            note(session, who, "slice restored", f"slice {slice_id}")
    return one_slice(project, slice_id)
