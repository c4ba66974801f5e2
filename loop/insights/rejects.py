"""Files that were rejected, and why."""

from __future__ import annotations

from dataclasses import dataclass

from db.engine import read
from db.frames import RejectRow, reject_counts, rejects_page
from loop.base.errors import ConfigError
from loop.project.project import Project

PAGE = 100


@dataclass(frozen=True)
class Rejected:
    """counts: files by code, all of them. code: of which alone, "" for all. files: newest first.
    older: the cursor of the next page, None at the end.
    """

    counts: dict[str, int]
    code: str
    files: list[RejectRow]
    older: int | None

    @property
    def count(self) -> int:
        """Files of that code, or of all."""
        return self.counts.get(self.code, 0) if self.code else sum(self.counts.values())


def rejected(project: Project, code: str = "", before: str = "", limit: int = PAGE) -> Rejected:
    """Those behind the cursor `before`, "" for the newest. Raises ConfigError for a cursor that is none."""
    if before and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise ConfigError(
            f"before: expected the number of a file, got {before[:80]!r}; open /rejects without it"
        )
    with read(project.engine) as session:
        counts = dict(reject_counts(session))
        found = rejects_page(session, limit + 1, int(before) if before else None, code)
    older = found[limit - 1][0] if len(found) > limit else None
    return Rejected(counts, code, [row for _, row in found[:limit]], older)
