"""One video file, as a series of JPEG frames."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import simplejpeg

from connectors.errors import SourceError
from connectors.images import MAX_PIXELS
from connectors.ports import Capture, Finished, Image, IsKnown, Refused, SourceItem
from connectors.sources.folder import log_problem
from connectors.sources.metadata import SEQUENCE_LENGTH, Defaults, Facts, clean
from connectors.sources.pattern import compile_pattern
from connectors.sources.precedence import Voices
from connectors.sources.sidecars import Report
from connectors.times import in_utc

QUALITY = 95
UNTIMED_STEP_S = 0.1
"""Between frames without a time stamp. Recordings have 10 frames a second or more, so rather too many
frames are taken than too few.
"""
LEAP_STEPS, LEAP_S, LONGEST_S = 100, 10.0, 86_400.0
"""What is longer than so many usual steps, and so many seconds, is a leap; no pause is longer than
LONGEST_S.
"""
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
    unknown. Frames are upright JPEGs of quality 95; two are in memory at a time. Finished comes last.
    Time stamps that restart, leap or are missing lose no frame, see VideoClock.

    known: asked before any of the video is decoded.
    key: what keys begin with instead of the path; who gives it says itself what is known and finished.
    facts: what is known of the video, where somebody else has heard the voices.
    """

    def __init__(
        self,
        path: Path,
        every_s: float,
        defaults: Defaults = Defaults(),
        pattern: str | None = None,
        report: Report = log_problem,
        known: IsKnown | None = None,
        *,
        key: str | None = None,
        facts: Facts | None = None,
    ) -> None:
        if not 0 <= every_s < math.inf:
            raise SourceError(f"every_s: expected 0 or more seconds between frames, got {every_s}")
        self.path = path
        self._every_s = every_s
        self._pattern = compile_pattern(pattern) if pattern else None
        self._defaults = defaults
        self._start = defaults.start
        self._report = report
        self._known = known
        self._key = key
        self._told = facts

    def captures(self, after: str | None = None) -> Iterator[SourceItem]:
        """See FrameSource. Raises SourceError when the file is no video or none of it can be
        decoded.
        """
        self._check_there()
        finished = self._finished()
        if self._known and self._known(finished.key, finished.size, finished.mtime_ns):
            return
        with self._opened() as container:
            yield from self._read(container, after)
        if after is None and self._key is None:
            yield finished

    def seconds(self) -> dict[int, float]:
        """Seconds since the first frame, by the number of each frame; the whole video is decoded.

        Raises SourceError as `captures` does.
        """
        self._check_there()
        with self._opened() as container:
            timed = self._frames(container, self._video_stream(container))
            return {number: seconds for number, (seconds, _) in enumerate(timed)}

    def _check_there(self) -> None:
        if not self.path.exists():
            raise SourceError(f"{self.path}: expected a video, got no such file; check the path")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            # Titles come in any encoding, and a path that is not absolute may look like a protocol.
            with av.open(str(self.path.absolute()), metadata_errors="replace") as container:
                yield container
        except (av.error.FFmpegError, OSError) as error:
            raise self._unreadable(error.strerror or str(error)) from error

    def _finished(self) -> Finished:
        found = self.path.stat()
        return Finished(f"{self._name()} every {self._every_s:g} s", found.st_size, found.st_mtime_ns)

    def _name(self) -> str:
        return self._key or os.fsencode(self.path.absolute()).decode("utf-8", "backslashreplace")

    def _read(self, container: Any, after: str | None) -> Iterator[SourceItem]:
        stream = self._video_stream(container)
        facts, refused = self._facts()
        yield from refused
        facts = facts.over(self._start).over(Facts(captured_at=_creation_time(container)))
        name = self._name()
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
        rate = stream.average_rate or stream.guessed_rate
        clock = VideoClock(1 / float(rate) if rate else UNTIMED_STEP_S)
        waiting: tuple[float | None, Any] | None = None
        for moment, frame in self._decoded(container, stream):
            if waiting is not None:
                yield clock.tick(waiting[0], moment), waiting[1]
            waiting = moment, frame
        if waiting is not None:
            yield clock.tick(waiting[0], None), waiting[1]
        if problem := clock.problem:
            self._report(self.path.name, problem)

    def _decoded(self, container: Any, stream: Any) -> Iterator[tuple[float | None, Any]]:
        """(time stamp in seconds, None where there is none, frame)."""
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
                yield frame.time, frame
        if damaged:
            self._report(self.path.name, f"{damaged} damaged frames were left out")

    def _unreadable(self, reason: str) -> SourceError:
        return SourceError(
            f"{self.path}: expected a video that FFmpeg can decode, got: {reason}; convert or leave it out"
        )


@dataclass(slots=True)
class VideoClock:
    """Seconds since the first frame of a video, which only go on, whatever its time stamps do.

    step: seconds between two frames, where time stamps do not say it.
    Where stamps restart (a camera came back), leap for one frame (a damaged stamp) or are missing,
    the clock goes on by a step; a leap that the next frame confirms is a pause of the recording.
    """

    step: float
    seconds: float = 0.0
    broken: int = 0
    untimed: int = 0
    _started: bool = False
    _last: float | None = None

    def tick(self, moment: float | None, following: float | None) -> float:
        """The seconds of a frame. moment, following: its time stamp and that of the next one, in
        seconds, None where there is none.
        """
        if moment is None:
            self.untimed += 1
            passed = UNTIMED_STEP_S
        elif self._last is None:
            passed = self.step
        else:
            passed = self._passed(moment - self._last, moment, following)
        self.seconds += passed if self._started else 0.0
        self._started = True
        self._last = moment
        return self.seconds

    @property
    def problem(self) -> str:
        """What was wrong with the time stamps, "" where nothing was."""
        said = []
        if self.broken:
            times = "once" if self.broken == 1 else f"{self.broken} times"
            said.append(f"its time stamps restart or leap {times}; it is counted on from there")
        if self.untimed:
            a_second = 1 / UNTIMED_STEP_S
            one = "1 frame has no time stamp; it counts"
            have = one if self.untimed == 1 else f"{self.untimed} frames have no time stamp; they count"
            said.append(f"{have} as {a_second:g} a second")
        return "; ".join(said)

    def _passed(self, seconds: float, moment: float, following: float | None) -> float:
        longest = max(LEAP_S, LEAP_STEPS * self.step)
        if 0 < seconds <= longest:
            return seconds
        if 0 < seconds <= LONGEST_S and following is not None and 0 < following - moment <= longest:
            return seconds
        self.broken += 1
        return self.step


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
        zone_assumed=facts.zone_assumed,
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
