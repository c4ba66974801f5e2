"""In which zones the times of frames were read, and what follows for those of the training set."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from connectors.ports import Capture
from connectors.times import zone
from db.facts import get_fact, set_fact
from db.states import Origin

SAID = "said"
"""Of times that have a zone of their own."""
NOT_CHOSEN = "UTC"
"""The default of frames.timezone."""
UNKNOWN_ZONE = "?"


def note_zones(session: Session, origin: Origin, captures: Iterable[Capture], timezone: str) -> None:
    """Remembers how the times of these frames were read. timezone: of those without a zone."""
    dated = [capture for capture in captures if capture.captured_at is not None]
    found = {timezone if capture.zone_assumed else SAID for capture in dated}
    known = zones_of(session, origin)
    if not found <= known:
        set_fact(session, _key(origin), json.dumps(sorted(found | known)))


def zones_of(session: Session, origin: Origin) -> set[str]:
    """The zones in which times of frames were read, SAID among them where they had one."""
    return set(json.loads(get_fact(session, _key(origin)) or "[]"))


def training_zone(session: Session, timezone: str) -> str:
    """In which zone the stored times of the training set are to be read again: "" as they are,
    UNKNOWN_ZONE where they cannot be compared with those of production.

    timezone: frames.timezone as it is set now.
    """
    training, production = (zones_of(session, origin) for origin in (Origin.IMPORTED, Origin.PRODUCTION))
    if training == {NOT_CHOSEN} and timezone != NOT_CHOSEN:
        return timezone
    both = training | production
    mixed = bool(training and production) and NOT_CHOSEN in both and SAID in both
    return UNKNOWN_ZONE if mixed else ""


def unclear_line(session: Session, timezone: str) -> str:
    """What people are told where the training set's time of day is not compared, otherwise ""."""
    if training_zone(session, timezone) != UNKNOWN_ZONE:
        return ""
    without = "production" if zones_of(session, Origin.IMPORTED) == {SAID} else "the training set"
    return (
        f"time of day is not compared: times of {without} have no zone and were read as UTC, others have one;"
        " set frames.timezone to the zone of the cameras (Etc/UTC where it is UTC)"
    )


def read_again(seconds: float, name: str) -> float:
    """Seconds since 1970 of a time that was read as UTC and is meant in the zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=zone(name)).timestamp()


def _key(origin: Origin) -> str:
    return f"zones:{origin}"
