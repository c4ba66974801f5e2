"""Recording fakes of everything outside: no torch, no server, and images whose pixels decide what
is seen in them.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image as Pil

from connectors.errors import (
    LabelConfigMismatch,
    LabelStudioDown,
    ModelError,
    ProjectGone,
    TrainingCancelled,
    TrainingFailed,
)
from connectors.ports import (
    Annotation,
    Array,
    Box,
    Detections,
    Detector,
    Embedder,
    Image,
    LabelBackend,
    LabelProject,
    LabelTask,
    Progress,
    TaskAnswers,
    Trainer,
    TrainResult,
    TrainSpec,
)
from db.engine import write
from db.facts import set_fact
from db.models import add_model
from loop.project import init as creating
from loop.project.init import Ask, CreateReport, NewProject, create_project, unasked
from loop.project.project import Project, open_project
from loop.project.training_metadata import NOTHING_SAID, TrainingMetadata
from loop.project.wiring import Parts, deployed_weights

CLASSES = ("person", "helmet")
SIZE = (32, 24)
BRIGHT, DARK = 190, 40
GRID = 4
PATTERN = "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg"
MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
COLORS = ((230, 20, 20), (20, 230, 20))
Hook = Callable[[str], None]
SECRET = "0" * 32
"""So that every project of the tests keeps the same camera-days for evaluation."""


def quiet(done: int, total: int, what: str) -> None:
    """A Progress that says nothing."""


def no_hook(what: str) -> None:
    """Nothing happens around an outside effect."""


def picture(
    light: int = BRIGHT, seed: int = 0, boxes: Sequence[tuple[int, int, int, int, int]] = ()
) -> bytes:
    """A JPEG of SIZE: gray of that light, grain of that seed, a red (class 0) or green (class 1)
    rectangle per box.
    """
    rng = np.random.default_rng(seed)
    pixels = np.full((SIZE[1], SIZE[0], 3), light, np.int64)
    pixels += rng.integers(-12, 13, (GRID, GRID, 1)).repeat(SIZE[1] // GRID, 0).repeat(SIZE[0] // GRID, 1)
    for class_id, x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = np.array(COLORS[class_id]) * (light / 255)
    file = io.BytesIO()
    Pil.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def box_of(seed: int) -> tuple[int, int, int, int]:
    """Where the object of frame `seed` lies: xyxy px on the grid of JPEG blocks."""
    return (8 * (seed % 3), 8 * (seed % 2), 8 * (seed % 3) + 8, 8 * (seed % 2) + 8)


class FakeEmbedder:
    """Vectors are the light of a 4x4 grid; texts of night are those of a dark image. Counts images."""

    def __init__(self, name: str = "fake-clip") -> None:
        self.name, self.dim, self.seen = name, GRID * GRID + 1, 0
        self.fails: Exception | None = None
        self.logit_scale = 100.0
        self.blind_below = 0.0

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        """Images darker than `blind_below`."""
        light = 115 + 100 * vectors[:, :-1].mean(axis=1) / vectors[:, -1]
        return np.asarray(light < self.blind_below)

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for prompt in prompts for word in prompt.split() if word == "xyzzy"))

    def embed(self, images: Sequence[Image]) -> Array:
        if self.fails:
            raise self.fails
        self.seen += len(images)
        rows = np.array([self._row(image) for image in images], np.float32).reshape(-1, self.dim)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_text(self, prompts: Sequence[str]) -> Array:
        lights = [DARK if "night" in prompt or "dark" in prompt else BRIGHT for prompt in prompts]
        rows = np.array([[(light - 115) / 100] * GRID * GRID + [1.0] for light in lights], np.float32)
        rows[:, :-1] += [np.array(_bytes(prompt)) / 2550 for prompt in prompts]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _row(self, image: Image) -> list[float]:
        height, width = image.shape[0] // GRID, image.shape[1] // GRID
        cut = image[: GRID * height, : GRID * width].reshape(GRID, height, GRID, width, 3).mean((1, 3, 4))
        return [*((cut.ravel() - 115) / 100), 1.0]


class FakeDetector:
    """Sees the colored rectangle of `picture`; not in images darker than `blind_below`, nor at the
    left border of the classes in `misses`, nor anywhere of those in `blind_to`.
    """

    def __init__(
        self,
        name: str = "fake-yolo",
        classes: Sequence[str] = CLASSES,
        blind_below: float = 0,
        misses: Sequence[str] = (),
        blind_to: Sequence[str] = (),
    ) -> None:
        self.name, self.classes, self.seen = name, tuple(classes), 0
        self.blind_below, self.misses, self.blind_to = blind_below, set(misses), set(blind_to)
        self.fails: Exception | None = None

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        if self.fails:
            raise self.fails
        self.seen += len(images)
        return [self._one(image.astype(np.int64)) for image in images]

    def _one(self, image: Any) -> Detections:
        rows: list[tuple[int, tuple[int, int, int, int]]] = []
        if image.mean() >= self.blind_below:
            for class_id, other in ((0, 1), (1, 0)):
                colored = image[..., class_id] > 2 * image[..., other] + 10
                ys, xs = np.nonzero(colored)
                missed = self.classes[class_id] in self.misses and len(xs) and xs.min() < 4
                if len(xs) > 20 and not missed and self.classes[class_id] not in self.blind_to:
                    rows.append((class_id, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))
        scores = np.full((len(rows), len(self.classes)), 0.05, np.float32)
        scores[np.arange(len(rows)), [class_id for class_id, _ in rows]] = 0.9
        return Detections(
            np.array([xyxy for _, xyxy in rows], np.float32).reshape(-1, 4),
            scores.max(axis=1, initial=0.0),
            np.array([class_id for class_id, _ in rows], np.int64),
            scores,
            5.0,
        )


def weights(
    blind_below: float = 0, misses: Sequence[str] = (), note: str = "", blind_to: Sequence[str] = ()
) -> bytes:
    """A checkpoint of FakeDetector; note changes its hash alone."""
    tree = {"classes": CLASSES, "blind_below": blind_below, "misses": list(misses), "note": note}
    return json.dumps(tree | ({"blind_to": list(blind_to)} if blind_to else {})).encode()


def detector_from(path: Path) -> FakeDetector:
    """Raises ModelError where the file is no checkpoint of `weights`."""
    try:
        tree = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"expected fake weights in {path}, got {error}") from error
    name = f"fake:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return FakeDetector(name, tree["classes"], tree["blind_below"], tree["misses"], tree.get("blind_to", ()))


def add_checkpoint(project: Project, data: bytes) -> int:
    """The id of a candidate with these weights."""
    sha256 = hashlib.sha256(data).hexdigest()
    (project.models / f"{sha256}.pt").write_bytes(data)
    with write(project.engine) as session:
        return add_model(session, sha256, f"models/{sha256}.pt", project.classes)


class FakeTrainer:
    """Answers with the given checkpoint after its epochs; goes on from the last whole one. Keeps
    the specs it got.
    """

    def __init__(self, candidate: bytes, during: Callable[[int], None] = lambda epoch: None) -> None:
        self.candidate, self.trained, self._during = candidate, 0, during
        self.specs: list[TrainSpec] = []

    def train(self, spec: TrainSpec, progress: Progress, cancelled: Callable[[], bool]) -> TrainResult:
        self.specs.append(spec)
        if not spec.dataset.is_file():
            raise TrainingFailed(f"{spec.dataset}: expected a dataset, got no file; freeze it again")
        spec.run_dir.mkdir(parents=True, exist_ok=True)
        last = spec.run_dir / "last"
        start = int(last.read_text()) if last.is_file() and spec.resume else 0
        for epoch in range(start + 1, spec.epochs + 1):
            if cancelled():
                raise TrainingCancelled(f"training was cancelled after epoch {epoch - 1}")
            self._during(epoch)
            self.trained += 1
            last.write_text(str(epoch))
            progress(epoch, spec.epochs, "epochs")
        target = spec.run_dir / "candidate.pt"
        target.write_bytes(self.candidate)
        ran = {"optimizer": "AdamW", "batch": spec.batch, "classes": list(CLASSES)} | spec.overrides
        sha256 = hashlib.sha256(self.candidate).hexdigest()
        return TrainResult(target, sha256, spec.epochs, 0.1, kept=spec.epochs, settings=ran)


@dataclass
class StudioTask:
    """One task as the server holds it."""

    id: int
    project: int
    task: LabelTask
    updated_at: datetime = MONDAY
    answers: list[Annotation] = field(default_factory=list)


@dataclass
class StudioServer:
    """A Label Studio in memory, which outlives the processes that talk to it.

    late: what arrives stands there only after `arrive`, and whoever sent it hears nothing. down:
    nobody is answered.
    """

    projects: dict[int, LabelProject] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    told: dict[int, str] = field(default_factory=dict)
    tabs: dict[int, dict[str, str]] = field(default_factory=dict)
    tasks: list[StudioTask] = field(default_factory=list)
    under_way: list[StudioTask] = field(default_factory=list)
    calls: list[tuple[str, int]] = field(default_factory=list)
    late: bool = False
    down: bool = False
    now: datetime = MONDAY
    numbers: int = 0

    def next(self) -> int:
        self.numbers += 1
        return self.numbers

    def arrive(self) -> None:
        """What was under way is committed."""
        self.tasks += self.under_way
        self.under_way.clear()

    def task_keys(self, project: int | None = None) -> list[str]:
        return sorted(task.task.key for task in self.tasks if project in (None, task.project))

    def of(self, key: str) -> StudioTask:
        """The oldest task of that key."""
        return min((task for task in self.tasks if task.task.key == key), key=lambda task: task.id)

    def delete_task(self, key: str) -> None:
        self.tasks = [task for task in self.tasks if task.task.key != key]

    def delete_project(self, project: int) -> None:
        del self.projects[project]
        self.tasks = [task for task in self.tasks if task.project != project]

    def accept(self, key: str) -> Annotation:
        """Submitted as it was shown."""
        return self.answer(key, self.of(key).task.predictions)

    def answer(
        self,
        key: str,
        boxes: Sequence[Box] = (),
        *,
        cancelled: bool = False,
        task: StudioTask | None = None,
        again: Annotation | None = None,
        at: datetime | None = None,
        author: str = "ann@example.org",
        ground_truth: bool = False,
        unseen: bool = False,
    ) -> Annotation:
        """A new answer, or another state of the answer `again`."""
        self.now += timedelta(seconds=1)
        found = task or self.of(key)
        made = Annotation(
            external_id=again.external_id if again else self.next(),
            external_task_id=found.id,
            key=key,
            author=author,
            created_at=again.created_at if again else at or self.now,
            updated_at=at or self.now,
            cancelled=cancelled,
            boxes=tuple(boxes),
            lead_time_s=None if unseen else 3.0,
            ground_truth=ground_truth,
            unseen=unseen,
            result=[{"class": box.class_name, "xyxy": list(box.xyxy)} for box in boxes],
        )
        found.answers = [old for old in found.answers if old.external_id != made.external_id] + [made]
        found.updated_at = self.now
        return made

    def delete_answer(self, answer: Annotation) -> None:
        self.now += timedelta(seconds=1)
        for task in self.tasks:
            if answer.external_id in [given.external_id for given in task.answers]:
                task.answers = [given for given in task.answers if given.external_id != answer.external_id]
                task.updated_at = self.now

    def backup(self) -> list[StudioTask]:
        """All tasks with their answers, as an export holds them."""
        return copy.deepcopy(self.tasks)

    def import_backup(self, tasks: Sequence[StudioTask], by: str = "boss@example.org") -> None:
        """Makes each anew: tasks and answers get numbers, times and the author of the import."""
        self.now += timedelta(seconds=1)
        for task in tasks:
            number = self.next()
            given = [
                replace(
                    one,
                    external_id=self.next(),
                    external_task_id=number,
                    author=by,
                    created_at=self.now,
                    updated_at=self.now,
                    unseen=one.lead_time_s is None,
                    imported=True,
                )
                for one in task.answers
            ]
            self.tasks.append(StudioTask(number, task.project, task.task, self.now, given))


class FakeLabelStudio:
    """LabelBackend over a StudioServer; `hook` hears "before X" and "after X" of every effect X."""

    def __init__(self, server: StudioServer, hook: Hook = no_hook) -> None:
        self.server, self._hook = server, hook

    def ensure_project(
        self,
        title: str,
        classes: Sequence[str],
        instructions: str,
        project_id: int | None,
        mark: str = "",
    ) -> LabelProject:
        self._call("ensure_project", project_id or 0)
        if project_id is None:
            self._hook("before project")
            project_id = self._abandoned(title, classes, mark) or self._create(title, classes, mark)
            self._hook("after project")
        self.check(project_id, classes)
        self.server.told[project_id] = instructions
        return self.server.projects[project_id]

    @property
    def url(self) -> str:
        return "http://studio"

    @property
    def clock(self) -> datetime:
        return self.server.now

    def mark_of(self, project_id: int) -> str:
        self._call("mark_of", project_id)
        self._project(project_id)
        return self.server.marks.get(project_id, "")

    def set_mark(self, project_id: int, mark: str) -> None:
        self._call("set_mark", project_id)
        self._project(project_id)
        self.server.marks[project_id] = mark

    def check(self, project_id: int, classes: Sequence[str]) -> None:
        self._call("check", project_id)
        if lacking := set(classes) - set(self._project(project_id).classes):
            raise LabelConfigMismatch(
                f"expected the classes {list(classes)}, the config lacks {sorted(lacking)}"
            )

    def count(self, project_id: int) -> int:
        self._call("count", project_id)
        self._project(project_id)
        return sum(task.project == project_id for task in self.server.tasks)

    def find(self, project_id: int, keys: Sequence[str]) -> dict[str, list[int]]:
        self._call("find", len(keys))
        self._project(project_id)
        found: dict[str, list[int]] = {}
        for task in self.server.tasks:
            if task.project == project_id and task.task.key in keys:
                found.setdefault(task.task.key, []).append(task.id)
        return found

    def push(self, project_id: int, tasks: Sequence[LabelTask]) -> dict[str, int]:
        self._call("push", len(tasks))
        self._project(project_id)
        self._hook("before import")
        made = [StudioTask(self.server.next(), project_id, task, self.server.now) for task in tasks]
        self.server.under_way += made
        if self.server.late:
            self._hook("import under way")
            raise LabelStudioDown("expected an answer, got none within the time allowed; it may have arrived")
        self.server.arrive()
        self._hook("after import")
        return {task.task.key: task.id for task in made}

    def answers(self, project_id: int, since: datetime | None) -> Iterable[TaskAnswers]:
        self._call("answers", project_id)
        ours = self._project(project_id).classes
        for task in [task for task in self.server.tasks if task.project == project_id]:
            if since is None or task.updated_at >= since:
                given = [_translated(answer, ours) for answer in task.answers]
                yield TaskAnswers(task.id, task.task.key, task.updated_at, given)

    def prioritize(self, project_id: int, priorities: Mapping[int, float]) -> None:
        self._call("prioritize", len(priorities))
        self._project(project_id)
        self._hook("before prioritize")
        for task in self.server.tasks:
            if task.project == project_id and task.id in priorities:
                task.task = replace(task.task, priority=priorities[task.id])
        self._hook("after prioritize")

    def say_of_tasks(self, project_id: int, name: str, texts: Mapping[int, str]) -> int:
        self._call("say_of_tasks", len(texts))
        self._project(project_id)
        changed = [
            task
            for task in self.server.tasks
            if task.id in texts and task.task.meta.get(name) != texts[task.id]
        ]
        for task in changed:
            task.task = replace(task.task, meta=task.task.meta | {name: texts[task.id]})
        return len(changed)

    def keep_tabs(self, project_id: int, name: str, titles: Mapping[str, str]) -> int:
        self._call("keep_tabs", len(titles))
        self._project(project_id)
        before = self.server.tabs.get(project_id, {})
        self.server.tabs[project_id] = dict(titles)
        return len({mark for mark in {**before, **titles} if before.get(mark) != titles.get(mark)})

    def remove(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._call("remove", len(task_ids))
        self._project(project_id)
        self._hook("before remove")
        gone = {task.id for task in self.server.tasks if task.id in task_ids and not task.answers}
        self.server.tasks = [task for task in self.server.tasks if task.id not in gone]
        self._hook("after remove")

    def _call(self, what: str, number: int) -> None:
        if self.server.down:
            raise LabelStudioDown("expected an answer, got none; start Label Studio, the work waits")
        self.server.calls.append((what, number))

    def _project(self, project_id: int) -> LabelProject:
        if project_id not in self.server.projects:
            raise ProjectGone(f"expected project {project_id}, it is gone; push with --new-project")
        return self.server.projects[project_id]

    def _abandoned(self, title: str, classes: Sequence[str], mark: str) -> int | None:
        used = {task.project for task in self.server.tasks + self.server.under_way}
        same = [
            number
            for number, project in self.server.projects.items()
            if (self.server.titles[number], self.server.marks.get(number, "")) == (title, mark)
            and project.classes == tuple(classes)
            and number not in used
        ]
        return min(same, default=None)

    def _create(self, title: str, classes: Sequence[str], mark: str) -> int:
        number = self.server.next()
        self.server.projects[number] = LabelProject(
            number, f"http://studio/projects/{number}", tuple(classes)
        )
        self.server.titles[number] = title
        self.server.marks[number] = mark
        return number


class FakeParts(Parts):
    """Parts of a project that are fakes; `dead` names the models that cannot be loaded."""

    def __init__(
        self,
        project: Project,
        server: StudioServer | None = None,
        trainer: FakeTrainer | None = None,
        hook: Hook = no_hook,
    ) -> None:
        super().__init__(project)
        self.server = server or StudioServer()
        self.clip = FakeEmbedder()
        self.fake_trainer = trainer or FakeTrainer(weights(note="trained"))
        self.detectors: dict[Path, FakeDetector] = {}
        self.dead: set[str] = set()
        self._studio = FakeLabelStudio(self.server, hook)

    def embedder(self) -> Embedder:
        if "embedder" in self.dead:
            raise ModelError("expected CLIP weights, got none")
        return self.clip

    def detector(self) -> Detector:
        if "detector" in self.dead:
            raise ModelError("expected a detector, got a damaged file")
        return self.detector_of(deployed_weights(self.project)[1])

    def detector_of(self, weights: Path) -> FakeDetector:
        return self.detectors.setdefault(weights, detector_from(weights))

    def judge_of(self, weights: Path, imgsz: int) -> FakeDetector:
        return self.detector_of(weights)

    def trainer(self) -> Trainer:
        return self.fake_trainer

    def label_backend(self) -> LabelBackend:
        return self._studio


def write_dataset(folder: Path, train: int = 24, val: int = 8, classes: Sequence[str] = CLASSES) -> Path:
    """A YOLO dataset of bright pictures, one object each, helmet in every fourth; its data.yaml."""
    for split, count, first in (("train", train, 1000), ("val", val, 2000)):
        for number in range(first, first + count):
            class_id, (x1, y1, x2, y2) = int(number % 4 == 3), box_of(number)
            image = folder / "images" / split / f"{number}.jpg"
            label = folder / "labels" / split / f"{number}.txt"
            for path in (image, label):
                path.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(picture(BRIGHT, number, [(class_id, x1, y1, x2, y2)]))
            values = ((x1 + x2) / 64, (y1 + y2) / 48, (x2 - x1) / 32, (y2 - y1) / 24)
            label.write_text(f"{class_id} " + " ".join(f"{value:.6f}" for value in values) + "\n")
    splits = {split: f"images/{split}" for split, count in (("train", train), ("val", val)) if count}
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump({"path": str(folder), **splits, "names": list(classes)}))
    return data


def write_frames(
    folder: Path,
    bright: int = 36,
    dark: int = 6,
    cameras: int = 2,
    days: int = 4,
    first: int = 0,
    class_of: Callable[[int], int] = lambda number: 0,
) -> list[Path]:
    """Production in bursts of three frames; the dark ones, which come last, are the planted gap.
    Paths in order.
    """
    made = []
    for number in range(first, first + bright + dark):
        light = DARK if number - first >= bright else BRIGHT
        burst = number // 3
        when = MONDAY + timedelta(days=burst // cameras % days, minutes=burst, seconds=number % 3)
        path = folder / f"cam{burst % cameras}" / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(light, number, [(class_of(number), *box_of(number))]))
        made.append(path)
    return sorted(made)


def make_project(
    root: Path,
    frames: Path | None = None,
    overrides: Sequence[str] = (),
    training: TrainingMetadata = NOTHING_SAID,
    **dataset: int,
) -> Project:
    """A project with an imported dataset and deployed fake weights that are blind in the dark."""
    frames = frames or root.parent / "incoming"
    frames.mkdir(parents=True, exist_ok=True)
    data = root.parent / "dataset" / "data.yaml"
    if not data.is_file():
        write_dataset(data.parent, **dataset)
    checkpoint = root.parent / "best.pt"
    if not checkpoint.is_file():
        checkpoint.write_bytes(weights(blind_below=100))
    settings = (
        f"frames.pattern={json.dumps(PATTERN)}",
        "frames.settle_s=0",
        "gaps.prompts=false",
        "labels.second_share=0",
        *overrides,
    )
    create(NewProject(root, data, checkpoint, str(frames), "", "small", settings, training))
    project = open_project(root)
    with write(project.engine) as session:
        set_fact(session, "evaluation_secret", SECRET)
    return project


def copy_linked(source: Path, target: Path) -> None:
    """Copies a folder; pictures are linked, which is a third of the work: nothing writes into one
    that is known.
    """

    def copy(file: str, to: str) -> None:
        (os.link if file.endswith(".jpg") else shutil.copy2)(file, to)

    shutil.copytree(source, target, copy_function=copy, dirs_exist_ok=True)


def create(plan: NewProject, ask: Ask = unasked) -> CreateReport:
    """`create_project` without torch."""
    with (
        patch("loop.project.init.read_classes", lambda path: detector_from(path).classes),
        patch("loop.project.init.build_embedder", lambda root, chosen: FakeEmbedder()),
        patch("loop.project.init.try_weights", lambda weights, overrides: detector_from(weights)),
    ):
        return create_project(plan, quiet, ask)


@contextmanager
def stopped_import(images: int) -> Iterator[None]:
    """Whoever imports is interrupted once so many images are recorded."""
    recorded, calls = creating._record_chunk, iter((False, True))

    def stopping(*values: Any) -> None:
        if next(calls):
            raise KeyboardInterrupt
        recorded(*values)

    with patch.object(creating, "CHUNK", images), patch.object(creating, "_record_chunk", stopping):
        yield


def _translated(answer: Annotation, classes: Sequence[str]) -> Annotation:
    known = [box for box in answer.boxes if box.class_name in CLASSES and box.class_name in classes]
    unknown = sorted({box.class_name for box in answer.boxes} - set(CLASSES))
    values = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    return Annotation(**values | {"boxes": tuple(known), "unknown_classes": tuple(unknown)})


def _bytes(text: str) -> list[int]:
    return list(hashlib.sha256(text.encode()).digest()[: GRID * GRID])
