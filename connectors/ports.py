"""Boundary types and Protocols: all that the rest of the house knows of the outside world.

Pixels are `xyxy` in absolute pixels of the stored image (origin top left, no EXIF rotation pending:
the stored pixels are what everybody sees). Images are `(H, W, 3)` uint8 RGB. Times are
timezone-aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Array = NDArray[np.float32]
BoxOrigin = Literal["imported", "prediction", "prediction-changed", "manual"]
Progress = Callable[[int, int, str], None]
"""`progress(done, total, what)`; total 0 means unknown."""
IsKnown = Callable[[str, int, int], bool]
"""`is_known(key, size, mtime_ns)`: whether a source may pass over this very file, unread."""


class Purpose(StrEnum):
    """What a person is asked to look at a frame for."""

    TRAIN = "train"  # its label trains the next models
    EVALUATION = "evaluation"  # its label judges models and never trains one
    CONSENSUS = "consensus"  # a second person labels what another labeled, to see whether they agree
    SUSPECT = "suspect"  # its label looks wrong
    INSPECTION = "inspection"  # a sample of finished labels is looked over
    REPORT = "report"  # somebody in production reported it


@dataclass(frozen=True, slots=True)
class Capture:
    """One image offered by a source, not yet read.

    key: its name within the source, stable over scans.
    path: where its bytes lie, or data: the bytes themselves (a frame of a video).
    zone_assumed: captured_at was written without a zone.
    """

    key: str
    path: Path | None = None
    data: bytes | None = None
    camera: str | None = None
    site: str | None = None
    sequence: str | None = None
    captured_at: datetime | None = None
    zone_assumed: bool = False

    def read(self) -> bytes:
        """The bytes of the image file. Raises OSError when the file went away."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise ValueError(f"capture {self.key!r} has neither a path nor data")
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector saw in one image, best first.

    xyxy: (K, 4) float32 px.
    confidence: (K,) float32 in 0..1.
    class_id: (K,) int64.
    class_scores: (K, C) float32 sigmoid scores of the same anchors before suppression, or None.
    forward_ms: milliseconds spent on this image, its share of the batch.
    """

    xyxy: Array
    confidence: Array
    class_id: NDArray[np.int64]
    class_scores: Array | None = None
    forward_ms: float = 0.0

    def __len__(self) -> int:
        return len(self.confidence)


@dataclass(frozen=True, slots=True)
class Box:
    """One labeled object: class name, corners in px, and how it came to be.

    occluded: something hides a part of it. truncated: the border of the image cuts it.
    """

    class_name: str
    xyxy: tuple[float, float, float, float]
    origin: BoxOrigin = "manual"
    confidence: float | None = None
    occluded: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One frame put before a labeler.

    key: unique and stable over retries; it is what `LabelBackend.find` looks for.
    image: path of the stored file.
    priority: not negative, the largest is shown first.
    reason: one line a labeler understands.
    predictions: boxes already drawn.
    """

    key: str
    image: Path
    width: int
    height: int
    priority: float
    reason: str
    purpose: Purpose
    predictions: Sequence[Box] = ()
    model_version: str = ""
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person answered to one task.

    boxes is empty for a verified background.
    cancelled: skipped.
    result: the answer as Label Studio gave it.
    ground_truth: a person marked it as the right one of its task.
    unseen: nobody looked at the image for it: predictions that were accepted in bulk, or the answer
    to another task that was spread over this one.
    imported: it came with an import of tasks, so time and author are those of the import.
    unknown_classes: names in the answer that are not in the class list and, in brackets, whatever
    else is no box with an area; such an answer must not become labels.
    """

    external_id: int
    external_task_id: int
    key: str
    author: str
    created_at: datetime
    updated_at: datetime
    cancelled: bool
    boxes: Sequence[Box]
    lead_time_s: float | None
    result: list[dict[str, object]]
    unknown_classes: Sequence[str] = ()
    ground_truth: bool = False
    unseen: bool = False
    imported: bool = False


@dataclass(frozen=True, slots=True)
class TaskAnswers:
    """Everything that people hold true of one task now: an answer that was there before and is
    absent was deleted.

    updated_at: when the task or an answer of it was last changed.
    """

    external_task_id: int
    key: str
    updated_at: datetime
    answers: Sequence[Annotation]


@dataclass(frozen=True, slots=True)
class LabelProject:
    """The Label Studio project that belongs to one fieldloop project."""

    external_id: int
    url: str
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """All that a training run depends on.

    dataset: data.yaml of an exported, validated dataset.
    weights: the checkpoint to fine-tune.
    run_dir: everything the run writes.
    overrides: further ultralytics settings.
    resume: go on from run_dir's last.pt when it holds one.
    """

    dataset: Path
    weights: Path
    run_dir: Path
    epochs: int
    seed: int
    imgsz: int
    batch: int
    device: str = "cpu"
    threads: int = 0
    resume: bool = True
    overrides: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """weights: the candidate checkpoint.
    sha256: of that file.
    epochs: completed.
    seconds: wall time of this process.
    kept: the epoch whose weights the candidate has, from 1; 0 where it is not told.
    settings: what the trainer ran with, by ultralytics' names, and the class names as `classes`.
    """

    weights: Path
    sha256: str
    epochs: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    kept: int = 0
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """What a source could not use.

    key: of the file that it is, or that it belongs to.
    code: refused_link, bad_sidecar or bad_video.
    """

    key: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A file that is still being written: a later scan offers it. key: as that of its capture."""

    key: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A file of many captures, such as a video, of which all have come: it need not be read again while
    its size and time stay.

    key, size, mtime_ns: what `IsKnown` is asked with.
    whole: whether nothing of it was refused.
    """

    key: str
    size: int
    mtime_ns: int
    whole: bool = True


SourceItem = Capture | Refused | Unsettled | Finished
"""One thing that a source says of one of its files."""


class FrameSource(Protocol):
    """Where frames come from. All that a scan has to say it yields: it leaves nothing to look up."""

    def captures(self, after: str | None = None) -> Iterable[SourceItem]:
        """One scan: whole images whose key sorts after `after` (all when None), in key order.

        What was refused, and what is not whole yet, comes between them, at every scan anew.
        What was refused beside a capture, such as its sidecar, follows that capture. A file of
        several captures is finished after the last of them.
        Raises SourceError.
        """


class Embedder(Protocol):
    """An image-text model. name changes whenever its vectors would."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def logit_scale(self) -> float:
        """What the model was trained to multiply similarities by before a softmax over texts."""

    def embed(self, images: Sequence[Image]) -> Array:
        """(B, D) float32, unit norm."""

    def embed_text(self, prompts: Sequence[str]) -> Array:
        """(P, D) float32, unit norm."""

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Words that mean nothing to the model, each once, in order."""

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        """(N,) bool of (N, D) vectors by `embed`: images unlike all that the model was trained on,
        of which sentences say nothing. All False where the model cannot tell.
        """


class Detector(Protocol):
    """An object detector. name changes whenever its boxes would."""

    @property
    def name(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """One Detections per image, boxes in that image's pixels."""


