"""The audit log as pages, API and commands read it."""

from __future__ import annotations

from dataclasses import dataclass

from db.changes import ChangeRow, changes
from db.engine import read
from loop.base.errors import ConfigError
from loop.project.project import Project

PAGE = 100


@dataclass(frozen=True)
class ChangesPage:
    """changes: newest first.
    older: the cursor of the next page, None at the end.
    subject: of which alone, "" for all.
    """

    changes: list[ChangeRow]
    older: int | None
    subject: str


def page_of_changes(project: Project, before: str = "", subject: str = "", limit: int = PAGE) -> ChangesPage:
    """The changes older than the cursor `before`, "" for the newest. Raises ConfigError for a cursor
    that is none.
    """
    with read(project.engine) as session:
        found = changes(session, limit + 1, _cursor(before), subject or None)
    more = len(found) > limit
    return ChangesPage(found[:limit], found[limit - 1].id if more else None, subject)


def _cursor(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise ConfigError(f"before: expected the number of a change, got {text!r}; open /changes without it")
