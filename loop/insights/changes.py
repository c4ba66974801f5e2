"""The audit log as pages, API and commands read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from db.changes import ChangeRow, change_choices, changes
from db.engine import read
from loop.base.errors import ConfigError
from loop.base.moments import shown
from loop.base.printable import printable
from loop.project.project import Project

PAGE = 100
MOST_CHOICES = 200
"""People, and kinds of changes, that a page offers."""


@dataclass(frozen=True)
class ChangeQuery:
    """Which changes; "" asks for nothing.

    who: changed something.
    what: was done, such as "model promoted".
    subject: of what, such as "model 3".
    """

    who: str = ""
    what: str = ""
    subject: str = ""

    def but(self, **changes: str) -> ChangeQuery:
        """The same with other values."""
        return replace(self, **changes)

    def address(self, before: int | None = None) -> str:
        """Of the page that shows them, from the cursor `before` on."""
        asked = {**vars(self), "before": before or ""}
        text = urlencode({key: value for key, value in asked.items() if value})
        return f"/changes?{text}" if text else "/changes"


@dataclass(frozen=True)
class ChangesPage:
    """changes: newest first.
    older: the cursor of the next page, None at the end.
    """

    query: ChangeQuery
    changes: list[ChangeRow]
    older: int | None


@dataclass(frozen=True)
class ChangeChoices:
    """Who changed something, and what was done, in order."""

    who: list[str]
    what: list[str]


def page_of_changes(
    project: Project, query: ChangeQuery = ChangeQuery(), before: str = "", limit: int = PAGE
) -> ChangesPage:
    """The changes older than the cursor `before`, "" for the newest. Raises ConfigError for a cursor
    that is none.
    """
    asked = {key: value or None for key, value in vars(query).items()}
    with read(project.engine) as session:
        found = changes(session, limit + 1, _cursor(before), **asked)
    more = len(found) > limit
    return ChangesPage(query, found[:limit], found[limit - 1].id if more else None)


def choices_of_changes(project: Project) -> ChangeChoices:
    """What a page can be narrowed to."""
    with read(project.engine) as session:
        return ChangeChoices(*change_choices(session, MOST_CHOICES))


def change_lines(rows: Iterable[ChangeRow], timezone: str) -> list[str]:
    """A line for each change, for people."""
    return [
        f"{row.id:>6}  {shown(row.at, timezone)}  {row.who} by {row.via}: {row.what}, {row.subject}"
        f"{_difference(row)}"
        for row in rows
    ]


def _difference(row: ChangeRow) -> str:
    keys = dict.fromkeys([*row.before, *row.after])
    told = [printable(f"{key} {row.before.get(key, '')} -> {row.after.get(key, '')}") for key in keys]
    return f" ({'; '.join(told)})" if told else ""


def _cursor(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise ConfigError(f"before: expected the number of a change, got {text!r}; open /changes without it")
