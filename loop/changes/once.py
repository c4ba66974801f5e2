"""A change that is asked for under a key happens once: asking again gets the same answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from db.engine import write
from db.idempotency import answer_request, claim_request, forget_request
from loop.base.errors import LoopError
from loop.project.project import Project


class OtherRequest(LoopError):
    """The key was used for something else."""


class UnderWay(LoopError):
    """The same request is worked on right now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """status: of HTTP. body: its text."""

    status: int
    body: str


def fingerprint_of(*parts: str | bytes) -> str:
    """Of what is asked: sha256 in hex. No two lists of parts run together."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def claim(project: Project, key: str, fingerprint: str) -> Answer | None:
    """None where the key is the caller's from now on, who then calls `keep` or `forget`; else what was
    answered before. Raises OtherRequest, UnderWay.
    """
    with write(project.engine) as session:
        known = claim_request(session, key, fingerprint)
    if known is None:
        return None
    if known.fingerprint != fingerprint:
        raise OtherRequest(
            f"Idempotency-Key: expected a key for each request, got {key!r}, which came before with another"
            " request; make a new one"
        )
    if known.status is None or known.body is None:
        raise UnderWay(
            f"Idempotency-Key: expected the request of {key!r} to be answered, got it again before that; ask"
            " again in a moment"
        )
    return Answer(known.status, known.body)


def keep(project: Project, key: str, answer: Answer) -> None:
    """For whoever asks again."""
    with write(project.engine) as session:
        answer_request(session, key, answer.status, answer.body)


def forget(project: Project, key: str) -> None:
    """Nothing was changed: the same key may be used again."""
    with write(project.engine) as session:
        forget_request(session, key)
