"""What the models of the API share."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from loop.base.jsonable import plain

LARGEST = 2**53 - 1
"""The largest number that every program reads from JSON as it is."""
PAGE, MOST = 100, 1000
REASON = 1000
"""Characters."""
Number = Annotated[int, Field(ge=1, le=LARGEST)]
Id = Annotated[int, Path(ge=1, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most")]
After = Annotated[int | None, Query(ge=1, le=LARGEST, description="`next` of the page before")]
Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before")]


class Face(BaseModel):
    """A part of the read model as JSON. Unknown is null, never zero."""

    model_config = ConfigDict(from_attributes=True, extra="ignore", populate_by_name=True)


F = TypeVar("F", bound=Face)


class Given(BaseModel):
    """What a change is told. A key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Because(Given):
    """Why; it stands in the audit log."""

    reason: str = Field("", max_length=REASON)


class WithReason(Given):
    """Why; it stands in the audit log."""

    reason: str = Field(min_length=1, max_length=REASON, pattern=r"\S")


class Drawn(Face):
    """One box."""

    class_name: str = Field(alias="class")
    xyxy: tuple[float, float, float, float] = Field(description="px of the upright frame")
    confidence: float | None = Field(None, description="of the model, null for a person's box")


def face_of(face: type[F], source: object, **own: Any) -> F:
    """A face of `source`: its attributes of the same names, and `own`."""
    said = {name: getattr(source, name) for name in face.model_fields if name not in own}
    return face(**said | own)


def plain_json(value: Any) -> Any:
    """For values whose shape the API does not promise."""
    return plain(value)
