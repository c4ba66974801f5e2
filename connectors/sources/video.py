"""One video file, as a series of JPEG frames."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg

from connectors.errors import SourceError
from connectors.images import MAX_PIXELS
from connectors.ports import Capture, Image, Refused, SourceItem
from connectors.sources.folder import log_problem
from connectors.sources.metadata import SEQUENCE_LENGTH, Defaults, Facts, clean
from connectors.sources.pattern import compile_pattern
from connectors.sources.precedence import Voices
from connectors.sources.sidecars import Report
from connectors.times import in_utc

QUALITY = 95
HASHED_BYTES = 1 << 20


class VideoSource:
    """ports.FrameSource over one video: a frame every `every_s` seconds of its own time, 0 for
    every frame.

    Keys are `/folder/name#00000123`, the number being that of the frame within the video, so they
    stay when every_s changes. Sidecars and the pattern (over as many of the last folders and names
    as it has) speak for the video as for an image. Where nobody names a sequence, it is the file's
    stem and a hash of its beginning: the same for a copy elsewhere, another for another video of
    that name. captured_at is the start plus the frame's own time; the start is what a sidecar or
    the pattern says, or defaults.started_at, or the creation time that the file carries, or
    unknown. Frames are upright JPEGs of quality 95; one is in memory at a time.

    key: what keys begin with instead of the path.
    facts: what is known of the video, where somebody else has heard the voices.
    """

    def __init__(
        self,
        path: Path,
        every_s: float,
        defaults: Defaults = Defaults(),
        pattern: str | None = None,
        report: Report = log_problem,
        *,
        key: str | None = None,
        facts: Facts | None = None,
    ) -> None:
        if every_s < 0:
            raise SourceError(f"every_s: expected 0 or more seconds between frames, got {every_s}")
        self.path = path
        self._every_s = every_s
        self._pattern = compile_pattern(pattern) if pattern else None
        self._defaults = defaults
        self._start = defaults.start
        self._report = report
        self._key = key
        self._told = facts

    def captures(self, after: str | None = None) -> Iterator[SourceItem]:
        """See FrameSource. Raises SourceError when the file is no video or none of it can be
        decoded.
        """
        if not self.path.exists():
            raise SourceError(f"{self.path}: expected a video, got no such file; check the path")
        try:
            with av.open(str(self.path)) as container:
                yield from self._read(container, after)
        except (av.error.FFmpegError, OSError) as error:
            raise self._unreadable(error.strerror or str(error)) from error

    def _read(self, container: Any, after: str | None) -> Iterator[SourceItem]:
        stream = self._video_stream(container)
        facts, refused = self._facts()
        yield from refused
        facts = facts.over(self._start).over(Facts(captured_at=_creation_time(container)))
        name = self._key or os.fsencode(self.path.absolute()).decode("utf-8", "backslashreplace")
        due, count = 0.0, 0
        for count, (seconds, frame) in enumerate(self._frames(container, stream), start=1):
            if seconds + 1e-6 < due:
                continue
            due = self._next_due(seconds)
            key = f"{name}#{count - 1:08d}"
            if after is None or key > after:
                yield _capture(key, frame, facts, seconds)
        if count == 0:
            raise self._unreadable("no frame of it can be decoded")

    def _facts(self) -> tuple[Facts, list[Refused]]:
        """What is known of the video but for the time within it, and sidecars that could not be
        used.
        """
        path = self.path.absolute()
        if self._told is not None:
            return self._told.over(Facts(sequence=_own_sequence(path))), []
        depth = self._pattern.text.count("/") if self._pattern else 0
        root = path.parents[min(depth, len(path.parents) - 1)]
        voices = Voices(root, self._pattern, self._defaults, self._report)
        facts = voices.told(path.relative_to(root).as_posix(), path)
        voices.report_misfits()
        return facts.over(Facts(sequence=_own_sequence(path))), voices.refused()

    def _next_due(self, seconds: float) -> float:
        return (math.floor(seconds / self._every_s + 1e-6) + 1) * self._every_s if self._every_s else 0.0

    def _video_stream(self, container: Any) -> Any:
        if not container.streams.video:
            raise self._unreadable("no video in it")
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise SourceError(
                f"{self.path}: expected at most {MAX_PIXELS:,} pixels a frame, got {width}x{height}"
            )
        stream.thread_type = "AUTO"
        return stream

    def _frames(self, container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
        """(seconds since the first frame, frame); what cannot be decoded is left out and counted."""
        first: float | None = None
        damaged = 0
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                continue
            for frame in frames:
                if frame.is_corrupt:
                    damaged += 1
                    continue
                moment = frame.time if frame.time is not None else (first or 0.0)
                first = moment if first is None else first
                yield max(0.0, moment - first), frame
        if damaged:
            self._report(self.path.name, f"{damaged} damaged frames were left out")

    def _unreadable(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.path}: expected a video that FFmpeg can decode, got: {reason}; convert or leave it out"
        )


def _capture(key: str, frame: Any, facts: Facts, seconds: float) -> Capture:
    pixels = _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
    start = facts.captured_at
    return Capture(
        key=key,
        data=simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB"),
        camera=facts.camera,
        site=facts.site,
        sequence=facts.sequence,
        captured_at=start and start + timedelta(seconds=seconds),
    )


def _own_sequence(path: Path) -> str | None:
    with path.open("rb") as file:
        beginning = hashlib.blake2b(file.read(HASHED_BYTES), digest_size=4).hexdigest()
    return clean(f"{path.stem[: SEQUENCE_LENGTH - 9]}-{beginning}", SEQUENCE_LENGTH)


def _upright(pixels: Image, rotation: int) -> Image:
    return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))


def _creation_time(container: Any) -> datetime | None:
    try:
        return in_utc(datetime.fromisoformat(container.metadata.get("creation_time", "")), UTC)
    except ValueError:
        return None
