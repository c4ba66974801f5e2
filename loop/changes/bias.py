"""What people decide of a tie between a class and a place: have it loosened, or let it be."""

from __future__ import annotations

import json
from dataclasses import dataclass

from db.engine import write
from db.facts import lock_fact, set_fact
from loop.base.errors import ConfigError
from loop.base.printable import printable
from loop.changes.audit import Who, note
from loop.gaps.bias import kept
from loop.gaps.bias_choices import CHOICES, choices
from loop.gaps.bias_report import Choice, Tie, place_name
from loop.project.project import Project

LONGEST_REASON = 300
WHAT: dict[Choice, str] = {"wanted": "tie to be loosened", "ignored": "tie ignored", "": "tie left to itself"}


@dataclass(frozen=True)
class Decided:
    """before, before_reason: what held until now, by which it is undone."""

    tie: Tie
    before: Choice
    before_reason: str


def decide(project: Project, who: Who, tie_id: str, choice: str, reason: str = "") -> Decided:
    """wanted: the next batches look for frames that loosen it, though it is shown no more. ignored: they
    do not, for this reason. "": as it is found.

    Raises ConfigError for an unknown tie or choice, and where it is ignored for no reason.
    """
    known = [one for one in WHAT if one == choice]
    if not known:
        raise ConfigError(f'choice: expected wanted, ignored or "", got {choice[:40]!r}; choose one of them')
    said = printable(" ".join(reason.split()))
    if len(said) > LONGEST_REASON:
        raise ConfigError(
            f"reason: expected at most {LONGEST_REASON} characters, got {len(said)}; shorten it"
        )
    if known[0] == "ignored" and not said:
        raise ConfigError("reason: expected why the tie may stay, got none; say it in a few words")
    tie = _found(project, tie_id)
    with write(project.engine) as session:
        lock_fact(session, CHOICES)
        chosen = choices(session)
        before = chosen.pop(tie_id, {"choice": "", "reason": ""})
        after = {"choice": known[0], "reason": said}
        if known[0]:
            chosen[tie_id] = after
        if before != after:
            set_fact(session, CHOICES, json.dumps(chosen))
            subject = f"tie of {tie.class_name} to {place_name(tie)}"
            note(session, who, WHAT[known[0]], printable(subject), before, after)
    return Decided(tie, next(one for one in WHAT if one == before["choice"]), before["reason"])


def _found(project: Project, tie_id: str) -> Tie:
    stored = kept(project)
    ties = [] if stored is None else [tie for tie in stored[1].ties if tie.id == tie_id]
    if not ties:
        raise ConfigError(
            f"tie: expected one that was found, got {printable(tie_id)[:120]!r}; look again (fieldloop bias)"
        )
    return next((tie for tie in ties if tie.told), ties[0])
