"""Who changes something, and the line in the audit log."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.changes import record_change
from loop.base.jsonable import plain
from loop.base.printable import printable
from loop.changes.once import mark

LONGEST_NAME = 120


@dataclass(frozen=True)
class Who:
    """name: of a person, or of a program that acts for one.
    via: page, api or command.
    """

    name: str
    via: str


def at_the_terminal() -> Who:
    """Whoever runs a command: the user of the operating system."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        name = "unknown user"
    return Who(name, "command")


def note(
    session: Session,
    who: Who,
    what: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> int:
    """A line in the audit log; its id. what: in the past tense, "model promoted"; subject: "model 3".

    Goes into the transaction of the change, so that neither is kept without the other.
    """
    name = printable(who.name)[:LONGEST_NAME]
    told = plain(before or {}), plain(after or {})
    number = record_change(session, name, who.via, what, subject[:200], *told)
    mark(session, f"change {number}")
    return number
