"""What the models of the API share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict

LARGEST = 2**53 - 1
"""The largest number that every program reads from JSON as it is."""
PAGE, MOST = 100, 1000
Id = Annotated[int, Path(ge=1, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]


class Face(BaseModel):
    """A part of the read model as JSON. Unknown is null, never zero."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Given(BaseModel):
    """What a change is told. A key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def plain_json(value: Any) -> Any:
    """For values whose shape the API does not promise."""
    from loop.base.jsonable import plain

    return plain(value)
