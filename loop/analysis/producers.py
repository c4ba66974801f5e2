"""Who the current models are as producers of facts, and how much of production they have analyzed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from connectors.ports import Detector, Embedder
from db.analysis import add_details, producer, producer_id
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.models import deployed
from db.progress import Backlog, backlog, count_seen, find_producer, has_producer, last_producer
from db.states import Origin
from loop.project.project import Project
from loop.project.wiring import Parts, deployed_weights, files_of_embedder
from loop.settings.settings import Settings

LOGIT_SCALE = "logit_scale"
"""Of what is remembered of an embedder."""
MEASURES_VERSION = "measures-2"
"""Who measures images; changes whenever a value of `image_statistics.measure` would."""


@dataclass(frozen=True)
class Producers:
    """The ids of those whose facts count now."""

    embedder: int
    detector: int
    measure: int


@dataclass(frozen=True)
class Analyzed:
    """How far one producer has come.

    kind: embedder, detector or measure.
    total: all frames.
    """

    kind: str
    name: str
    done: int
    total: int


def producers(parts: Parts) -> Producers:
    """Those of the configured embedder and the deployed detector. A model is loaded only where
    nothing was ever analyzed by it. Raises ModelError, ProjectError.
    """
    project, settings = parts.project, parts.project.settings
    sha256 = deployed_weights(project)[0]
    with read(project.engine) as session:
        embedder = known_embedder(session, project)
        detector = known_detector(session, settings, sha256)
        measure = current_measure(session)
    if embedder is None:
        model = parts.embedder()
        with write(project.engine) as session:
            embedder = register_embedder(session, project, model)
    if detector is None:
        sha256, found = deployed_detector(parts)
        with write(project.engine) as session:
            detector = register_detector(session, settings, sha256, found)
    if measure is None:
        with write(project.engine) as session:
            measure = producer_id(session, "measure", MEASURES_VERSION, {})
    return Producers(embedder, detector, measure)


def deployed_detector(parts: Parts) -> tuple[str, Detector]:
    """The hash of the deployed weights and the detector made of them, whatever is promoted
    meanwhile. Raises ModelError.
    """
    sha256 = deployed_weights(parts.project)[0]
    while True:
        detector = parts.detector()
        now = deployed_weights(parts.project)[0]
        if now == sha256:
            return sha256, detector
        sha256 = now


def register_embedder(session: Session, project: Project, embedder: Embedder) -> int:
    """Its id; the settings that it was made from are remembered with it."""
    details = {"dim": embedder.dim, LOGIT_SCALE: embedder.logit_scale}
    made = producer_id(session, "embedder", embedder.name, details)
    add_details(session, made, details)
    _remember(session, _embedder_key(project), made)
    return made


def register_detector(session: Session, settings: Settings, sha256: str, detector: Detector) -> int:
    """Its id; the weights and settings that it was made from are remembered with it."""
    made = producer_id(session, "detector", detector.name, {"classes": list(detector.classes)})
    _remember(session, _detector_key(settings, sha256), made)
    return made


def known_embedder(session: Session, project: Project) -> int | None:
    """The id of the configured embedder without loading it, None before its first use and where its
    files were changed since.
    """
    made = get_fact(session, _embedder_key(project))
    return None if made is None else int(made)


def embedder_of_vectors(session: Session, project: Project) -> int | None:
    """The embedder by whose vectors frames are looked at: the configured one, or the one that saw frames
    last where that has yet to be loaded, such as in a copy of a project; None where there are no vectors.
    """
    known = known_embedder(session, project)
    return last_producer(session, "embedder") if known is None else known


def current_measure(session: Session) -> int | None:
    """The id of those who measure images now, None before their first use."""
    return find_producer(session, "measure", MEASURES_VERSION)


def known_detector(session: Session, settings: Settings, sha256: str) -> int | None:
    """The id of the detector of these weights without loading it, None before its first use."""
    made = get_fact(session, _detector_key(settings, sha256))
    return None if made is None else int(made)


def backlog_of(parts: Parts, until: datetime | None = None, origin: Origin = Origin.PRODUCTION) -> Backlog:
    """How much of an origin, or of what came in by then, the current models have analyzed. Raises
    ModelError, ProjectError.
    """
    made = producers(parts)
    with read(parts.project.engine) as session:
        return backlog(session, made.embedder, made.detector, until, origin)


def said(found: Backlog) -> str:
    """One line where analysis is not done, "" where it is."""
    if not found.waiting:
        return ""
    return (
        f"{found.analyzed} of {found.production} production frames are analyzed by the current models; "
        "run `fieldloop analyze`"
    )


def progress(session: Session, project: Project, total: int) -> list[Analyzed]:
    """How far the configured embedder, the deployed detector and the measurements have come; loads
    no model.
    """
    model, settings = deployed(session), project.settings
    embedder = get_fact(session, _embedder_key(project))
    detector = get_fact(session, _detector_key(settings, model.sha256)) if model else None
    measure = current_measure(session)
    found = (
        _progress(session, "embedder", embedder, settings.embedder.model, total),
        _progress(session, "detector", detector, model.sha256[:16] if model else "", total),
        _progress(session, "measure", None if measure is None else str(measure), MEASURES_VERSION, total),
    )
    return [item for item in found if item is not None]


def _progress(session: Session, kind: str, made: str | None, name: str, total: int) -> Analyzed | None:
    """None while no frame was analyzed by any producer of this kind."""
    if made is not None:
        done = count_seen(session, kind, int(made), total)
        return Analyzed(kind, producer(session, int(made)).name, done, total)
    return Analyzed(kind, name, 0, total) if has_producer(session, kind) else None


def _remember(session: Session, key: str, made: int) -> None:
    if get_fact(session, key) != str(made):
        set_fact(session, key, str(made))


def _embedder_key(project: Project) -> str:
    chosen = project.settings.embedder
    files = files_of_embedder(project.root, chosen.model)
    told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    own = chosen.model_dump(include={"model", "pretrained", "device"})
    return _key("embedder", own | ({"files": told} if told else {}))


def _detector_key(settings: Settings, sha256: str) -> str:
    chosen = settings.detector.model_dump(include={"imgsz", "confidence", "iou"})
    return _key("detector", chosen | {"weights": sha256})


def _key(kind: str, made_from: dict[str, object]) -> str:
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return f"{kind}:{digest}"