class LabelBackend(Protocol):
    """Where people label.

    url: its address for a browser, without a slash at the end.
    clock: its own time at its last answer, None where it does not say.
    """

    @property
    def url(self) -> str: ...

    @property
    def clock(self) -> datetime | None: ...

    def ensure_project(
        self,
        title: str,
        classes: Sequence[str],
        instructions: str,
        project_id: int | None,
        mark: str = "",
    ) -> LabelProject:
        """The project, made with the mark when project_id is None. Raises ProjectGone when
        project_id is not there any more.
        """

    def mark_of(self, project_id: int) -> str:
        """Whose project it is: the mark of a fieldloop project, "" where it has none. Raises
        ProjectGone.

        A mark is hexadecimal digits, and behind a blank the number of the last push where it has one.
        """

    def set_mark(self, project_id: int, mark: str) -> None:
        """Puts the mark into the project, in place of another. Raises ProjectGone."""

    def check(self, project_id: int, classes: Sequence[str]) -> None:
        """Raises LabelConfigMismatch, ProjectGone, TokenRefused or LabelStudioDown."""

    def count(self, project_id: int) -> int:
        """How many tasks the project holds, those that somebody else put there among them."""

    def find(self, project_id: int, keys: Sequence[str]) -> dict[str, list[int]]:
        """Task ids by key; a key without a task is absent."""

    def push(self, project_id: int, tasks: Sequence[LabelTask]) -> dict[str, int]:
        """Creates one task each, whether or not they exist already; look with `find` before. Task
        ids by key.
        """

    def answers(self, project_id: int, since: datetime | None) -> Iterable[TaskAnswers]:
        """Tasks that were made, answered or changed at or after `since` (all when None), answers
        deleted included.
        """

    def prioritize(self, project_id: int, priorities: Mapping[int, float]) -> None:
        """Gives tasks, by their ids, other priorities; those that are gone are left out."""

    def say_of_tasks(self, project_id: int, name: str, texts: Mapping[int, str]) -> int:
        """What tasks, by their ids, say under this name; those that are gone are left out. How many said
        something else before.
        """

    def keep_tabs(self, project_id: int, name: str, titles: Mapping[str, str]) -> int:
        """A tab for each of these marks, of the tasks that say the mark under this name; tabs of other
        marks are taken away. How many were made, named otherwise or taken away.
        """

    def remove(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Deletes those of these tasks that nobody has answered or begun; the others stay."""


class Trainer(Protocol):
    """Fine-tunes a detector in a process of its own."""

    def train(self, spec: TrainSpec, progress: Progress, cancelled: Callable[[], bool]) -> TrainResult:
        """Blocks until done. Raises TrainingFailed, or TrainingCancelled when `cancelled()` turned
        true.
        """


class VectorIndex(Protocol):
    """Nearest-neighbor search over unit vectors; a rebuildable view, never the truth."""

    def add(self, ids: NDArray[np.int64], vectors: Array) -> None: ...
    def remove(self, ids: NDArray[np.int64]) -> int: ...
    def search(self, queries: Array, k: int) -> tuple[Array, NDArray[np.int64]]:
        """Cosine similarities (Q, k) float32 and ids (Q, k) int64, best first; missing neighbors
        are id -1.
        """

    def __len__(self) -> int: ...
