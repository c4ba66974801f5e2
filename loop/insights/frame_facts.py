"""What sets of frames are told by: the producers whose facts count now, and the classes in labels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from db.frame_sets import LabelStamp, label_classes, label_stamp
from db.models import deployed
from db.progress import find_producer
from db.states import SliceKind
from loop.analysis.producers import MEASURES_VERSION, Producers, known_detector, known_embedder
from loop.base.arrays import Ints
from loop.project.project import Project

NONE = -1


@dataclass(frozen=True)
class Known:
    """Ids of those whose facts count now, None before their first use."""

    embedder: int | None
    detector: int | None
    measure: int | None

    def of(self, producer_of: Callable[[SliceKind, Producers], int], kind: SliceKind) -> int | None:
        """Whose word it is that a frame shows a slice of this kind."""
        numbers = (NONE if made is None else made for made in (self.embedder, self.detector, self.measure))
        found = producer_of(kind, Producers(*numbers))
        return None if found == NONE else found


def known_producers(session: Session, project: Project) -> Known:
    """Loads no model."""
    model = deployed(session)
    return Known(
        known_embedder(session, project),
        None if model is None else known_detector(session, project.settings, model.sha256),
        find_producer(session, "measure", MEASURES_VERSION),
    )


@dataclass(frozen=True, eq=False)
class Labeled:
    """frames: (L,) ids of labeled frames. by_class: ids of those with a box of each class."""

    frames: Ints
    by_class: dict[str, Ints]

    def of(self, name: str) -> Ints:
        return self.by_class.get(name, np.zeros(0, np.int64))


class LabelClasses:
    """Which classes labels hold, read again when a label changed. Safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: LabelStamp | None = None
        self._found = Labeled(np.zeros(0, np.int64), {})

    def now(self, session: Session) -> Labeled:
        stamp = label_stamp(session)
        with self._lock:
            if stamp != self._stamp:
                frames, by_class = label_classes(session)
                self._stamp, self._found = stamp, Labeled(frames, by_class)
            return self._found
