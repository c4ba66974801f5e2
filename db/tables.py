"""The schema. The database is the truth; files and indexes are views of it.

`seq` is a frame's primary key and its id in the vector index. Derived facts (embeddings,
detections, measurements) are keyed (frame, producer) and written insert-or-ignore; the marker
columns of `frames` (`embedded_by`, `detected_by`, `measured_by`) name the producer whose facts are
complete for it and commit with them (0 = never). Times are UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from db.states import (
    OPEN_ROUNDS,
    OPEN_TASKS,
    BatchStatus,
    LotStatus,
    ModelStatus,
    ReportKind,
    Role,
    RoundStatus,
    SliceKind,
    SuspectKind,
    SuspectOutcome,
    TaskStatus,
    WorkKind,
)

Json = dict[str, Any]


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out, on SQLite as on PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"expected an aware datetime, got {value!r}")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def utcnow() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        Json: JSON,
        list[Any]: JSON,
        bytes: LargeBinary,
    }


UNPLACED = "camera = 'unknown' OR captured_at IS NULL"
BigId = BigInteger().with_variant(Integer, "sqlite")


class Fact(Base):
    """Small facts of the project: its uuid, the Label Studio project id, watermarks. Never a
    secret.
    """

    __tablename__ = "facts"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Group(Base):
    """A camera-day (or imported sequence): the unit that is never split between pool and
    evaluation.
    """

    __tablename__ = "groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(400), unique=True)  # "camera|2026-11-24" or "imported:sequence"
    role: Mapped[Role] = mapped_column(String(12))
    first_seen: Mapped[datetime] = mapped_column(default=utcnow)


class Frame(Base):
    """One stored image, once per content."""

    __tablename__ = "frames"
    __table_args__ = (
        Index("ix_frames_group", "group_id", "origin"),  # counted without reading a frame
        Index(
            "ix_frames_unplaced",
            "origin",
            "seq",
            sqlite_where=text(UNPLACED),
            postgresql_where=text(UNPLACED),
        ),
    )

    seq: Mapped[int] = mapped_column(BigId, primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(64), unique=True)  # sha256 of the file's bytes
    path: Mapped[str] = mapped_column(Text)  # below the project's store, POSIX
    origin: Mapped[str] = mapped_column(String(12))
    split: Mapped[str | None] = mapped_column(String(8))  # train, val or test of an imported dataset
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"))
    camera: Mapped[str] = mapped_column(String(120), index=True)
    site: Mapped[str] = mapped_column(String(120))
    sequence: Mapped[str | None] = mapped_column(String(200))
    captured_at: Mapped[datetime | None]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    source_key: Mapped[str] = mapped_column(Text)
    ingested_at: Mapped[datetime] = mapped_column(default=utcnow)
    embedded_by: Mapped[int] = mapped_column(default=0, index=True)
    detected_by: Mapped[int] = mapped_column(default=0, index=True)
    measured_by: Mapped[int] = mapped_column(default=0, index=True)


class Sighting(Base):
    """A file as it was last read: a rescan that finds size and time unchanged need not read it
    again.
    """

    __tablename__ = "sightings"

    source_key: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    content_hash: Mapped[str] = mapped_column(String(64))


class Reject(Base):
    """A file that could not be used, and why."""

    __tablename__ = "rejects"
    __table_args__ = (UniqueConstraint("source_key", "content_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    source_key: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(64))
    code: Mapped[str] = mapped_column(String(24), index=True)
    reason: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)


class Producer(Base):
    """An embedder, a detector or a set of measurements: whoever made derived facts."""

    __tablename__ = "producers"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))  # embedder, detector, measure
    name: Mapped[str] = mapped_column(String(300))  # changes whenever its output would
    details: Mapped[Json] = mapped_column(default=dict)  # dim, classes
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Embedding(Base):
    __tablename__ = "embeddings"

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    vector: Mapped[bytes]  # (D,) float16, unit norm


class Sentence(Base):
    """What a sentence means to an embedder."""

    __tablename__ = "sentences"

    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    text: Mapped[str] = mapped_column(Text, primary_key=True)
    vector: Mapped[bytes]  # (D,) float32, unit norm
    unknown_words: Mapped[list[Any]]  # that the embedder never met


class Detection(Base):
    """All boxes of one frame, best first, as packed little-endian arrays."""

    __tablename__ = "detections"

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    count: Mapped[int]
    xyxy: Mapped[bytes]  # (K, 4) float32 px
    confidence: Mapped[bytes]  # (K,) float32
    class_id: Mapped[bytes]  # (K,) int16
    class_scores: Mapped[bytes | None]  # (K, C) float16
    forward_ms: Mapped[float] = mapped_column(Float)


class Measurement(Base):
    """Image statistics of one frame, by name."""

    __tablename__ = "measurements"

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    values: Mapped[Json]  # {"brightness": 0..1, "contrast", "sharpness", "blockiness", ...}


class NearDuplicate(Base):
    """The cluster of near-duplicates that a frame is in, named by its leader; written with
    `camera_thresholds`.
    """

    __tablename__ = "near_duplicates"

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    leader: Mapped[int] = mapped_column(ForeignKey("frames.seq"))
    reach: Mapped[float] = mapped_column(Float)  # the distance within which others are its near-duplicates


class CameraThreshold(Base):
    """How far apart near-duplicates of a camera can be, to one embedder."""

    __tablename__ = "camera_thresholds"

    camera: Mapped[str] = mapped_column(String(120), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    threshold: Mapped[float] = mapped_column(Float)  # 0 = nothing to learn it from
    learned_from: Mapped[int]  # frames the camera had when it was learned
    frames: Mapped[int]  # of the camera that are in near_duplicates
    center: Mapped[bytes | None]  # (D,) float32, the median vector it was learned by; NULL: no leaders packed
    coordinates: Mapped[bytes | None]  # (K,) int16, those of the vectors that camera_leaders keep


class CameraLeaders(Base):
    """A hundred leaders or so of a camera, in the order in which they became leaders; written
    with `near_duplicates`. New frames are compared with them without reading a row for each.
    """

    __tablename__ = "camera_leaders"

    camera: Mapped[str] = mapped_column(String(120), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    part: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False
    )  # from 0; all but the last are full
    frames: Mapped[bytes]  # (n,) int64
    groups: Mapped[bytes]  # (n,) int64
    reaches: Mapped[bytes]  # (n,) float64
    vectors: Mapped[bytes]  # (n, K) float16, some coordinates of their embeddings


class Unclustered(Base):
    """A frame with a vector that is in no cluster yet: written with the vector, gone with the cluster."""

    __tablename__ = "unclustered"
    __table_args__ = ({"sqlite_with_rowid": False},)

    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    camera: Mapped[str] = mapped_column(String(120), primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)


class Slice(Base):
    """A part of the frames that lasts: a condition, a class, a region. Renaming or rewording it
    keeps its id.
    """

    __tablename__ = "slices"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(400), unique=True)  # "time of day/night", "region/7f3a91c2"
    kind: Mapped[SliceKind] = mapped_column(String(12))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("slices.id"))  # the facet it is an option of
    definition: Mapped[Json] = mapped_column(
        default=dict
    )  # sentences, limit, center: what decides who is in it
    name: Mapped[str] = mapped_column(String(200))  # what the settings or the search call it
    given_name: Mapped[str | None] = mapped_column(String(200))  # what a user calls it
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    retired_at: Mapped[datetime | None]  # no longer looked for; its history stays


class SliceMember(Base):
    """A frame that shows a slice, by one producer: the detector of classes, the embedder of
    sentences and regions, the measurements of all else.
    """

    __tablename__ = "slice_members"
    __table_args__ = (
        Index("ix_slice_members_slice", "slice_id", "producer", "frame"),
        {"sqlite_with_rowid": False},
    )

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    producer: Mapped[int] = mapped_column(ForeignKey("producers.id"), primary_key=True)
    slice_id: Mapped[int] = mapped_column(ForeignKey("slices.id"), primary_key=True)
    strength: Mapped[float] = mapped_column(Float)  # how clearly, larger is clearer


class SliceCount(Base):
    """What the production frames of one group say of a slice, by the models that count now; rebuilt
    from the facts.

    No row: no frame of the group is in it. Of how many frames it is known stands in the row of its
    facet too.
    """

    __tablename__ = "slice_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    slice_id: Mapped[int] = mapped_column(ForeignKey("slices.id"), primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("groups.id"), primary_key=True)
    known: Mapped[int]  # frames of which it is known whether they are inside
    inside: Mapped[int]
    confidence: Mapped[float] = mapped_column(
        Float
    )  # sum over the frames inside of the detector's mean confidence
    expected_loss: Mapped[float] = mapped_column(Float)  # sum over the frames inside


class Model(Base):
    """A detector checkpoint; its file is models/<sha256>.pt in the project."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(Text)
    classes: Mapped[list[Any]]
    status: Mapped[ModelStatus] = mapped_column(String(12))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Deployment(Base):
    """The deployed model is the newest row; rollback adds a row, history stays."""

    __tablename__ = "deployments"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    reason: Mapped[str] = mapped_column(Text)  # "init", "round 3", "rollback"
    at: Mapped[datetime] = mapped_column(default=utcnow)


