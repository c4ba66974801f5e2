"""How many frames each group has. Counting a million takes a tenth of a second, so a process counts
them once and adds what came since.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from sqlalchemy import Pool, func, select
from sqlalchemy.orm import Session

from db.facts import get_fact
from db.frames import REGROUPED
from db.states import Origin, Role
from db.tables import Frame, Group

Sizes = Mapping[tuple[int, str], int]
"""Frames by group and origin."""


@dataclass(frozen=True)
class GroupSizes:
    """The sizes of all groups. keys, roles: of the groups by their id."""

    sizes: Sizes
    keys: Mapping[int, str]
    roles: Mapping[int, str]

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Counts: total; by origin (production, imported); of production, by role (pool, evaluation)."""
        found: dict[str, int] = dict.fromkeys(("total", *map(str, Origin), *map(str, Role)), 0)
        for (group, origin), count in self.sizes.items():
            found["total"] += count
            found[origin] += count
            if origin == Origin.PRODUCTION:
                found[self.roles[group]] += count
        return found

    @cached_property
    def days_by_camera(self) -> Mapping[str, Mapping[date, int]]:
        """Production frames by camera and UTC day, of those with a time."""
        found: dict[str, dict[date, int]] = defaultdict(dict)
        for (group, origin), count in self.sizes.items():
            if origin == Origin.PRODUCTION:
                camera, _, day = self.keys[group].rpartition("|")
                with suppress(ValueError):  # the group of a sequence, or of frames without a time
                    found[camera][date.fromisoformat(day)] = count
        return dict(found)


class _Counted:
    """What one process has counted of one database.

    upto: the last frame that is in it. regrouped: the state of the fact that tells when frames moved
    from one group to another, by which everything is counted anew.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.upto = 0
        self.regrouped: str | None = None
        self.found = GroupSizes({}, {}, {})


_COUNTED: weakref.WeakKeyDictionary[Pool, _Counted] = weakref.WeakKeyDictionary()
"""By the connections, which engines of other options share."""


def group_sizes(session: Session) -> GroupSizes:
    """As the session, which only reads, sees them."""
    engine = session.get_bind().engine
    if engine.dialect.name != "sqlite":  # others give numbers in an order in which rows need not appear
        return _more(session, GroupSizes({}, {}, {}), 0)
    counted = _COUNTED.setdefault(engine.pool, _Counted())
    last = session.execute(select(func.max(Frame.seq))).scalar_one() or 0
    regrouped = get_fact(session, REGROUPED)
    with counted.lock:
        if counted.regrouped != regrouped or last < counted.upto:
            counted.upto, counted.regrouped, counted.found = 0, regrouped, GroupSizes({}, {}, {})
        if last > counted.upto:
            counted.found, counted.upto = _more(session, counted.found, counted.upto), last
        return counted.found


def _more(session: Session, before: GroupSizes, after: int) -> GroupSizes:
    """With the frames behind this one."""
    statement = select(Frame.group_id, Frame.origin, func.count().label("count"))
    if after:
        statement = statement.where(Frame.seq > after)
    rows = session.execute(statement.group_by(Frame.group_id, Frame.origin))
    sizes = Counter(before.sizes) + Counter({(group, str(origin)): count for group, origin, count in rows})
    groups = select(Group.id, Group.key, Group.role).where(Group.id > max(before.keys, default=0))
    new = session.execute(groups).all()
    keys = {**before.keys, **{row.id: row.key for row in new}}
    return GroupSizes(sizes, keys, {**before.roles, **{row.id: str(row.role) for row in new}})
