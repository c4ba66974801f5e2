"""A labeled project with four wrong labels, one of each kind, that its fakes see through."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.ports import Box
from db.engine import read, write
from db.labels import labels, set_label
from db.states import SuspectKind
from tests.fakes import FakeParts, FakeTrainer, weights

SPURIOUS = Box("person", (16.0, 0.0, 24.0, 8.0))


def wrong(parts: FakeParts) -> Mapping[SuspectKind, int]:
    """Plants the errors into labels to train on; the frame of each."""
    parts.fake_trainer = FakeTrainer(weights(note="fold"))
    with read(parts.project.engine) as session:
        held = labels(session, purpose="train", source="annotation")
    away = [seq for seq, label in held.items() if label.boxes[0].xyxy[0] < 16]
    frames = dict(zip(SuspectKind, away, strict=False))
    with write(parts.project.engine) as session:
        for kind, seq in frames.items():
            set_label(session, seq, _spoiled(kind, held[seq].boxes[0]), "train", "annotation")
    return frames


def _spoiled(kind: SuspectKind, box: Box) -> list[Box]:
    x1, y1, x2, y2 = box.xyxy
    other = {"person": "helmet", "helmet": "person"}[box.class_name]
    return {
        SuspectKind.OVERLOOKED: [],
        SuspectKind.SPURIOUS: [box, SPURIOUS],
        SuspectKind.CLASS: [Box(other, box.xyxy)],
        SuspectKind.LOCATION: [Box(box.class_name, (x1 + 3, y1 + 2, x2 + 3, y2 + 2))],
    }[kind]
