"""Frames that a camera hands over: checked as ingest checks them, put into the watched folder, and
followed by their hash until they are stored.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from connectors.errors import ImageRejected
from connectors.images import content_hash
from connectors.ports import Capture
from connectors.pushed import PushedFrames
from connectors.times import EARLIEST, plausible
from db.engine import read
from db.frames import frame_by_hash, reject_reason, seen_as
from loop.base.errors import ConfigError, LoopError
from loop.ingest.ingest import Accepted, Rejected, examined
from loop.project.project import Project
from loop.project.wiring import build_pushed
from loop.settings.settings import rules_of

State = Literal["waiting", "stored", "set aside"]


class HashDiffers(LoopError):
    """What came is not what was announced."""


class NoInbox(LoopError):
    """There is no folder that pushed frames could be put into."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of a frame that was handed over.

    sha256: of the bytes as they came.
    state: waiting for the next ingest, stored as a frame, or set aside.
    seq: of the frame, None until it is stored.
    reason: why it was set aside.
    new: whether this very call put it there.
    """

    sha256: str
    state: State
    seq: int | None = None
    reason: str = ""
    new: bool = False


class Inbox:
    """Takes frames into the watched folder of one project; threads may share it.

    Whatever it is asked raises NoInbox where frames.path is no folder.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._rules = rules_of(project.settings)
        self._made: PushedFrames | None = None
        self._decoding = threading.BoundedSemaphore(os.cpu_count() or 1)

    @property
    def max_bytes(self) -> int:
        """Of one frame."""
        return self._rules.max_bytes

    def state_of(self, sha256: str) -> Handed | None:
        """What became of the frame of this hash, None where it is not known."""
        key = self._frames().find(sha256)
        with read(self._project.engine) as session:
            stored_as = (key and seen_as(session, key)) or sha256
            seq = frame_by_hash(session, stored_as)
            reason = reject_reason(session, key) if key else None
        if seq is not None:
            return Handed(sha256, "stored", seq)
        if reason is not None:
            return Handed(sha256, "set aside", reason=reason)
        return Handed(sha256, "waiting") if key else None

    def take(self, frame: Capture, sha256: str = "") -> Handed:
        """Puts a frame into the watched folder unless it is known.

        frame: its bytes, and what is known of it.
        sha256: what its sender says its hash is, "" for nothing.
        On return it is on disk. Raises NoInbox, HashDiffers, ImageRejected, OSError,
        ConfigError for a time that cannot be; then nothing is kept.
        """
        data = frame.read()
        found = content_hash(data)
        if sha256 and found != sha256:
            raise HashDiffers(
                f"sha256: expected {sha256}, got {len(data):,} bytes of {found}; send the frame again"
            )
        _check_time(frame)
        if known := self.state_of(found):
            return known
        with self._decoding:
            result = examined(frame, self._rules)
        if not isinstance(result, Accepted):
            raise _rejection(result)
        return Handed(found, "waiting", new=self._frames().keep(found, result.suffix, frame))

    def _frames(self) -> PushedFrames:
        """Looked for until it is there, and looked at each time: a disk may be taken away."""
        if self._made is None or not self._made.root.is_dir():
            try:
                self._made = build_pushed(self._project)
            except ConfigError as error:
                raise NoInbox(str(error)) from error
        return self._made


def _rejection(result: Rejected | None) -> ImageRejected:
    if result is None:
        return ImageRejected("empty", "expected an image, got nothing; send its bytes as the body")
    return ImageRejected(result.code, result.reason)


def _check_time(frame: Capture) -> None:
    if frame.captured_at and not plausible(frame.captured_at, datetime.now(UTC)):
        raise ConfigError(
            f"captured_at: expected a time since {EARLIEST:%Y} and not in the future, got"
            f" {frame.captured_at.isoformat()}; set the camera's clock, or leave it out"
        )