class Batch(Base):
    """One act of choosing."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[BatchStatus] = mapped_column(String(12), index=True)
    strategy: Mapped[str] = mapped_column(String(40))
    seed: Mapped[int] = mapped_column(BigInteger)
    budget: Mapped[int]
    settings: Mapped[Json] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class LabelTask(Base):
    """One frame to be looked at by a person, for one purpose."""

    __tablename__ = "label_tasks"
    __table_args__ = (
        UniqueConstraint("frame", "batch_id", "purpose"),
        Index("ix_label_tasks_recent", "status", "changed_at"),
        Index(
            "one_open_task_per_frame_and_purpose",
            "frame",
            "purpose",
            unique=True,
            sqlite_where=text(f"status IN {tuple(str(s) for s in OPEN_TASKS)}"),
            postgresql_where=text(f"status IN {tuple(str(s) for s in OPEN_TASKS)}"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), index=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id"), index=True)
    purpose: Mapped[str] = mapped_column(String(12))  # one of connectors.ports.Purpose
    status: Mapped[TaskStatus] = mapped_column(String(12), index=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)  # what Label Studio carries
    rank: Mapped[int]  # 0 = most valuable of its batch
    priority: Mapped[float] = mapped_column(Float)  # 0..1
    reason: Mapped[str] = mapped_column(Text)
    component: Mapped[str] = mapped_column(String(24))  # which part of the strategy chose it
    slice_id: Mapped[int | None] = mapped_column(
        ForeignKey("slices.id"), index=True
    )  # what it was chosen to show
    shows: Mapped[list[Any]] = mapped_column(
        default=list, server_default="[]"
    )  # ids of the slices that were gaps then and that the frame shows
    inclusion_probability: Mapped[float | None] = mapped_column(Float)  # of frames that chance drew
    detector: Mapped[int | None] = mapped_column(ForeignKey("producers.id"))  # whose boxes were drawn
    external_project: Mapped[int | None]
    external_id: Mapped[int | None]
    problem: Mapped[str] = mapped_column(
        Text, default="", server_default=""
    )  # what a person must mend in its answers; of a cancelled one, why a person dropped it
    pinned: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # a person wants it first, whatever its priority
    drawn: Mapped[list[Any] | None] = mapped_column(
        JSON
    )  # given to Label Studio: [[class name, x1, y1, x2, y2, confidence], ...] in px; NULL: not known
    bare: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # sent without boxes by chance, to learn what drawn boxes do
    slot: Mapped[int] = mapped_column(
        default=0, server_default="0"
    )  # which Label Studio project holds it: 0 the first persons', 1 the second persons', 2 the third's
    about: Mapped[Json] = mapped_column(
        default=dict, server_default="{}"
    )  # what a task of another purpose than train and evaluation is about
    stands: Mapped[int | None]  # the id of its answer in force, while it is done
    rule: Mapped[str] = mapped_column(
        String(24), default="", server_default=""
    )  # which rule chose that answer among those to the task
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class Annotation(Base):
    """Every answer as Label Studio gave it, once per change; history is kept."""

    __tablename__ = "annotations"
    __table_args__ = (UniqueConstraint("external_project", "external_id", "updated_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("label_tasks.id"), index=True)
    external_project: Mapped[int]
    external_id: Mapped[int]
    author: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    cancelled: Mapped[bool]
    lead_time_s: Mapped[float | None] = mapped_column(Float)
    result: Mapped[list[Any]]
    boxes: Mapped[list[Any] | None] = mapped_column(
        JSON
    )  # what it shows, as `labels.boxes`; NULL: it was no label, or came before boxes were kept
    guideline: Mapped[int | None] = mapped_column(
        ForeignKey("guidelines.id")
    )  # the guideline that labelers were shown when it came


class Label(Base):
    """What we hold to be true of a frame: at most one row each; no boxes = verified background."""

    __tablename__ = "labels"

    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    boxes: Mapped[list[Any]]  # [[class name, x1, y1, x2, y2, origin], ...] in px
    purpose: Mapped[str] = mapped_column(String(12))  # train, evaluation
    source: Mapped[str] = mapped_column(String(12))  # imported, annotation
    annotation_id: Mapped[int | None] = mapped_column(ForeignKey("annotations.id"))
    rule: Mapped[str] = mapped_column(
        String(24), default="", server_default=""
    )  # which rule chose that answer
    imported: Mapped[list[Any] | None] = mapped_column(
        JSON
    )  # the boxes that came with the dataset, where an answer has taken their place
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)


class Guideline(Base):
    """One wording of labeling/guideline.md that labelers were shown, until the next row's time."""

    __tablename__ = "guidelines"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    shown_at: Mapped[datetime] = mapped_column(default=utcnow)


