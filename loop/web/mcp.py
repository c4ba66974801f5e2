"""The read-only part for people's agents: tools of the Model Context Protocol over the same read model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from loop.insights.failures import failure_of
from loop.insights.overview import overview
from loop.project.project import Project
from loop.web.api.faces import plain_json

INSTRUCTIONS = (
    "Reads one fieldloop project: the active-learning loop of an object detector in production. Nothing can"
    " be changed here. A set of frames is named by an address such as camera=gate&class=helmet&labeled=no;"
    " the same address opens the page /frames?... of the service."
)
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
Answer = TypeVar("Answer")


def build_mcp(project: Project) -> MCPServer[Any]:
    """A server of the tools; run it over stdio."""
    server: MCPServer[Any] = MCPServer(project.settings.name, instructions=INSTRUCTIONS, log_level="ERROR")

    def status() -> dict[str, Any]:
        """Where every step of the loop stands: frames, analysis, batches, tasks, labels, models, rounds."""
        found: dict[str, Any] = plain_json(overview(project))
        return found

    for tool in (status,):
        server.tool(annotations=READS)(_told(tool))
    return server


def _told(tool: Callable[..., Answer]) -> Callable[..., Answer]:
    """What is refused is said to the agent as it is said to people."""
    from functools import wraps

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
