"""What sets of frames are told by: the producers whose facts count now, and the classes in labels."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from db.frame_sets import LabelStamp, MemberSets, label_classes, label_stamp
from db.models import deployed, model
from db.progress import find_producer
from db.recorded_slices import open_recorded
from db.states import SliceKind
from loop.analysis.producers import MEASURES_VERSION, Producers, embedder_of_vectors, known_detector
from loop.base.arrays import Ints
from loop.base.errors import ConfigError
from loop.project.project import Project

NONE = -1


@dataclass(frozen=True)
class Known:
    """Ids of those whose facts count now, None before their first use."""

    embedder: int | None
    detector: int | None
    measure: int | None

    def of(self, kind: SliceKind) -> int | None:
        """Whose word it is that a frame shows a slice of this kind."""
        from loop.gaps.shown import producer_of  # large, and most sets are asked for by no slice

        numbers = (NONE if made is None else made for made in (self.embedder, self.detector, self.measure))
        found = producer_of(kind, Producers(*numbers))
        return None if found == NONE else found


def known_producers(session: Session, project: Project) -> Known:
    """Loads no model."""
    model = deployed(session)
    return Known(
        embedder_of_vectors(session, project),
        None if model is None else known_detector(session, project.settings, model.sha256),
        find_producer(session, "measure", MEASURES_VERSION),
    )


def detector_of(session: Session, project: Project, model_id: int | None) -> int:
    """The detector of a model, of the deployed one for None.

    Raises ConfigError where it has seen no frame yet, StateError for a model that is none.
    """
    row = deployed(session) if model_id is None else model(session, model_id)
    found = None if row is None else known_detector(session, project.settings, row.sha256)
    if found is None:
        which = "the deployed model" if model_id is None else f"model {model_id}"
        raise ConfigError(
            f"frames: model_error: expected a model that has seen frames, got {which}; run"
            " `fieldloop analyze` once it is deployed"
        )
    return found


def class_key(name: str) -> str:
    """The key of the slice of frames on which the detector suspects a class."""
    from loop.gaps.shown import CLASS
    from loop.math.coverage.facets import slice_key

    return slice_key(CLASS, name)


def member_sets(project: Project) -> MemberSets:
    """Who shows which slice of this project."""
    from loop.gaps.slices import RECORDED, recorded_folder

    folder = recorded_folder(project)
    return MemberSets(RECORDED, lambda token: open_recorded(folder, token))


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
