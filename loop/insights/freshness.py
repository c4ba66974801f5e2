"""How old is what each stage has come to, beside one another: where a chain is stuck shows at a glance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.freshness import first_waiting, last_answer_at, last_frame
from db.models import deployments
from db.tasks import BatchRow
from loop.analysis.producers import Analyzed
from loop.base.wording import counted
from loop.insights.frame_query import frames_url

MINUTE_S, HOUR_S, DAY_S, WEEK_S, MONTH_S = 60.0, 3600.0, 86400.0, 604800.0, 2592000.0
NOW_S, OLDEST_S = MINUTE_S, 3 * MONTH_S
TICKS = ((MINUTE_S, "now"), (HOUR_S, "1 h"), (DAY_S, "1 day"), (WEEK_S, "1 week"))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the loop.

    until: the moment that it has come to, None before its first time.
    what: what came last, for people; "" where the name says it.
    waits: what it has before it, "" for nothing. address: of the page that shows that, "" for none.
    """

    name: str
    until: datetime | None
    what: str = ""
    waits: str = ""
    address: str = ""


def stages(
    session: Session, analyzed: Sequence[Analyzed], batches: Sequence[BatchRow], due: int
) -> list[Stage]:
    """From the camera to the model, in this order. due: tasks that wait for an answer."""
    newest, waiting = last_frame(session), first_waiting(session)
    seen = newest if waiting is None else last_frame(session, before=waiting)
    behind = max(analyzed, key=lambda item: item.total - item.done, default=None)
    left = behind.total - behind.done if behind else 0
    put = deployments(session)[-1:]
    return [
        Stage("Last frame", newest.ingested_at if newest else None),
        Stage(
            "Analyzed until",
            seen.ingested_at if seen else None,
            waits=f"{counted(left, 'frame')} to analyze by the current models" if left else "",
            address=frames_url(not_seen_by=behind.kind) if behind else "",
        ),
        Stage("Last batch chosen", batches[-1].created_at if batches else None),
        Stage(
            "Last answer",
            last_answer_at(session),
            waits=f"{counted(due, 'task')} due" if due else "",
            address="/queue",
        ),
        Stage("Model in use since", put[0].at if put else None, what=put[0].reason if put else ""),
    ]


def place(age_s: float) -> float:
    """Where an age stands between now, 1, and OLDEST_S ago, 0: on a scale of logarithms, since minutes
    matter at one end and weeks at the other.
    """
    kept = min(max(age_s, NOW_S), OLDEST_S)
    return 1 - math.log(kept / NOW_S) / math.log(OLDEST_S / NOW_S)
