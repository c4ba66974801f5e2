"""The one place where concrete connectors are built."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import config
from connectors.errors import ImageRejected, LabelStudioDown, ModelError, SourceError
from connectors.ports import Capture, Detector, Embedder, FrameSource, IsKnown, LabelBackend, Trainer
from connectors.times import plausible, zone
from db.engine import read
from db.models import deployed
from loop.base.errors import ConfigError, ProjectError
from loop.project.project import Project
from loop.project.training_metadata import TrainingMetadata
from loop.project.weights import check_weights
from loop.settings.settings import DetectorSettings, EmbedderSettings, Frames

if TYPE_CHECKING:
    from connectors.pushed import PushedFrames
    from connectors.sources.pattern import PathPattern

JUDGED_ABOVE = 0.01
"""Confidence of what a judge of labels tells: a box that it is little sure of still speaks for a label."""
TOKEN = "FIELDLOOP_LABEL_STUDIO_TOKEN"  # noqa: S105


@dataclass(frozen=True)
class Given:
    """What is said of all that one run takes in: it fills in what neither sidecar nor pattern says.

    started_at: in frames.timezone where it has no offset.
    """

    camera: str = ""
    site: str = ""
    sequence: str = ""
    started_at: datetime | None = None


NOTHING_GIVEN = Given()
NO_COLUMNS: Mapping[str, str] = {}


class Parts:
    """The connectors of one project, built when first asked for and kept.

    watching: the configured folder is scanned again and again, so files that are known are passed
    over unread.
    """

    def __init__(self, project: Project, watching: bool = False) -> None:
        self.project = project
        self.watching = watching
        self._building = threading.RLock()
        self._source: FrameSource | None = None
        self._embedder: Embedder | None = None
        self._detector: tuple[str, Detector] | None = None

    def source(
        self, path: str | None = None, given: Given = NOTHING_GIVEN, known: IsKnown | None = None
    ) -> FrameSource:
        """The configured frame source, or one for `path` or with what is given.

        known: what the configured one may pass over, from its first use on.
        Raises ConfigError, SourceError.
        """
        if path or given != NOTHING_GIVEN:
            return build_source(self.project, path, given=given)
        if self._source is None:
            self._source = build_source(self.project, known=known)
        return self._source

    def embedder(self) -> Embedder:
        """The configured CLIP. Raises WeightsUnavailable, ModelError."""
        with self._building:
            if self._embedder is None:
                self._embedder = build_embedder(self.project.root, self.project.settings.embedder)
            return self._embedder

    def detector(self) -> Detector:
        """The deployed detector; another one as soon as another model is deployed. Raises
        ModelError.
        """
        sha256, weights = deployed_weights(self.project)
        with self._building:
            if self._detector is None or self._detector[0] != sha256:
                self._detector = (sha256, build_detector(self.project, weights))
            return self._detector[1]

    def detector_of(self, weights: Path) -> Detector:
        """A detector for any of the project's checkpoints. Raises ModelError."""
        with self._building:
            return build_detector(self.project, weights)

    def judge_of(self, weights: Path, imgsz: int) -> Detector:
        """A detector that also tells what it is little sure of. imgsz: px. Raises ModelError."""
        with self._building:
            return build_judge(weights, imgsz, self.project.settings.detector)

    def trainer(self) -> Trainer:
        return build_trainer()

    def label_backend(self) -> LabelBackend:
        """The user's Label Studio, or our own running server. Raises ConfigError, LabelStudioDown."""
        return build_label_backend(self.project)


def deployed_weights(project: Project) -> tuple[str, Path]:
    """(sha256, path) of the deployed checkpoint. Raises ProjectError when there is none, or its
    file was changed.
    """
    with read(project.engine) as session:
        model = deployed(session)
    if model is None:
        raise ProjectError(
            "expected a deployed model, found none; run `fieldloop init` again as before, it goes on where it"
            " was stopped"
        )
    check_weights(project, model)
    return model.sha256, project.root / model.path


