"""The read-only part for people's agents: tools of the Model Context Protocol over the same read model."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from loop.insights.changes import ChangeQuery
from loop.insights.failures import failure_of
from loop.insights.frame_query import FrameQuery
from loop.insights.overview import overview
from loop.insights.queue import QueueQuery
from loop.project.wiring import Parts
from loop.web.api.bias import Bias, read_bias
from loop.web.api.changes import Changes, read_changes
from loop.web.api.collections import Collections, read_collections
from loop.web.api.coverage import Coverage, read_coverage
from loop.web.api.faces import plain_json
from loop.web.api.frames import By, FrameDetail, Frames, Spread, read_frame, read_frames, read_spread
from loop.web.api.queue import Tab, Tasks, read_queue
from loop.web.api.rounds import Models, RoundDetail, Rounds, read_models, read_round, read_rounds
from loop.web.api.slices import Slices, read_slices

INSTRUCTIONS = (
    "Reads one fieldloop project: the active-learning loop of an object detector in production. Nothing can"
    " be changed here. A set of frames is named by an address such as camera=gate&class=helmet&labeled=no;"
    " the same address opens the page /frames?... of the service."
)
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
Answer = TypeVar("Answer")


def build_mcp(parts: Parts) -> MCPServer[Any]:
    """A server of the tools; run it over stdio. None of them changes anything."""
    server: MCPServer[Any] = MCPServer(
        parts.project.settings.name, instructions=INSTRUCTIONS, log_level="ERROR"
    )
    for tool in _tools(parts):
        server.tool(annotations=READS)(_told(tool))
    return server


def _tools(parts: Parts) -> tuple[Callable[..., Any], ...]:
    project = parts.project

    def status() -> dict[str, Any]:
        """Where every step of the loop stands: frames, analysis, batches, tasks, labels, models, rounds."""
        found: dict[str, Any] = plain_json(overview(project))
        return found

    def find_frames(address: str = "", after: str = "", limit: int = 20) -> Frames:
        """Frames of a set, and how many there are. `after` is `next` of the page before."""
        return read_frames(parts, FrameQuery.parse(address), after, limit)

    def spread_frames(by: By, address: str = "") -> Spread:
        """How a set is spread over cameras, sites, days, classes, slices or states of tasks."""
        return read_spread(parts, FrameQuery.parse(address), by)

    def frame(seq: int) -> FrameDetail:
        """One frame: file, camera, time, boxes, why it was chosen, its slices and history, and like ones."""
        return read_frame(parts, seq)

    def coverage() -> Coverage:
        """Gaps: what production shows and the training set lacks; those that close; shares of conditions."""
        return read_coverage(project)

    def collections(every: bool = False) -> Collections:
        """Edge cases that are gathered, with members and growth; `every` has retired ones too."""
        return read_collections(project, every)

    def bias() -> Bias:
        """Classes that are tied to places, and what to collect against it."""
        return read_bias(project)

    def slices(every: bool = False) -> Slices:
        """What frames are divided by, with counts; `every` has retired and empty ones too."""
        return read_slices(project, every)

    def queue(tab: Tab = "due", after: int = 0, limit: int = 20) -> Tasks:
        """Label tasks, those that come first at the front."""
        return read_queue(project, QueueQuery(tab, after=after, limit=limit))

    def rounds(after: int | None = None, limit: int = 20) -> Rounds:
        """Retraining rounds, newest first."""
        return read_rounds(project, after, limit)

    def round_detail(number: int) -> RoundDetail:
        """One round with its verdict, the worst line first, and what people decided."""
        return read_round(project, number)

    def models() -> Models:
        """Checkpoints, which of them is in production, and what a roll back would bring back."""
        return read_models(project)

    def changes(
        after: int | None = None, who: str = "", what: str = "", subject: str = "", limit: int = 50
    ) -> Changes:
        """The audit log: who changed what, and what it was before; newest first."""
        return read_changes(project, ChangeQuery(who, what, subject), after, limit)

    return (
        status,
        find_frames,
        spread_frames,
        frame,
        coverage,
        collections,
        bias,
        slices,
        queue,
        rounds,
        round_detail,
        models,
        changes,
    )


def _told(tool: Callable[..., Answer]) -> Callable[..., Answer]:
    """What is refused is said to the agent as it is said to people."""

    @wraps(tool)
    def asked(*args: Any, **named: Any) -> Answer:
        try:
            return tool(*args, **named)
        except Exception as error:
            found = failure_of(error)
            if found is None:
                raise
            raise ToolError(found.text) from error

    return asked
