"""A change that is asked for under a key happens once: asking again gets the same answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy.orm import Session

from db.engine import write
from db.idempotency import answer_request, claim_request, forget_request, mark_request
from loop.base.errors import LoopError
from loop.project.project import Project


class OtherRequest(LoopError):
    """The key was used for something else."""


class UnderWay(LoopError):
    """The same request is worked on right now."""


class OutcomeUnknown(LoopError):
    """The same request changed something, and its answer was lost."""


WORK = "work "
"""Begins what a key keeps of work that was asked for; its number follows."""
_under: ContextVar[str] = ContextVar("key of the request that is worked on", default="")
_here: set[str] = set()
"""Keys of requests that this process works on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. body: its text. work: the number of the work that was asked for, where the request
    was stopped before it answered.
    """

    status: int
    body: str
    work: int | None = None


def fingerprint_of(*parts: str | bytes) -> str:
    """Of what is asked: sha256 in hex. No two lists of parts run together."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def own_key(name: str, key: str) -> str:
    """The key as it is kept: two people who chose the same one do not meet."""
    return fingerprint_of(name, key)


def claim(project: Project, key: str, fingerprint: str) -> Answer | None:
    """None where the key is the caller's from now on, who then works `under` it and calls `keep` or
    `forget`; else what was answered before.

    key: of `own_key`. Raises OtherRequest, UnderWay, OutcomeUnknown.
    """
    if key in _here:
        raise UnderWay(_UNDER_WAY)
    with write(project.engine) as session:
        known = claim_request(session, key, fingerprint)
    if known is None:
        _here.add(key)
        return None
    if known.fingerprint != fingerprint:
        raise OtherRequest(
            "Idempotency-Key: expected a key for each request, got one that came before with another"
            " request; make a new one"
        )
    if known.status is not None:
        return Answer(known.status, known.body or "")
    if known.body is None:
        raise UnderWay(_UNDER_WAY)
    if known.body.startswith(WORK):
        return Answer(202, "", int(known.body.removeprefix(WORK)))
    raise OutcomeUnknown(
        f"Idempotency-Key: expected an answer to be kept, got a request that began, made {known.body} and"
        f" was stopped before it answered; look at {known.body} in /api/changes and /api/jobs, and make a"
        " new key for what is missing"
    )


_UNDER_WAY = (
    "Idempotency-Key: expected the request of this key to be answered, got it again before that; ask again"
    " in a moment, at most ten minutes later"
)


@contextmanager
def under(key: str) -> Iterator[None]:
    """What is changed meanwhile is changed for the request of this key."""
    token = _under.set(key)
    try:
        yield
    finally:
        _under.reset(token)


def mark(session: Session, changed: str) -> None:
    """Keeps with a change that it was made, for the request that is worked on; nothing without a key.

    changed: such as "change 12".
    """
    if key := _under.get():
        mark_request(session, key, changed)


def keep(project: Project, key: str, answer: Answer) -> None:
    """For whoever asks again."""
    try:
        with write(project.engine) as session:
            answer_request(session, key, answer.status, answer.body)
    finally:
        _here.discard(key)


def forget(project: Project, key: str) -> None:
    """It failed: the same key may be used again where nothing was changed."""
    try:
        with write(project.engine) as session:
            forget_request(session, key)
    finally:
        _here.discard(key)