class SuspectRun(Base):
    """One comparison of the labels with models that were not trained on them."""

    __tablename__ = "suspect_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]
    judges: Mapped[Json] = mapped_column(default=dict)  # the models, and how they were trained
    calibration: Mapped[Json] = mapped_column(default=dict)  # what turns a score into a probability, by kind


class Suspect(Base):
    """One label, or one place without a label, that looks wrong."""

    __tablename__ = "suspects"
    __table_args__ = (Index("ix_suspects_run", "run_id", "gain"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("suspect_runs.id"))
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), index=True)
    kind: Mapped[SuspectKind] = mapped_column(String(12))
    box: Mapped[list[Any] | None] = mapped_column(
        JSON
    )  # the label: [class name, x1, y1, x2, y2]; NULL: none is there
    fix: Mapped[list[Any] | None] = mapped_column(JSON)  # what it should be; NULL: no box
    score: Mapped[float] = mapped_column(Float)  # 0..1, larger is more suspect, of its kind alone
    probability: Mapped[float] = mapped_column(Float)  # that it is wrong, over all kinds
    gain: Mapped[float] = mapped_column(Float)  # expected errors mended per second of a person
    task_id: Mapped[int | None] = mapped_column(ForeignKey("label_tasks.id"), index=True)
    outcome: Mapped[SuspectOutcome | None] = mapped_column(String(12))
    decided_at: Mapped[datetime | None]


