"""What may still be asked of people today, and what they have done this week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.labels import count_labels
from db.rounds import RoundRow
from db.tasks import selected_today
from loop.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Budget:
    """daily: frames that may be chosen a day; used: of them today, until `ends_at` (midnight UTC).
    labels_this_week: labels of people since Monday, midnight UTC.
    fresh: training labels since the last round; wanted: so many start the next, 0 where none do.
    """

    daily: int
    used: int
    labels_this_week: int
    fresh: int
    wanted: int
    ends_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.daily - self.used)


def budget(session: Session, settings: Settings, rounds: list[RoundRow], now: datetime) -> Budget:
    """now: aware, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last = rounds[-1].created_at if rounds else None
    return Budget(
        daily=settings.select.daily_budget,
        used=selected_today(session, midnight),
        labels_this_week=count_labels(
            session, since=midnight - timedelta(days=midnight.weekday()), source="annotation"
        ),
        fresh=count_labels(session, since=last, purpose=Purpose.TRAIN, source="annotation"),
        wanted=settings.round.labels,
        ends_at=midnight + timedelta(days=1),
    )
