"""One video file, as a series of JPEG frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg

from connectors.errors import SourceError
from connectors.images import MAX_PIXELS
from connectors.ports import Capture, Image
from connectors.sources.folder import log_problem
from connectors.sources.metadata import SEQUENCE_LENGTH, Defaults, clean, in_utc, zone
from connectors.sources.sidecars import Report

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
    ]
)
QUALITY = 95


class VideoSource:
    """ports.FrameSource over one video: a frame every `every_s` seconds of its own time, 0 for every frame.

    Keys are `name#00000123`, the number being that of the frame within the video, so they stay when every_s changes. The sequence
    is the file's stem unless defaults name one. captured_at is the start plus the frame's own time; the start is started_at,
    or the creation time that the file carries, or unknown. Frames are upright JPEGs of quality 95; one is in memory at a time.
    """

    def __init__(
        self,
        path: Path,
        every_s: float = 1.0,
        defaults: Defaults = Defaults(),
        started_at: datetime | None = None,
        report: Report = log_problem,
    ) -> None:
        if every_s < 0:
            raise SourceError(f"every_s: expected 0 or more seconds between frames, got {every_s}")
        self.path = path
        self._every_s = every_s
        self._defaults = defaults
        self._started_at = in_utc(started_at, zone(defaults.timezone)) if started_at else None
        self._report = report

    def captures(self, after: str | None = None) -> Iterator[Capture]:
        """Frames whose key sorts after `after`. Raises SourceError when the file is no video or none of it can be decoded."""
        try:
            with av.open(str(self.path)) as container:
                yield from self._read(container, after)
        except (av.error.FFmpegError, OSError) as error:
            raise self._unreadable(error.strerror or str(error)) from error

    def _read(self, container: Any, after: str | None) -> Iterator[Capture]:
        stream = self._video_stream(container)
        started_at = self._started_at or _creation_time(container)
        due, count = 0.0, 0
        for count, (seconds, frame) in enumerate(self._frames(container, stream), start=1):
            if seconds + 1e-6 < due:
                continue
            due = self._next_due(seconds)
            key = f"{self.path.name}#{count - 1:08d}"
            if after is None or key > after:
                yield self._capture(key, frame, started_at and started_at + timedelta(seconds=seconds))
        if count == 0:
            raise self._unreadable("no frame of it can be decoded")

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

    def _capture(self, key: str, frame: Any, captured_at: datetime | None) -> Capture:
        facts = self._defaults.facts
        pixels = _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
        return Capture(
            key=key,
            data=simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorspace="RGB"),
            camera=facts.camera,
            site=facts.site,
            sequence=facts.sequence or clean(self.path.stem, SEQUENCE_LENGTH),
            captured_at=captured_at,
        )

    def _unreadable(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.path}: expected a video that FFmpeg can decode, got: {reason}; convert or leave it out"
        )


def _upright(pixels: Image, rotation: int) -> Image:
    return np.ascontiguousarray(np.rot90(pixels, round(rotation / 90)))


def _creation_time(container: Any) -> datetime | None:
    try:
        return in_utc(datetime.fromisoformat(container.metadata.get("creation_time", "")), UTC)
    except ValueError:
        return None
