"""A folder of images, scanned again and again while cameras write into it."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import SourceError
from connectors.litter import is_litter
from connectors.ports import Capture, Finished, IsKnown, Refused, SourceItem, Unsettled
from connectors.sources.metadata import Defaults, Facts
from connectors.sources.pattern import compile_pattern
from connectors.sources.precedence import Voices
from connectors.sources.sidecars import Report, json_sidecar
from connectors.times import zone

SIDECARS = frozenset(
    [
        ".json",
        ".jsonl",
        ".csv",
        ".tsv",
        ".txt",
        ".yaml",
        ".yml",
        ".xml",
        ".toml",
        ".ini",
        ".cfg",
        ".md",
        ".log",
        ".html",
        ".sha256",
        ".md5",
        ".db",
        ".py",
        ".sh",
    ]
)
UNFINISHED = frozenset(
    [".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp", ".lock", ".bak"]
)
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
        ".asf",
        ".vob",
        ".ogv",
        ".mxf",
        ".dav",
        ".h264",
        ".264",
        ".h265",
        ".265",
        ".hevc",
        ".mjpeg",
        ".mjpg",
    ]
)
REPORTS_REMEMBERED = 10_000

log = logging.getLogger(__name__)


def log_problem(key: str, problem: str) -> None:
    """The usual `report`: a warning in the log."""
    log.warning("%s: %s", key, problem)


class FolderSource:
    """ports.FrameSource over the files below a folder; keys are POSIX paths relative to it.

    A file is offered when it is whole: not touched for settle_s seconds, or of the same size and
    time as settle_s seconds before; so is a file whose JSON sidecar is not whole yet left alone.
    Hidden files, names of unfinished downloads, sidecars and what NAS systems keep are passed over;
    all other regular files are offered, so that what is no image is set aside with a reason. Of a
    video its frames are offered, under its key, # and their number. Links are followed to files
    below root and refused where they leave it, unless follow_links: then all are followed, folders
    as well. Times without an offset are in defaults.timezone.

    pattern: see connectors.sources.pattern.
    clock: seconds since 1970.
    known: asked before anything of a file is read.
    report: told, once each, of what was passed over or refused.
    video_every_s: seconds between frames of a video, see VideoSource.
    """

    def __init__(
        self,
        root: Path,
        pattern: str | None = None,
        *,
        settle_s: float,
        recursive: bool = True,
        defaults: Defaults = Defaults(),
        clock: Callable[[], float] = time.time,
        known: IsKnown | None = None,
        report: Report = log_problem,
        video_every_s: float = 1.0,
        follow_links: bool = False,
    ) -> None:
        self.root = root
        self._video_every_s = video_every_s
        self._follow_links = follow_links
        self._pattern = compile_pattern(pattern) if pattern else None
        self._recursive = recursive
        zone(defaults.timezone)
        defaults.start  # noqa: B018 - wrong options are told at once
        self._defaults = defaults
        self._settle_s = settle_s
        self._clock = clock
        self._known = known
        self._report_to = report
        self._reported: set[tuple[str, str]] = set()
        self._sightings: dict[str, _Sighting] = {}

    def captures(self, after: str | None = None) -> Iterator[SourceItem]:
        """See FrameSource. Raises SourceError when root is no readable folder."""
        voices = Voices(self.root, self._pattern, self._defaults, self._report)
        waiting: set[str] = set()
        for key, path in self._files(after):
            if isinstance(path, Refused):
                yield path
                continue
            found = self._whole(key, path, waiting)
            if isinstance(found, Unsettled):
                yield found
            elif not found or (self._known and self._known(key, found.st_size, found.st_mtime_ns)):
                continue
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                yield from self._video(key, path, found, voices, after)
            else:
                yield capture_of(key, path, voices.facts(key, path))
                yield from voices.refused()
        voices.report_misfits()
        self._sightings = {key: seen for key, seen in self._sightings.items() if key in waiting}

    def _video(
        self, key: str, path: Path, found: os.stat_result, voices: Voices, after: str | None
    ) -> Iterator[SourceItem]:
        """The frames of a video in the folder; one that cannot be read stops no other."""
        from connectors.sources.video import VideoSource

        facts = voices.told(key, path)
        source = VideoSource(
            path, self._video_every_s, self._defaults, report=self._report, key=key, facts=facts
        )
        whole = True
        try:
            yield from source.captures(after)
        except SourceError as error:
            whole = False
            self._report(key, str(error))
            yield Refused(key, "bad_video", str(error))
        yield from voices.refused()
        yield Finished(key, found.st_size, found.st_mtime_ns, whole)

    def _files(self, after: str | None) -> Iterator[tuple[str, Path | Refused]]:
        real_root = self._real_root()
        stack = [self._entries("", self.root)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif entry.is_folder:
                if self._recursive and not _all_before(entry.key, after) and self._may_open(entry):
                    stack.append(self._entries(entry.key, entry.path))
            elif _is_after(entry.key, after) and (path := self._inside(entry, real_root)):
                yield entry.key, path

    def _real_root(self) -> Path:
        try:
            with os.scandir(self.root):
                return self.root.resolve(strict=True)
        except OSError as error:
            raise SourceError(
                f"expected a folder of images, got {self.root} ({error.strerror}); check path and permissions"
            ) from error

    def _entries(self, prefix: str, folder: Path) -> Iterator[_Entry]:
        try:
            with os.scandir(folder) as found:
                names = sorted(_order(entry, self._follow_links) for entry in found if _of_interest(entry))
        except OSError as error:
            self._report(prefix or ".", f"expected a readable folder, got: {error.strerror}")
            return
        for shown, name, is_link in names:
            is_folder = shown.endswith("/")
            yield _Entry(prefix + shown, folder / name, is_folder, is_link)

    def _inside(self, entry: _Entry, real_root: Path) -> Path | Refused | None:
        if not entry.is_link:
            return entry.path
        target = Path(os.path.realpath(entry.path))
        if not self._follow_links and not target.is_relative_to(real_root):
            problem = (
                f"expected a link to a file below {self.root}, got one that leaves it; refused; set"
                " frames.follow_links to true to follow it"
            )
            self._report(entry.key, problem)
            return Refused(entry.key, "refused_link", problem)
        return target if target.is_file() else None

    def _may_open(self, entry: _Entry) -> bool:
        """Whether a folder is no link back to one that it lies in, which would never end."""
        if not entry.is_link:
            return True
        target = Path(os.path.realpath(entry.path))
        if Path(os.path.realpath(entry.path.parent)).is_relative_to(target):
            self._report(entry.key, "a link to a folder that holds it is passed over")
            return False
        return True

    def _whole(self, key: str, path: Path, waiting: set[str]) -> os.stat_result | Unsettled | None:
        """None for what is no file. waiting: gets the sightings to be kept for the next scan."""
        found = _stat(path)
        if found is None:
            return None
        if not self._settled(key, found, waiting):
            return Unsettled(key)
        sidecar = json_sidecar(path)
        beside = _stat(sidecar) if sidecar else None
        if beside and not self._settled(key + "\0sidecar", beside, waiting):
            return Unsettled(key)
        return found

    def _settled(self, key: str, found: os.stat_result, waiting: set[str]) -> bool:
        now = self._clock()
        if self._settle_s <= 0 or now - found.st_mtime >= self._settle_s:
            return True
        seen = self._sightings.get(key)
        changed = seen is None or (seen.size, seen.mtime_ns) != (found.st_size, found.st_mtime_ns)
        if seen is None or changed or now < seen.since:  # a clock that was set back begins the wait anew
            self._sightings[key] = seen = _Sighting(found.st_size, found.st_mtime_ns, now)
        if now - seen.since >= self._settle_s:
            return True
        waiting.add(key)
        return False

    def _report(self, key: str, problem: str) -> None:
        if len(self._reported) >= REPORTS_REMEMBERED:
            self._reported.clear()
        if (key, problem) not in self._reported:
            self._reported.add((key, problem))
            self._report_to(key, problem)


def capture_of(key: str, path: Path, facts: Facts) -> Capture:
    """A file and what is known of it, as a source offers it."""
    return Capture(
        key=key,
        path=path,
        camera=facts.camera,
        site=facts.site,
        sequence=facts.sequence,
        captured_at=facts.captured_at,
        zone_assumed=facts.zone_assumed,
    )


@dataclass(frozen=True, slots=True)
class _Sighting:
    size: int
    mtime_ns: int
    since: float


@dataclass(frozen=True, slots=True)
class _Entry:
    """key: ends with a slash for a folder."""

    key: str
    path: Path
    is_folder: bool
    is_link: bool


def _of_interest(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    if name.startswith((".", "~")) or name.endswith("~") or is_litter(name):
        return False
    if entry.is_dir(follow_symlinks=False):
        return True
    ending = os.path.splitext(name)[1]  # noqa: PTH122 - a Path per file would cost more than the scan
    return ending not in SIDECARS | UNFINISHED and (
        entry.is_symlink() or entry.is_file(follow_symlinks=False)
    )


def _order(entry: os.DirEntry[str], follow_links: bool) -> tuple[str, str, bool]:
    # The slash makes the order within each folder that of the whole keys.
    shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
    return shown + "/" * entry.is_dir(follow_symlinks=follow_links), entry.name, entry.is_symlink()


def _is_after(key: str, after: str | None) -> bool:
    """Whether a file, or what is in it, comes after a key."""
    return after is None or key > after or after.startswith(key + "#")


def _all_before(folder_key: str, after: str | None) -> bool:
    return after is not None and folder_key <= after and not after.startswith(folder_key)


def _stat(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