def build_source(
    project: Project,
    path: str | None = None,
    known: IsKnown | None = None,
    given: Given = NOTHING_GIVEN,
) -> FrameSource:
    """The configured frame source, or one for `path`; see FolderSource for `known`. Raises
    ConfigError, SourceError.
    """
    from connectors.sources.folder import VIDEO_SUFFIXES, FolderSource
    from connectors.sources.metadata import Defaults
    from connectors.sources.video import VideoSource

    frames = project.settings.frames
    if not (path or frames.path):
        raise ConfigError(
            "frames.path: expected a folder or a video file, got nothing; set it or give a path to `fieldloop"
            " ingest`"
        )
    where = Path(path).expanduser().absolute() if path else resolve(project, frames.path)
    defaults = Defaults(
        camera=given.camera or frames.camera or None,
        site=given.site or frames.site or None,
        sequence=given.sequence or None,
        timezone=frames.timezone,
        started_at=given.started_at,
        columns=frames.columns,
    )
    if where.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSource(where, frames.video_every_s, defaults, frames.pattern or None, known=known)
    return FolderSource(
        where,
        frames.pattern or None,
        defaults=defaults,
        settle_s=frames.settle_s,
        known=known,
        video_every_s=frames.video_every_s,
        follow_links=frames.follow_links,
    )