class Lot(Base):
    """Labels of which a random sample is inspected, and what its plan says of them."""

    __tablename__ = "lots"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    status: Mapped[LotStatus] = mapped_column(String(12), index=True)
    plan: Mapped[Json]  # its name, sample sizes, acceptance numbers, what it claims and with which confidence
    seed: Mapped[int] = mapped_column(BigInteger)
    who: Mapped[str] = mapped_column(String(120))
    drawn_at: Mapped[datetime] = mapped_column(default=utcnow)
    decided_at: Mapped[datetime | None]


class LotMember(Base):
    """A frame of a lot, with its label as it was when the lot was drawn."""

    __tablename__ = "lot_members"

    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"), primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True, index=True)
    boxes: Mapped[list[Any]]  # as `labels.boxes`
    annotation_id: Mapped[int | None] = mapped_column(ForeignKey("annotations.id"))
    author: Mapped[str] = mapped_column(String(200))  # who gave the answer, "" for imported labels


class LotDraw(Base):
    """A frame of a lot that chance drew to be inspected."""

    __tablename__ = "lot_draws"

    lot_id: Mapped[int] = mapped_column(ForeignKey("lots.id"), primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    stage: Mapped[int] = mapped_column(primary_key=True)  # 1, or 2 of a double plan
    places: Mapped[list[Any]]  # which of its places count; one may come twice
    task_id: Mapped[int | None] = mapped_column(ForeignKey("label_tasks.id"), index=True)
    inspected: Mapped[int | None]  # places looked at; NULL: not yet
    wrong: Mapped[int | None]  # of them, those that were wrong


class Dataset(Base):
    """A frozen dataset version; its manifest's hash is its name."""

    __tablename__ = "datasets"

    id: Mapped[int] = mapped_column(primary_key=True)
    manifest_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(Text)  # below the project folder
    summary: Mapped[Json] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class DatasetMember(Base):
    __tablename__ = "dataset_members"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), primary_key=True)
    split: Mapped[str] = mapped_column(String(8))  # train, val, test
    repeats: Mapped[int] = mapped_column(default=1)


