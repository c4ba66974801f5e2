"""Asking for work that is done in the background: it is kept before anybody is told so."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from db.engine import write
from db.states import WorkKind
from db.work import TITLE, add_work
from loop.base.printable import printable
from loop.changes.audit import LONGEST_NAME, Who
from loop.changes.once import WORK, mark
from loop.project.project import Project


def ask(session: Session, who: Who, kind: WorkKind, title: str, **arguments: Any) -> int:
    """The number of the work, asked for in the transaction of the caller.

    Under a key, ask before the change is noted: whoever asks again is then led to this work.
    arguments: as JSON has them; `loop.changes.work` says what each kind takes.
    """
    name = printable(who.name)[:LONGEST_NAME]
    number = add_work(session, kind, printable(title)[:TITLE], arguments, name, who.via)
    mark(session, f"{WORK}{number}")
    return number


def ask_for(project: Project, who: Who, kind: WorkKind, title: str, **arguments: Any) -> int:
    """The same, in a transaction of its own."""
    with write(project.engine) as session:
        return ask(session, who, kind, title, **arguments)
