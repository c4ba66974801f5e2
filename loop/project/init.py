"""`fieldloop init`: from a training set and the deployed weights to a project.

Everything that can be wrong is looked at before anything is written; a stopped import goes on when
the command is run again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine

import config
from connectors.documents import parse_yaml
from connectors.errors import ImageRejected, WeightsUnavailable
from connectors.files import sha256_of_file, write_atomically
from connectors.images import content_hash, decode, inspect, stretched
from connectors.ports import Box, Capture, Progress, Purpose
from connectors.yolo.detector import read_classes
from connectors.yolo.start import start_detector
from connectors.yolo.trial import try_weights
from db.engine import read, write
from db.facts import claim_fact, get_fact
from db.frames import UNKNOWN, NewFrame, add_frame, frames, group_id, known_hashes
from db.labels import labels, set_label
from db.models import add_model, deploy, deployed
from db.states import ModelStatus, Origin, Role
from loop.base.errors import ConfigError, ProjectError
from loop.base.files import BATCH_BYTES, chunked_by_size, store_image
from loop.base.wording import counted, either, listed
from loop.datasets.imported import ImportedDataset, ImportedImage, Problem
from loop.datasets.importers import read_dataset
from loop.datasets.usable import check_trains, check_usable, each_once, problem_lines
from loop.datasets.zipped import unpacked
from loop.project.class_list import check_classes, mapped, shown_classes, starting_classes
from loop.project.guideline import ensure_guideline
from loop.project.project import CONFIG_NAME, Project, open_project
from loop.project.training_metadata import NOTHING_SAID, TrainingMetadata, claimed_metadata
from loop.project.training_settings import check_training, overrides_of
from loop.project.weights import sync_deployed
from loop.project.wiring import build_embedder, imported_captures
from loop.project.zones import NOT_CHOSEN, note_zones
from loop.settings.messages import unknown_key
from loop.settings.settings import FREE_FORM, Settings, default_values, load_settings

CHUNK = 64
PASSED_THROUGH = 0o011
few = partial(listed, most=12)
ZONELESS = (
    "times of {images} have no zone and were read as UTC; if it was another, set frames.timezone before"
    " frames with a zone come in"
)
TOLD_LATER = (
    "what was not understood of where and when they were taken can be mended and told now:"
    " `fieldloop metadata import FILE`"
)
NOTHING_HELD_OUT = "no image is held out: the training set names neither val nor test"


@dataclass(frozen=True)
class NewProject:
    """What `init` is told.

    clip: "" for the default, architecture[:tag], hub name, folder or "small".
    overrides: key=value.
    training: of the images of the dataset.
    mapped: "class of the dataset=class of the weights".
    start: a detector for the classes of the dataset is begun from the weights, which may be any.
    images: the folder of the images of a dataset whose file does not say it.
    accept_problems: go on without labels that cannot be used, however many.
    """

    root: Path
    dataset: Path
    weights: Path
    frames: str = ""
    label_studio: str = ""
    clip: str = ""
    overrides: tuple[str, ...] = ()
    training: TrainingMetadata = NOTHING_SAID
    mapped: tuple[str, ...] = ()
    start: bool = False
    images: Path | None = None
    accept_problems: bool = False


Ask = Callable[[str], bool]
"""Whether a person agrees to what is said. Where nobody is there to be asked, it goes on."""


def unasked(said: str) -> bool:
    """Nobody is there."""
    del said
    return True


@dataclass(frozen=True)
class CreateReport:
    """images, boxes: what the project now holds of the training set; images by split.
    problems: what was left out, mended or noticed.
    with_camera, with_time: images of which it is known.
    time: about when the others were taken, UTC, where that was said.
    unseen: classes of the weights of which the training images show no object.
    started: what is said of a detector that was begun for this dataset.
    empty: images that show no object.
    zoneless: images whose time has no zone and was read as UTC, for nobody chose another.
    """

    root: Path
    images: dict[str, int]
    boxes: int
    classes: tuple[str, ...]
    problems: list[Problem]
    with_camera: int
    with_time: int
    time: datetime | None = None
    unseen: tuple[str, ...] = ()
    started: str = ""
    zoneless: int = 0
    empty: int = 0

    def lines(self) -> list[str]:
        """The report for people."""
        counts = ", ".join(f"{count} {split}" for split, count in sorted(self.images.items()))
        return [
            (
                f"imported {counts} {either(sum(self.images.values()), 'image', 'images')} with"
                f" {counted(self.boxes, 'box', 'boxes')} of"
                f" {counted(len(self.classes) - len(self.unseen), 'class', 'classes')}"
            ),
            *([f"{self.empty} of these images show no object"] if self.empty else []),
            *(
                [
                    f"the weights also know {few(self.unseen)}, which the training images do not show: a"
                    " round forgets what it never sees"
                ]
                if self.unseen
                else []
            ),
            *([self.started] if self.started else []),
            self._known_line(),
            *([TOLD_LATER] if any(one.code == "metadata" for one in self.problems) else []),
            *([] if self.images.keys() - {"train"} else [NOTHING_HELD_OUT]),
            *([ZONELESS.format(images=counted(self.zoneless, "image"))] if self.zoneless else []),
            *problem_lines(self.problems),
            f"the project is in {self.root}; its settings are in {self.root / CONFIG_NAME}",
            f"next: fieldloop ingest --project {shlex.quote(str(self.root))}, then analyze and gaps",
        ]

    def _known_line(self) -> str:
        images = sum(self.images.values())
        known = f"camera known of {self.with_camera} of {counted(images, 'image')}, time of {self.with_time}"
        if self.time and self.with_time < images:
            return f"{known}; the others count as taken at the time of day of {self.time.isoformat()}"
        return known


def create_project(plan: NewProject, progress: Progress, ask: Ask = unasked) -> CreateReport:
    """Makes the project. Raises ProjectError, ConfigError, DatasetError, ModelError,
    WeightsUnavailable.
    """
    with unpacked(plan.dataset) as folder:
        dataset = mapped(read_dataset(folder, images=plan.images), plan.mapped)
        text = project_yaml(_chosen(plan))
        settings = _checked_settings(text, plan.root)
        check_training(settings.round.model_dump())
        if not plan.start:
            check_classes(dataset, read_classes(plan.weights))
        if not (plan.root / CONFIG_NAME).is_file():
            check_usable(dataset, plan.dataset, plan.accept_problems)
        with TemporaryDirectory() as scratch:
            begun = _begun(plan, dataset, settings.seed, Path(scratch)) if plan.start else plan
            report = _create(begun, folder, dataset, text, settings, progress, ask)
    return replace(report, started=_said_of_start(plan, report.classes)) if plan.start else report


def _begun(plan: NewProject, dataset: ImportedDataset, seed: int, folder: Path) -> NewProject:
    """The plan with a detector that has the classes of the dataset, in `folder`."""
    weights = folder / "started.pt"
    weights.write_bytes(start_detector(plan.weights, starting_classes(dataset), seed))
    return replace(plan, weights=weights)


def _said_of_start(plan: NewProject, classes: Sequence[str]) -> str:
    known = {name.casefold() for name in read_classes(plan.weights)}
    anew = [name for name in classes if name.casefold() not in known]
    said = f"a detector for {few(classes)} was started from {plan.weights.name}"
    if not anew:
        return f"{said}, which knows them all by name; nobody has trained it on this dataset yet"
    guess = "what it says of that is a guess until a round has trained it"
    return f"{said}; {few(anew)} it has not learned: {guess}"


def _create(
    plan: NewProject,
    folder: Path,
    dataset: ImportedDataset,
    text: str,
    settings: Settings,
    progress: Progress,
    ask: Ask,
) -> CreateReport:
    """folder: where the dataset lies, unpacked."""

    def shown(path: Path) -> Path:
        """The path as people know it: in the zip, where it was unpacked."""
        inside = folder != plan.dataset and path.is_relative_to(folder)
        return plan.dataset / path.relative_to(folder) if inside else path

    classes = read_classes(plan.weights)
    check_classes(dataset, classes)
    labeled, twice = each_once([image for image in dataset.images if image.boxes is not None])
    check_trains(labeled, [*dataset.problems, *twice], plan.dataset)
    of_training = shown_classes(replace(dataset, images=labeled))
    unseen = () if plan.start else tuple(name for name in classes if name not in of_training)
    _agree_to_forget(unseen, ask)
    said = plan.training.in_utc(settings.frames.timezone)
    known = imported_captures(
        folder, [image.path for image in labeled], said, settings.frames.timezone, settings.frames.columns
    )
    _try_embedder(plan.root, settings)
    progress(0, 0, "the weights are tried")
    try_weights(plan.weights, overrides_of(settings.round.model_dump()))
    _write_config(plan.root, text, private=bool(settings.database_url))
    ensure_guideline(plan.root, classes)
    project = open_project(plan.root, new=True)
    _claim(project, plan.weights, dataset, classes, said)
    _deploy(project, plan.weights, classes)
    captures = {path: replace(one, key=str(shown(path))) for path, one in known.by_path.items()}
    damaged = _import_images(project, labeled, captures, dataset.classes, progress)
    timezone = settings.frames.timezone
    with write(project.engine) as session:
        note_zones(session, Origin.IMPORTED, captures.values(), timezone)
    unused = [Problem(path, 0, "metadata", why) for path, why in known.unused]
    problems = [replace(one, path=shown(one.path)) for one in (*dataset.problems, *twice, *damaged, *unused)]
    zoneless = sum(one.zone_assumed for one in captures.values()) if timezone == NOT_CHOSEN else 0
    report = replace(_report(project, classes, problems, said.time, unseen), zoneless=zoneless)
    project.engine.dispose()
    return report


def _report(
    project: Project,
    classes: tuple[str, ...],
    problems: list[Problem],
    time: datetime | None,
    unseen: tuple[str, ...],
) -> CreateReport:
    """Counts are of what is stored."""
    with read(project.engine) as session:
        stored = frames(session, origin=Origin.IMPORTED)
        known = labels(session, (frame.seq for frame in stored))
    return CreateReport(
        project.root,
        dict(sorted(Counter(str(frame.split) for frame in stored).items())),
        sum(len(label.boxes) for label in known.values()),
        classes,
        problems,
        sum(frame.camera != UNKNOWN for frame in stored),
        sum(frame.captured_at is not None for frame in stored),
        time,
        unseen,
        empty=sum(not label.boxes for label in known.values()),
    )


def _agree_to_forget(unseen: Sequence[str], ask: Ask) -> None:
    """Nothing is promoted by itself while nothing held out shows a class, so it may go on unasked.
    Raises ProjectError where a person does not agree.
    """
    if unseen and not ask(
        f"the weights know {few(unseen)}, of which the training images show no object: the first round will"
        " forget them"
    ):
        raise ProjectError(
            f"expected agreement that {few(unseen)} will be forgotten, got none, and nothing was made; add"
            " training images of them, name them as the weights do with --map, or give the weights to"
            " --start in place of --weights: that begins a detector for the classes of the dataset alone"
        )


def project_yaml(chosen: Mapping[str, Any]) -> str:
    """config/default.yaml with its comments, and these values (dotted keys) in it."""
    lines = (config.FOLDER / "default.yaml").read_text(encoding="utf-8").splitlines()
    result: list[str] = []
    section = ""
    for line in lines:
        key = line.split(":", 1)[0].strip()
        if line and not line.startswith((" ", "#")):
            section = key
        dotted = f"{section}.{key}" if line.startswith(" ") else key
        result.append(_with_value(line, chosen[dotted]) if dotted in chosen else line)
    head = (
        "# This project's settings; delete what you do not change, the defaults are the same. Checked at"
        " every start.\n"
    )
    return head + "\n".join(result[3:]) + "\n"


def _with_value(line: str, value: Any) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    key, rest = line.strip().split(":", 1)
    comment = rest[rest.index("#") :] if "#" in rest else ""
    return f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}   {comment}".rstrip()


def _try_embedder(root: Path, settings: Settings) -> None:
    try:
        build_embedder(root, settings.embedder)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(f"{error}; here: --clip DIR or --clip small") from error


def _chosen(plan: NewProject) -> dict[str, Any]:
    chosen: dict[str, Any] = {"name": _title(plan.root.resolve().name)}
    if plan.frames:
        chosen["frames.path"] = str(Path(plan.frames).expanduser().resolve())
    if plan.label_studio:
        chosen["label_studio.url"] = plan.label_studio
    if plan.clip:
        chosen |= _clip(plan.clip)
    return chosen | dict(_override(text) for text in plan.overrides)


def _title(folder: str) -> str:
    """Label Studio wants 3 to 50 characters."""
    return (folder if len(folder) >= 3 else f"fieldloop {folder}".strip())[:50]


def _clip(clip: str) -> dict[str, str]:
    if clip == "small" or clip.startswith(("hf-hub:", "local-dir:")):
        return {"embedder.model": clip, "embedder.pretrained": ""}
    folder = Path(clip).expanduser()
    if folder.is_dir():
        return {"embedder.model": str(folder.resolve()), "embedder.pretrained": ""}
    model, _, tag = clip.partition(":")
    return {"embedder.model": model, "embedder.pretrained": tag}


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set: expected key=value, got {text!r}; for example --set select.budget=50")
    key, defaults = key.strip(), default_values()
    if key not in defaults:
        raise ConfigError(f"--set: {unknown_key(key, defaults)}")
    if isinstance(defaults[key], dict) and key not in FREE_FORM:
        raise ConfigError(f"--set: expected one setting, got the section {key!r}; set {key}.<name>=value")
    wants_text = isinstance(defaults[key], str)
    try:
        given = parse_yaml(value)
    except ValueError as error:
        if wants_text:
            return key, value.strip()
        raise ConfigError(f"--set {key}: expected a YAML value, got {value!r}; quote it") from error
    return key, value.strip() if wants_text and not isinstance(given, str) else given


def _checked_settings(text: str, root: Path) -> Settings:
    """Raises ConfigError as the written file would."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG_NAME
        path.write_text(text, encoding="utf-8")
        return load_settings(path, root)


