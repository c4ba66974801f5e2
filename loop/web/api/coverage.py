"""GET /api/coverage: what production shows and the training set lacks, as it was last compared."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from loop.insights import coverage as found_coverage
from loop.insights.coverage import coverage, crossed
from loop.project.project import Project
from loop.web.api.faces import Face, face_of
from loop.web.site import Site

FACET = 200
"""Characters of a key of a facet."""


class Gap(Face):
    """A slice that production shows and the training set lacks."""

    slice_id: int
    name: str
    kind: str
    shown: bool = Field(description="whether chance does not explain it; otherwise it is suspected")
    production_share: float
    interval: tuple[float, float] | None = Field(description="95 %, of the share of production")
    training_share: float
    loss_inside: float = Field(description="expected of the model where it is shown")
    loss_elsewhere: float
    frames: int = Field(description="of production that show it")
    groups: int = Field(description="camera-days")
    certainty: str
    labeled: int = Field(description="training frames that show it")
    wanted: int = Field(description="that should")
    mark: str = Field(description="new, grew or shrank since the day before, or nothing of these")
    address: str = Field(description="of its frames")


class Closing(Face):
    """A gap that frames were chosen for."""

    slice_id: int
    name: str
    labeled: int
    wanted: int
    judged: int = Field(description="labeled frames of it that no model trains on")
    closed: bool


class Option(Face):
    """One answer of a facet on both sides; a share is null where it is known of no frame."""

    slice_id: int | None
    name: str
    production: int
    training: int
    production_share: float | None
    training_share: float | None


class Facet(Face):
    """A question that divides frames."""

    key: str
    name: str
    options: list[Option]


class Compared(Face):
    """One comparison of production with the training set."""

    made_at: datetime
    production: int = Field(description="frames")
    training: int = Field(description="frames")
    waiting: int = Field(description="production frames that were not analyzed yet")
    note: str
    gaps: list[Gap] = Field(description="those where most is lost first")
    more_gaps: int
    closing: list[Closing]
    facets: list[Facet]


class Coverage(Face):
    """What was compared last."""

    compared: Compared | None = Field(description="null before the first comparison")


class Cell(Face):
    """Frames of two conditions at once."""

    production: int
    training: int
    address: str | None = Field(description="of the production frames, null where none names them")


class Row(Face):
    """One condition, and a cell for each column."""

    name: str
    cells: list[Cell]


class Table(Face):
    """Two facets crossed."""

    made_at: datetime
    row: str = Field(description="key of the facet of the rows")
    column: str = Field(description="key of the facet of the columns")
    facets: list[str] = Field(description="keys that can be crossed")
    columns: list[str]
    rows: list[Row]


class Crossed(Face):
    """Two facets crossed."""

    table: Table | None = Field(description="null before the first comparison that knew two facets")


def read_coverage(project: Project) -> Coverage:
    found = coverage(project)
    if found is None:
        return Coverage(compared=None)
    gaps = [face_of(Gap, gap, address=gap.query.address()) for gap in found.gaps]
    return Coverage(compared=face_of(Compared, found, gaps=gaps))


def read_crossed(project: Project, row: str = "", column: str = "") -> Crossed:
    found = crossed(project, row, column)
    if found is None:
        return Crossed(table=None)
    return Crossed(
        table=Table(
            made_at=found.made_at,
            row=found.row_key,
            column=found.column_key,
            facets=[key for key, _ in found.axes],
            columns=[name for name, _ in found.columns],
            rows=[Row(name=name, cells=[_cell(cell) for cell in cells]) for name, _, cells in found.rows],
        )
    )


def _cell(cell: found_coverage.Cell) -> Cell:
    return face_of(Cell, cell, address=cell.query.address() if cell.query else None)


def routes(site: Site) -> APIRouter:
    router = APIRouter(tags=["read"])

    @router.get("/coverage")
    def latest() -> Coverage:
        """Gaps, those that close, and the shares of every condition on both sides."""
        return read_coverage(site.project)

    @router.get("/coverage/crossed")
    def table(
        row: Annotated[str, Query(max_length=FACET, description="a facet by its key")] = "",
        column: Annotated[str, Query(max_length=FACET, description="another")] = "",
    ) -> Crossed:
        """How many frames show two conditions at once."""
        return read_crossed(site.project, row, column)

    return router
