"""Groups: the frames that stay together on one side, pool or evaluation, once and for all."""

from __future__ import annotations

import hashlib
import os

from sqlalchemy.orm import Session

from connectors.ports import Capture
from connectors.times import camera_day
from db.facts import claim_fact, get_fact, lock_fact
from db.frames import first_production_group, group_id, newest_undated_group
from db.states import Role

SECRET = "evaluation_secret"  # noqa: S105
FIRST = "first_group"
BLOCK = 50


class Groups:
    """The groups of frames that are new in this transaction. Until it ends, other processes that
    group frames wait.
    """

    def __init__(self, session: Session, evaluation_share: float) -> None:
        self._session = session
        self._share = evaluation_share
        self._secret = claim_fact(session, SECRET, os.urandom(16).hex())
        lock_fact(session, SECRET)

    def of(self, camera: str, capture: Capture) -> int:
        """The id of the group of a frame that is about to be stored."""
        key = self.key(camera, capture)
        return group_id(self._session, key, self._role(key))

    def key(self, camera: str, capture: Capture) -> str:
        """What names the group that a frame belongs to."""
        if capture.captured_at is not None:
            return camera_day(camera, capture.captured_at)
        if capture.sequence:
            return f"{camera}|{capture.sequence}"
        return next_undated(camera, newest_undated_group(self._session, camera))

    def _role(self, key: str) -> Role:
        """The first group may train, or a project of one camera-day could have nothing to train on."""
        first = get_fact(self._session, FIRST)
        if first is None:
            first = claim_fact(self._session, FIRST, first_production_group(self._session) or key)
        return Role.POOL if key == first else evaluation_role(key, self._secret, self._share)


def evaluation_role(key: str, secret: str, share: float) -> Role:
    """Pool or evaluation, decided once per group by a keyed hash: neither order of arrival nor
    content can sway it.
    """
    digest = hashlib.blake2b(key.encode(), key=secret.encode()[:64], digest_size=8).digest()
    return Role.EVALUATION if int.from_bytes(digest, "big") < share * 2**64 else Role.POOL


def next_undated(camera: str, newest: tuple[str, int] | None) -> str:
    """The group of a camera's next frame with neither time nor sequence.

    newest: the last such group and its frames.
    """
    if newest is None:
        return f"{camera}|undated-1"
    key, frames = newest
    number = key.removeprefix(f"{camera}|undated-")
    if not number.isdecimal():
        return f"{camera}|undated-1"
    return key if frames < BLOCK else f"{camera}|undated-{int(number) + 1}"
