"""From labels to a frozen, leak-free, balanced dataset version on disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import assert_never

from sqlalchemy.orm import Session

from connectors.data_yaml import SPLITS, label_path
from connectors.errors import ModelError
from connectors.ports import Progress, Purpose
from db.engine import read, write
from db.frames import FrameRow, frames
from db.labels import LabelRow, labels
from db.lots import lots_of_labels
from db.rounds import DatasetRow, Member, RoundRow, add_dataset, dataset, dataset_members, rounds
from db.slices import slices
from db.states import LotStatus, Origin
from db.tasks import gaps_shown
from loop.analysis.near_duplicates import leak_groups
from loop.analysis.producers import backlog_of
from loop.base.errors import PurposeError, Waiting
from loop.base.files import stored_problem
from loop.base.wording import counted
from loop.datasets.balance import Replay, repeats
from loop.datasets.export import export_yolo, listed_images, validate_export
from loop.datasets.freeze import Manifest, freeze, summary, with_lots
from loop.datasets.imported import DatasetError
from loop.datasets.units import Item, split_groups
from loop.gaps import arrivals
from loop.math.boxes.matching import with_class_ids
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.rounds.stored import mend


def freeze_dataset(project: Project, embedder: int, row: RoundRow) -> int:
    """Freezes, exports and checks the dataset of a round; the id of its version.

    embedder: the producer by whose vectors near-duplicates are told.
    Frames whose stored image is lost for good are left out. Raises DatasetError, RoundHeld.
    """
    manifest = build_manifest(project, embedder, row)
    with read(project.engine) as session:
        used = frames(session, seqs=[entry.frame for entry in manifest.entries])
    if lost := mend(project, used):
        manifest = build_manifest(project, embedder, row, lost.keys())
    out = project.datasets / manifest.sha256[:16]
    export_yolo(manifest, project.store, out)
    if problems := validate_export(out):
        listed = "; ".join(problems[:5])
        raise DatasetError(
            f"expected a dataset that can be trained on, got {counted(len(problems), 'problem')}: {listed}"
        )
    members = [Member(entry.frame, entry.split, entry.repeats) for entry in manifest.entries]
    relative = str(out.relative_to(project.root))
    with write(project.engine) as session:
        return add_dataset(session, manifest.sha256, relative, summary(manifest), members)


def ensure_analyzed(parts: Parts, row: RoundRow, progress: Progress, analyze: bool) -> None:
    """The training set, and what had come in when the round was opened, is analyzed by the current
    models, here and now where `analyze` says so.

    Raises Waiting where that is somebody else's work, ModelError where a model cannot do it.
    """

    def waiting() -> bool:
        return any(backlog_of(parts, row.created_at, origin).waiting for origin in Origin)

    if not waiting():
        return
    report = arrivals.analyze(parts, progress) if analyze else None
    if report is not None and report.failures:
        raise ModelError("; ".join(f"{kind}: {why}" for kind, why in report.failures.items()))
    if waiting():
        raise Waiting(
            f"expected everything that had come in when round {row.id} was opened to be analyzed by the"
            " current models, got a part; `fieldloop serve` goes on by itself when it is, or run `fieldloop"
            " round advance` then"
        )


def exported_whole(project: Project, frozen: DatasetRow) -> bool:
    """Whether an exported dataset is there, every image with the content its name says."""
    out = project.root / frozen.path
    images = [image for split in SPLITS for image in listed_images(out, split)]
    if not (images and (out / "data.yaml").is_file()):
        return False
    return all(
        not stored_problem(out, str(image.relative_to(out)), image.stem) and label_path(image).is_file()
        for image in images
    )


def build_manifest(
    project: Project, embedder: int, row: RoundRow, leave_out: Collection[int] = ()
) -> Manifest:
    """The manifest alone, nothing written.

    leave_out: frames that cannot be used.
    Raises DatasetError.
    """
    settings = project.settings
    with read(project.engine) as session:
        known = labels(session, usable=True)
        inspected = lots_of_labels(session, (LotStatus.ACCEPTED,))
        rows = frames(session, seqs=sorted(known.keys() - set(leave_out)))
        line = _ancestors(rounds(session), row.base_model_id)
        trained = [past.dataset_id for past in line if past.dataset_id is not None]
        seen = {m.frame for number in trained for m in dataset_members(session, number) if m.split == "train"}
        parent_hash = dataset(session, trained[0]).manifest_sha256 if trained else None
        conditions = _conditions(session, [frame.seq for frame in rows])
    groups = leak_groups(project.engine, embedder, rows)
    items = [item_of(frame, known[frame.seq], project.classes, groups, conditions, seen) for frame in rows]
    has_val = any(item.split in ("val", "test") and item.origin == Origin.IMPORTED for item in items)
    splits = split_groups(items, {"train": 1.0, "val": 0.0} if has_val else None, settings.seed)
    replay = Replay(*(row.settings[name] for name in ("replay", "new_repeats", "max_repeats")))
    factors = repeats(items, splits, replay, settings.seed)
    lineage = {"replay": asdict(replay), "seed": settings.seed}
    made_for = [*[past.id for past in line[:1]], row.id]
    made = freeze(
        items, project.classes, splits, factors, parent=parent_hash, rounds=made_for, settings=lineage
    )
    return with_lots(made, inspected)


def frozen_at(session: Session, model: int) -> datetime | None:
    """When the dataset of the newest round that a model came from was frozen; None for the model
    the team brought.
    """
    line = _ancestors(rounds(session), model)
    return dataset(session, line[0].dataset_id).created_at if line and line[0].dataset_id else None


def _ancestors(past: Sequence[RoundRow], base: int) -> list[RoundRow]:
    """The rounds that the base model came from, newest first; none for the model the team brought."""
    line: list[RoundRow] = []
    for row in reversed(past):
        if row.candidate_id == base and row.base_model_id != base and row.dataset_id is not None:
            line.append(row)
            base = row.base_model_id
    return line


def item_of(
    frame: FrameRow,
    label: LabelRow,
    classes: Sequence[str],
    groups: Mapping[int, int],
    conditions: Mapping[int, tuple[str, ...]],
    seen: set[int],
) -> Item:
    """The frame and its label as datasets hold them."""
    imported = frame.origin == Origin.IMPORTED
    return Item(
        frame=frame.seq,
        content_hash=frame.content_hash,
        path=frame.path,
        width=frame.width,
        height=frame.height,
        boxes=with_class_ids(label.boxes, classes),
        origin=frame.origin,
        group=frame.group_key,
        sequence=frame.sequence,
        captured_at=frame.captured_at,
        cluster=groups.get(frame.seq),
        conditions=conditions.get(frame.seq, ()),
        purpose=_purpose(label, imported),
        split=frame.split,
        new=not imported and frame.seq not in seen,
    )


def _purpose(label: LabelRow, imported: bool) -> Purpose:
    """An imported image keeps the side of the split that it came with."""
    match purpose := Purpose(label.purpose):
        case Purpose.TRAIN | Purpose.EVALUATION:
            return Purpose.TRAIN if imported else purpose
        case Purpose.CONSENSUS | Purpose.SUSPECT | Purpose.INSPECTION | Purpose.REPORT:
            raise PurposeError("freeze", purpose)
        case _:
            assert_never(purpose)


def _conditions(session: Session, labeled: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The gaps that each labeled frame showed when it was chosen, by the keys of their slices.

    What was seen then stays: however often production is compared meanwhile, the same labels give
    the same dataset.
    """
    shown = gaps_shown(session, labeled)
    keys = {row.id: row.key for row in slices(session) if not row.retired_at}
    return {
        frame: tuple(sorted(keys[number] for number in numbers if number in keys))
        for frame, numbers in shown.items()
    }
