"""Every status, in one line each. A status exists only for what a person or an outside system
decides.
"""

from __future__ import annotations

from enum import StrEnum


class Origin(StrEnum):
    PRODUCTION = "production"  # seen by a camera after deployment
    IMPORTED = "imported"  # came with the team's own labeled dataset


class Role(StrEnum):
    POOL = "pool"  # frames of this group may be selected for training
    EVALUATION = "evaluation"  # frames of this group only ever judge


class SliceKind(StrEnum):
    FACET = (
        "facet"  # all frames of which one way of dividing them is known; the options are slices of their own
    )
    METADATA = "metadata"  # camera, site, part of the day
    MEASURED = "measured"  # beyond a limit of a measurement
    PROMPT = "prompt"  # what a sentence says, by CLIP
    CLASS = "class"  # the detector suspects an object of the class
    REGION = "region"  # a part of the embedding space that nobody described
    COLLECTION = "collection"  # what a user gathers
    JOINT = "joint"  # several slices at once


class BatchStatus(StrEnum):
    SELECTING = "selecting"  # being chosen
    QUEUED = "queued"  # its tasks are on the way to Label Studio, or there
    CLOSED = "closed"  # no task of it is open any more


class TaskStatus(StrEnum):
    PENDING = "pending"  # chosen, not yet sent
    SENT = "sent"  # an import was attempted; look before sending again
    CONFIRMED = "confirmed"  # seen in Label Studio, waits for a person
    DONE = "done"  # answered and turned into labels
    SKIPPED = "skipped"  # a person skipped it
    QUARANTINED = (
        "quarantined"  # answered with classes we do not know, or with what is no box; a person must mend it
    )
    CANCELLED = "cancelled"  # withdrawn, or deleted in Label Studio


OPEN_TASKS = (TaskStatus.PENDING, TaskStatus.SENT, TaskStatus.CONFIRMED, TaskStatus.QUARANTINED)


class RoundStatus(StrEnum):
    FREEZING = "freezing"  # a dataset version is being frozen and exported
    TRAINING = "training"  # a candidate is being fine-tuned
    JUDGING = "judging"  # candidate and deployed model are compared on the held-out frames
    AWAITING_APPROVAL = "awaiting_approval"  # passed the gate; a person promotes or rejects
    PROMOTED = "promoted"  # the candidate is deployed
    REJECTED = "rejected"  # the gate or a person said no
    CANCELLED = "cancelled"  # a person stopped it
    FAILED = "failed"  # it cannot go on; the reason stands in `error`


OPEN_ROUNDS = (RoundStatus.FREEZING, RoundStatus.TRAINING, RoundStatus.JUDGING, RoundStatus.AWAITING_APPROVAL)


class ModelStatus(StrEnum):
    CANDIDATE = "candidate"  # trained, not judged or not promoted
    DEPLOYED = "deployed"  # the one in production
    RETIRED = "retired"  # was deployed once
    REJECTED = "rejected"  # judged and refused


class ReportKind(StrEnum):
    MISSED = "missed"  # an object without a box
    FALSE = "false"  # a box without an object
    CLASS = "class"  # the right place, another class
    BOX = "box"  # the right object, a bad box
    OTHER = "other"  # what the note says


class SuspectKind(StrEnum):
    OVERLOOKED = "overlooked"  # an object without a box
    SPURIOUS = "spurious"  # a box without an object
    CLASS = "class"  # the right place, another class
    LOCATION = "location"  # the right object, a bad box


class SuspectOutcome(StrEnum):
    CONFIRMED = "confirmed"  # a person changed the label there
    REFUTED = "refuted"  # a person looked and left it as it was


class LotStatus(StrEnum):
    DRAWN = "drawn"  # its sample is before people
    ACCEPTED = "accepted"  # its plan says so
    REJECTED = "rejected"  # its plan says so; its labels enter no dataset until they were done again
    WITHDRAWN = "withdrawn"  # a person gave it up


class WorkKind(StrEnum):
    COMPARE = "compare"  # production with the training set
    BIAS = "bias"  # classes that are tied to places are looked for
    COUNTERFACTUAL = "counterfactual"  # objects are pasted elsewhere
    MAP = "map"  # the map of the frames is made anew
    PREFLIGHT = "preflight"  # what the verdict of a round could show
    SELECT = "select"  # a batch is chosen from a set of frames
    GATHER = "gather"  # the frames of a collection are found
