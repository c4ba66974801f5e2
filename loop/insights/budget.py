"""What may still be asked of people today, and what they have done this week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.labels import count_labels
from db.rounds import RoundRow
from db.states import Role
from db.tasks import selected_today
from loop.insights.frame_query import PEOPLE, FrameQuery
from loop.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Budget:
    """daily: frames that may be chosen a day; used: of them today, from `began_at` until `ends_at`
    (midnight UTC).
    labels_this_week: labels of people since `week_at` (Monday, midnight UTC).
    fresh: training labels since `round_at`, when the last round began, None before the first; wanted: so
    many start the next, 0 where none do.
    """

    daily: int
    used: int
    labels_this_week: int
    fresh: int
    wanted: int
    began_at: datetime
    ends_at: datetime
    week_at: datetime
    round_at: datetime | None

    @property
    def today(self) -> FrameQuery:
        """The frames that are `used`."""
        return FrameQuery(chosen_since=self.began_at.isoformat())

    @property
    def this_week(self) -> FrameQuery:
        """The frames of `labels_this_week`."""
        return FrameQuery(label=(PEOPLE,), labeled_since=self.week_at.isoformat())

    @property
    def since_round(self) -> FrameQuery:
        """The frames that are `fresh`."""
        return new_labels_query(self.round_at)

    @property
    def left(self) -> int:
        return max(0, self.daily - self.used)


def new_labels_query(since: datetime | None) -> FrameQuery:
    """Frames with a training label of people since the last round began, since ever for None."""
    moment = None if since is None else since.isoformat()
    return FrameQuery(role=str(Role.POOL), label=(PEOPLE,), labeled_since=moment)


def budget(session: Session, settings: Settings, rounds: list[RoundRow], now: datetime) -> Budget:
    """now: aware, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    last = rounds[-1].created_at if rounds else None
    return Budget(
        daily=settings.select.daily_budget,
        used=selected_today(session, midnight),
        labels_this_week=count_labels(session, since=monday, source="annotation"),
        fresh=count_labels(session, since=last, purpose=Purpose.TRAIN, source="annotation", usable=True),
        wanted=settings.round.labels,
        began_at=midnight,
        ends_at=midnight + timedelta(days=1),
        week_at=monday,
        round_at=last,
    )
