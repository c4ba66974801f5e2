"""What is said of the imported training set as a whole, once, when the project is made."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from connectors.times import in_utc, zone
from db.facts import claim_fact, get_fact
from loop.base.errors import ConfigError

FACT = "training_metadata"


@dataclass(frozen=True)
class TrainingMetadata:
    """camera, site: of images of which neither sidecar nor path names one.
    pattern: how a path below the dataset's folder is read, see connectors.sources.pattern.

    time: about when images without a time of their own were taken. It tells their time of day
    alone: neither a camera-day nor a burst, for it is no image's own.
    """

    camera: str = ""
    site: str = ""
    pattern: str = ""
    time: datetime | None = None

    def in_utc(self, timezone: str) -> TrainingMetadata:
        """The same, a time without an offset read in `timezone`. Raises ConfigError, also for what is
        no text.
        """
        for option, text in (("camera", self.camera), ("site", self.site), ("pattern", self.pattern)):
            if not text.isprintable():
                raise ConfigError(f"--train-{option}: expected printable text, got {text!r}; write it anew")
        try:
            return replace(self, time=self.time and in_utc(self.time, zone(timezone)))
        except ValueError as error:
            raise ConfigError(f"--train-time: {error}") from error

    @property
    def days_alone(self) -> bool:
        """Whether the pattern tells dates without times: noon then stands for a day."""
        from connectors.sources.pattern import compile_pattern

        pattern = compile_pattern(self.pattern) if self.pattern else None
        return pattern is not None and pattern.has_date and not pattern.has_time

    @property
    def text(self) -> str:
        """As JSON, what is said alone."""
        said = {"camera": self.camera, "site": self.site, "pattern": self.pattern}
        said["time"] = self.time.isoformat() if self.time else ""
        return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)


NOTHING_SAID = TrainingMetadata()


def claimed_metadata(session: Session, given: TrainingMetadata, made: bool) -> str:
    """What is said of the training set of this project, as text.

    made: its images may be in already; then what was said when they came in stands.
    """
    kept = get_fact(session, FACT)
    if kept is None:
        return claim_fact(session, FACT, NOTHING_SAID.text if made else given.text)
    return kept


def kept_metadata(session: Session) -> TrainingMetadata:
    """What was said when the project was made; its time is in UTC."""
    said = json.loads(get_fact(session, FACT) or "{}")
    if said.get("time"):
        said["time"] = datetime.fromisoformat(said["time"])
    return TrainingMetadata(**said)