def fetch_again(project: Project, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """(key, bytes) of each frame that its source still has with the same content.

    wanted: sha256 by source key: a path below the configured folder, that of an imported image, or a
    frame of a video.
    """
    videos: dict[str, dict[str, str]] = {}
    root = resolve(project, project.settings.frames.path)
    for key, sha256 in wanted.items():
        path = root / key
        video, number, _ = key.rpartition("#")
        if number and not path.is_file():
            videos.setdefault(video, {})[key] = sha256
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if (stored := _as_stored(data, sha256)) is not None:
            yield key, stored
    for video, keys in videos.items():
        yield from _from_video(root / video, video, keys)


def _as_stored(data: bytes, sha256: str) -> bytes | None:
    """What ingest made of a file, where that has this hash: pictures of 16 bits are kept with 8."""
    from connectors.images import content_hash, inspect, stretched

    if content_hash(data) == sha256:
        return data
    try:
        made = stretched(data) if inspect(data).bits > 8 else data
    except ImageRejected:
        return None
    return made if content_hash(made) == sha256 else None


def _from_video(path: Path, name: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Decodes up to the last frame that is wanted. name: what keys begin with."""
    from connectors.images import content_hash
    from connectors.sources.video import VideoSource

    first = min(wanted).rpartition("#")[2]
    left = set(wanted)
    try:
        for item in VideoSource(path, 0.0, key=name).captures(f"{name}#{int(first) - 1:08d}"):
            if isinstance(item, Capture) and item.key in left:
                left.discard(item.key)
                if content_hash(item.read()) == wanted[item.key]:
                    yield item.key, item.read()
            if not left:
                return
    except (SourceError, ValueError):
        return


@dataclass(frozen=True)
class ImportedCaptures:
    """What is known of the images of a labeled dataset.

    unused: files and why what they say could not be used.
    """

    by_path: dict[Path, Capture]
    unused: list[tuple[Path, str]]


def imported_captures(
    dataset: Path,
    paths: Sequence[Path],
    said: TrainingMetadata,
    timezone: str,
    columns: Mapping[str, str] = NO_COLUMNS,
) -> ImportedCaptures:
    """Heard as of production: sidecars, the pattern, what is said of all, EXIF.

    dataset: what was given to read it by.
    timezone: of times without an offset.
    columns: what sidecars call what, see Defaults.
    Raises ConfigError where the pattern is none, or fits no image.
    """
    from connectors.sources.folder import capture_of
    from connectors.sources.metadata import Defaults
    from connectors.sources.precedence import Voices

    root = _folder_of(dataset, paths)
    keys = {path: Path(os.path.relpath(path, root)).as_posix() for path in paths}
    unused: list[tuple[Path, str]] = []
    voices = Voices(
        root,
        _fitting(said.pattern, sorted(keys.values()), root, timezone),
        Defaults(camera=said.camera or None, site=said.site or None, timezone=timezone, columns=columns),
        lambda key, problem: unused.append((root / key, problem)),
    )
    found = {
        path: capture_of(key, path, voices.facts(key, path))
        for path, key in sorted(keys.items(), key=itemgetter(1))
    }
    voices.report_misfits()
    return ImportedCaptures({path: _plausible(one, path, unused) for path, one in found.items()}, unused)


def _plausible(capture: Capture, path: Path, unused: list[tuple[Path, str]]) -> Capture:
    """The capture, a time that cannot be taken for unknown."""
    if capture.captured_at is None or plausible(capture.captured_at, datetime.now(UTC)):
        return capture
    unused.append((path, f"its time cannot be and counts as unknown: {capture.captured_at.isoformat()}"))
    return replace(capture, captured_at=None)


@dataclass(frozen=True)
class Told:
    """What a row of a table says of a file; None where it is silent.

    problem: why it says nothing.
    """

    number: int
    file: str
    camera: str | None
    site: str | None
    sequence: str | None
    captured_at: datetime | None
    zone_assumed: bool
    problem: str


def told_rows(file: Path, frames: Frames) -> Iterator[Told]:
    """The rows of a table of frames. Raises SourceError."""
    from connectors.sources.names import Names
    from connectors.sources.told_after import read_told

    for row in read_told(file, Names(frames.columns), zone(frames.timezone)):
        facts = row.facts
        yield Told(
            row.number,
            row.file,
            facts.camera,
            facts.site,
            facts.sequence,
            facts.captured_at,
            facts.zone_assumed,
            row.problem,
        )


def told_paths(keys: Iterable[str], frames: Frames) -> Iterator[Told]:
    """What frames.pattern reads from those paths below the watched folder that it fits.

    Raises SourceError.
    """
    from connectors.sources.pattern import compile_pattern

    pattern, assumed = compile_pattern(frames.pattern), zone(frames.timezone)
    for number, key in enumerate(keys, 1):
        try:
            facts = pattern.facts(key, assumed)
        except ValueError as error:
            yield Told(number, key, None, None, None, None, False, f"{key}: {error}")
            continue
        if facts:
            told = facts.camera, facts.site, facts.sequence, facts.captured_at, facts.zone_assumed
            yield Told(number, key, *told, problem="")


def seconds_in_video(path: Path) -> dict[int, float]:
    """Seconds since the first frame of a video, by the number of each frame. Raises SourceError."""
    from connectors.sources.video import VideoSource

    return VideoSource(path, 0.0).seconds()


def _folder_of(dataset: Path, paths: Sequence[Path]) -> Path:
    """The folder of the dataset, or what holds all its images where some lie elsewhere."""
    folder = dataset if dataset.is_dir() else dataset.parent
    if not any(os.path.relpath(path, folder).startswith(os.pardir) for path in paths):
        return folder
    return Path(os.path.commonpath([path.parent.absolute() for path in paths]))


def _fitting(text: str, keys: Sequence[str], root: Path, timezone: str) -> PathPattern | None:
    """The pattern, None for "". Raises ConfigError where none of the keys fits it."""
    from connectors.sources.pattern import compile_pattern

    if not (text and keys):
        return None
    try:
        pattern = compile_pattern(text)
    except SourceError as error:
        raise ConfigError(f"--train-pattern: {error}") from error
    if not any(_fits(pattern, key, zone(timezone)) for key in keys):
        raise ConfigError(
            f"--train-pattern: expected a pattern of paths below {root}, such as {keys[0]!r}, got {text!r},"
            f" which fits none of {len(keys)} images; write it after these paths, * is any text in one name"
        )
    return pattern


def _fits(pattern: PathPattern, key: str, assumed: tzinfo) -> bool:
    try:
        return pattern.facts(key, assumed) is not None
    except ValueError:
        return False


def likely_pattern(keys: Sequence[str]) -> str:
    """A frames.pattern that all of these paths fit, "" where none does: a proposal for people,
    never assumed.
    """
    from connectors.sources import pattern_guess

    return pattern_guess.likely_pattern(keys)


def build_embedder(root: Path, chosen: EmbedderSettings) -> Embedder:
    """The configured CLIP. Raises WeightsUnavailable, ModelError."""
    from connectors.clip.embedder import load_embedder

    check_device("embedder.device", chosen.device)
    return load_embedder(
        embedder_location(root, chosen.model),
        chosen.pretrained or None,
        device=f"cuda:{chosen.device}" if chosen.device.isdigit() else chosen.device,
        batch=chosen.batch,
    )


def embedder_location(root: Path, model: str) -> str:
    """What open_clip is asked to load: "small" is the carried folder, a path is taken from the
    project folder.
    """
    if model == "small":
        return str(config.FOLDER / "clip_small")
    local = root / Path(model).expanduser()
    return str(local) if local.is_dir() else model


def files_of_embedder(root: Path, model: str) -> list[Path]:
    """Those of its folder, by name; none where open_clip fetches it by name."""
    folder = Path(embedder_location(root, model))
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def build_detector(project: Project, weights: Path) -> Detector:
    """The detector in `weights`, with the project's settings. Raises ModelError."""
    from connectors.yolo.detector import load_detector

    chosen = project.settings.detector
    check_device("detector.device", chosen.device)
    return load_detector(
        weights,
        device=chosen.device,
        imgsz=chosen.imgsz,
        conf=chosen.confidence,
        iou=chosen.iou,
    )


def build_trainer() -> Trainer:
    """What trains detectors, in a process of its own."""
    from connectors.yolo.trainer import YoloTrainer

    return YoloTrainer()


def started_weights(weights: Path, classes: Sequence[str], seed: int) -> bytes:
    """A checkpoint for these classes, begun from any weights. Raises WeightsUnavailable, ModelError."""
    from connectors.yolo.start import start_detector

    return start_detector(weights, classes, seed)


def build_judge(weights: Path, imgsz: int, chosen: DetectorSettings) -> Detector:
    """The detector in `weights`, down to a confidence of JUDGED_ABOVE. Raises ModelError."""
    from connectors.yolo.detector import load_detector

    check_device("detector.device", chosen.device)
    return load_detector(weights, device=chosen.device, imgsz=imgsz, conf=JUDGED_ABOVE, iou=chosen.iou)


def check_device(key: str, device: str) -> None:
    """Raises ModelError that names the setting when its GPU is not there."""
    if device == "cpu":
        return
    from connectors.devices import gpus

    there = gpus()
    if max((int(number) for number in re.findall(r"\d+", device)), default=0) >= there:
        known = f"numbers 0 to {there - 1}" if there else "none"
        raise ModelError(
            f"{key}: expected cpu or a GPU of this machine ({known}), got {device!r}; set it to cpu, "
            "or see with nvidia-smi whether the GPU is there"
        )


def build_label_backend(project: Project) -> LabelBackend:
    """The user's Label Studio, or our own running server. Raises ConfigError, LabelStudioDown."""
    from connectors.label_studio.backend import LabelStudio

    url, token, own = label_studio_access(project)
    images = project.settings.label_studio.images
    if images == "auto":
        images = "local_files" if own else "upload"
    labels = project.settings.labels
    return LabelStudio(
        url,
        token,
        images=images,
        document_root=project.store,
        names=labels.class_names,
        ask_occlusion=labels.ask_occlusion,
    )


def label_studio_access(project: Project) -> tuple[str, str, bool]:
    """(url, token, whether it is our own server)."""
    from connectors.label_studio.server import status

    url = project.settings.label_studio.url
    if url:
        token = os.environ.get(TOKEN, "")
        if not token:
            raise ConfigError(
                f"{TOKEN}: expected the access token of {url}, got nothing; copy it from Label Studio's"
                " account page"
            )
        return url, token, False
    server = status(project.label_studio)
    if server is None:
        raise LabelStudioDown(
            "expected a running Label Studio, found none; start ours with `fieldloop labelstudio start` or"
            " set label_studio.url"
        )
    return server.url, server.token, True


def build_pushed(project: Project) -> PushedFrames:
    """Where frames that are handed over one by one are put: below the watched folder. Raises
    ConfigError where frames.path is none.
    """
    from connectors.pushed import PushedFrames
    from connectors.sources.folder import VIDEO_SUFFIXES

    frames = project.settings.frames
    where = resolve(project, frames.path)
    if not frames.path or where.suffix.lower() in VIDEO_SUFFIXES or not where.is_dir():
        raise ConfigError(
            f"frames.path: expected a folder to put pushed frames into, got {_no_folder(frames.path, where)};"
            " set it to a folder that is there, and start the service again"
        )
    return PushedFrames(where, frames.columns)


def _no_folder(path: str, where: Path) -> str:
    if not path:
        return "nothing"
    return f"the file {where}" if where.is_file() else f"{where}, which is not there"


def resolve(project: Project, path: str) -> Path:
    return project.root / Path(path).expanduser()
