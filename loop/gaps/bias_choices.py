"""What people decided of ties between classes and places."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from db.facts import get_fact

CHOICES = "bias_choices"


def choices(session: Session) -> dict[str, dict[str, str]]:
    """What people decided, by id of the tie: choice and reason."""
    return dict(json.loads(get_fact(session, CHOICES) or "{}"))