def _write_config(root: Path, text: str, private: bool) -> None:
    """private: a database's address may hold its password.

    A folder that is new can be passed through by all, whatever the umask: other programs read the
    deployed weights in it.
    """
    ours = not root.exists()
    target = root / CONFIG_NAME
    if target.is_file() and target.read_text(encoding="utf-8") != text:
        raise ProjectError(
            f"expected no project in {root}, or the same one half made; found a {CONFIG_NAME} with other"
            " settings; edit that file or choose another folder"
        )
    write_atomically(target, text, private=private)
    if ours:
        root.chmod(stat.S_IMODE(root.stat().st_mode) | PASSED_THROUGH)


def _claim(
    project: Project,
    weights: Path,
    dataset: ImportedDataset,
    classes: Sequence[str],
    said: TrainingMetadata,
) -> None:
    """A project stays with what it was made from, however often `init` is run. Raises ProjectError."""
    made_from = {
        "classes": json.dumps(list(classes)),
        "weights": sha256_of_file(weights),
        "dataset": dataset.fingerprint,
    }
    with write(project.engine) as session:
        made = get_fact(session, "dataset") is not None
        for what, given in made_from.items():
            if (kept := claim_fact(session, what, given)) != given:
                raise ProjectError(
                    f"expected the {what} this project was made with ({kept}), got others ({given}); "
                    f"choose another folder, or remove {project.root} and make it anew"
                )
        if (kept := claimed_metadata(session, said, made)) != said.text:
            raise ProjectError(
                f"expected what was said of the training set when this project was made ({kept}), got "
                f"{said.text}; leave out --train-..., and tell the rest with `fieldloop metadata import`"
            )
        claim_fact(session, "project", secrets.token_hex(8))