class Round(Base):
    """One retraining: from frozen labels to promoted or rejected."""

    __tablename__ = "rounds"
    __table_args__ = (
        Index(
            "one_open_round",
            text("(1)"),
            unique=True,
            sqlite_where=text(f"status IN {tuple(str(s) for s in OPEN_ROUNDS)}"),
            postgresql_where=text(f"status IN {tuple(str(s) for s in OPEN_ROUNDS)}"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[RoundStatus] = mapped_column(String(20), index=True)
    settings: Mapped[Json] = mapped_column(default=dict)
    base_model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id"))
    candidate_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    verdict: Mapped[Json | None]
    progress: Mapped[Json] = mapped_column(default=dict)  # epoch, epochs, pid
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    changed_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)


class Run(Base):
    """Ledger of job runs."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(24), index=True)
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(12))  # done, waiting, stopped, failed, missed
    detail: Mapped[str | None] = mapped_column(Text)


class Lease(Base):
    """Who may act; a holder that stops beating loses it."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(24), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime]


class Change(Base):
    """What a person, or a program for one, changed: the audit log. Rows are added and never changed."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)
    who: Mapped[str] = mapped_column(String(120))
    via: Mapped[str] = mapped_column(String(12))  # page, api, command
    what: Mapped[str] = mapped_column(String(40), index=True)  # "model promoted"
    subject: Mapped[str] = mapped_column(String(200), index=True)  # "model 3", "task 12"
    before: Mapped[Json] = mapped_column(default=dict)
    after: Mapped[Json] = mapped_column(default=dict)


class IdempotentRequest(Base):
    """The answer to a change that was asked for under a key, so that asking again changes nothing."""

    __tablename__ = "idempotent_requests"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))  # sha256 of what was asked
    status: Mapped[int | None]  # of the answer; NULL: it is still being worked on
    body: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


class AskedWork(Base):
    """Work that a person, or a program for one, asked for once; done in the background."""

    __tablename__ = "asked_work"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[WorkKind] = mapped_column(String(24))
    title: Mapped[str] = mapped_column(String(200))
    arguments: Mapped[Json]
    who: Mapped[str] = mapped_column(String(120))
    via: Mapped[str] = mapped_column(String(12))  # page, api
    asked_at: Mapped[datetime] = mapped_column(default=utcnow)
    begun_at: Mapped[datetime | None]  # last
    times_begun: Mapped[int] = mapped_column(default=0)  # more than once after kills
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str] = mapped_column(String(12), default="")  # done, failed, waiting, stopped
    detail: Mapped[str] = mapped_column(Text, default="")


class PageFact(Base):
    """What a page shows, as it was computed once: a view that can be made anew, with its date."""

    __tablename__ = "page_facts"
    __table_args__ = (Index("ix_page_facts_kind", "kind", "made_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))  # coverage, bias
    made_at: Mapped[datetime] = mapped_column(default=utcnow)
    value: Mapped[Json]


class Report(Base):
    """A mistake of a model on a frame, as a person saw it."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(ForeignKey("frames.seq"), index=True)
    model_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))  # whose mistake, if any
    kind: Mapped[ReportKind] = mapped_column(String(12))
    class_name: Mapped[str | None] = mapped_column(String(200))
    box: Mapped[list[Any] | None]  # [x1, y1, x2, y2] in px
    note: Mapped[str] = mapped_column(Text, default="")
    who: Mapped[str] = mapped_column(String(120))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    closed_at: Mapped[datetime | None]  # looked at, or taken back
