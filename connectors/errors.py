"""What can go wrong at the edge of the house.

ConnectorError
├── SourceError          a folder, video or sidecar that cannot be read
├── ImageRejected        one image that cannot be used; carries a machine-readable code
├── DataYamlError        a YOLO data.yaml that cannot be used, or a place named in it
├── ModelError           weights, architecture or device
│   └── WeightsUnavailable   they are not on this machine and cannot be fetched
├── TrainingFailed       the training process ended without a result
│   ├── TrainingKilled       because of a signal: training again goes on
│   ├── TrainingHeld         for want of room on the disk: training again goes on once there is some
│   └── TrainingCancelled    because somebody asked for it
└── LabelStudioError
    ├── LabelStudioDown      no answer: wait and try again
    ├── TokenRefused         401: mend the token
    ├── ProjectGone          404: the project was deleted over there
    ├── StrangersProject     a project of that number that is not ours
    └── LabelConfigMismatch  its classes are no longer ours
"""

from __future__ import annotations


class ConnectorError(Exception):
    """Base of everything raised by connectors."""


class SourceError(ConnectorError):
    """A frame source that cannot be read."""


class ImageRejected(ConnectorError):
    """One image that cannot be used.

    code: one of empty, not_an_image, truncated, corrupt, oversized, unsupported, unreadable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DataYamlError(ConnectorError):
    """A YOLO data.yaml that cannot be used, or names a place that is not there."""


class ModelError(ConnectorError):
    """A model that cannot be loaded or run."""


class WeightsUnavailable(ModelError):
    """Weights that are neither on this machine nor can be fetched."""


class TrainingFailed(ConnectorError):
    """A training process that ended without a result."""


class TrainingKilled(TrainingFailed):
    """A training process that a signal ended, after so many whole epochs; `how`: in words."""

    def __init__(self, message: str, how: str, epoch: int) -> None:
        super().__init__(message)
        self.how = how
        self.epoch = epoch

    def __reduce__(self) -> tuple[type[TrainingKilled], tuple[str, str, int]]:
        return type(self), (str(self), self.how, self.epoch)


class TrainingHeld(TrainingFailed):
    """There is no room on the disk for training; once there is, training again goes on."""


class TrainingCancelled(TrainingFailed):
    """A training process that was asked to stop."""


class LabelStudioError(ConnectorError):
    """Label Studio answered something that is not expected."""


class LabelStudioDown(LabelStudioError):
    """Label Studio does not answer; the work stays queued."""


class TokenRefused(LabelStudioError):
    """Label Studio does not accept the token."""


class ProjectGone(LabelStudioError):
    """The project is not there any more."""


class StrangersProject(LabelStudioError):
    """A project of that number is there, or none on this server, and ours is elsewhere."""


class LabelConfigMismatch(LabelStudioError):
    """The label config names other classes than the detector."""