def _deploy(project: Project, weights: Path, classes: Sequence[str]) -> None:
    data = weights.read_bytes()
    sha256 = content_hash(data)
    path = project.models / f"{sha256}.pt"
    if not path.is_file():
        write_atomically(path, data)
    with write(project.engine) as session:
        claim_fact(session, "evaluation_secret", _evaluation_key(project.settings.seed, sha256))
        model = add_model(session, sha256, f"models/{path.name}", classes, ModelStatus.CANDIDATE, None)
        if deployed(session) is None:
            deploy(session, model, "init")
    sync_deployed(project)


def _evaluation_key(seed: int, weights_sha256: str) -> str:
    """The key of the hash that sets camera-days apart: the same project made twice sets the same
    ones apart.
    """
    return hashlib.sha256(f"{seed}|{weights_sha256}".encode()).hexdigest()


def _import_images(
    project: Project,
    labeled: Sequence[ImportedImage],
    captures: Mapping[Path, Capture],
    classes: Sequence[str],
    progress: Progress,
) -> list[Problem]:
    """What is told of them: images that cannot be decoded are left out, for one of them would end
    every training.
    """
    damaged: list[Problem] = []
    done = 0
    for chunk in chunked_by_size(labeled, CHUNK, lambda image: image.path.stat().st_size, BATCH_BYTES):
        damaged += _import_chunk(project.engine, project.store, chunk, captures, classes)
        done += len(chunk)
        progress(done, len(labeled), "images")
    return damaged


def _import_chunk(
    engine: Engine,
    store: Path,
    chunk: Sequence[ImportedImage],
    captures: Mapping[Path, Capture],
    classes: Sequence[str],
) -> list[Problem]:
    read = [(image, *_to_store(image.path)) for image in chunk]
    hashed = [(image, data, content_hash(data)) for image, data, _ in read if data]
    stored = [
        (image, sha256, store_image(store, sha256, inspect(data).suffix, data), len(data))
        for image, data, sha256 in hashed
    ]
    _record_chunk(engine, stored, captures, classes)
    return [problem for _, _, problem in read if problem]


def _to_store(path: Path) -> tuple[bytes, Problem | None]:
    """What is kept of an image, b"" where it cannot be decoded, and what is told of it."""
    data = path.read_bytes()
    try:
        if inspect(data).bits > 8:
            told = "it had 16 bits and is stored with 8, stretched from its darkest to its brightest value"
            return stretched(data), Problem(path, 0, "stretched", told, 0)
        decode(data)
    except ImageRejected as rejection:
        return b"", Problem(path, 0, "image", str(rejection))
    return data, None


def _record_chunk(
    engine: Engine,
    stored: Sequence[tuple[ImportedImage, str, str, int]],
    captures: Mapping[Path, Capture],
    classes: Sequence[str],
) -> None:
    with write(engine) as session:
        known = known_hashes(session, [sha256 for _, sha256, _, _ in stored])
        for image, sha256, path, size in stored:
            if sha256 in known:
                continue
            capture = captures[image.path]
            key = f"imported:{image.split}:{capture.sequence or image.sequence or sha256[:16]}"
            role = Role.POOL if image.split == "train" else Role.EVALUATION
            frame = NewFrame(
                content_hash=sha256,
                path=path,
                origin=Origin.IMPORTED,
                split=image.split,
                group_id=group_id(session, key, role),
                camera=capture.camera or UNKNOWN,
                site=capture.site or UNKNOWN,
                sequence=capture.sequence or image.sequence,
                captured_at=capture.captured_at,
                width=image.width,
                height=image.height,
                bytes=size,
                source_key=capture.key,
            )
            seq = add_frame(session, frame)
            if seq is not None:
                boxes = [
                    Box(classes[box[0]], box[1:], "imported", None, *image.seen.get(box, ()))
                    for box in image.boxes or ()
                ]
                set_label(
                    session,
                    seq,
                    boxes,
                    Purpose.TRAIN if image.split == "train" else Purpose.EVALUATION,
                    "imported",
                )
