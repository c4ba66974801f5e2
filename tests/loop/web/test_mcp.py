"""The real command, asked over stdin and stdout in the real protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mcp import Client, StdioServerParameters

from loop.project.project import Project

Found = TypeVar("Found")


def asked(project: Project, question: Callable[[Client], Coroutine[Any, Any, Found]]) -> Found:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "loop.cli", "mcp", "--project", str(project.root)], cwd="."
    )

    async def ask() -> Found:
        async with Client(command) as client:
            return await question(client)

    return asyncio.run(asyncio.wait_for(ask(), 60))


def test_an_agent_reads_where_everything_stands(full: Project) -> None:
    async def question(client: Client) -> Any:
        tools = (await client.list_tools()).tools
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description for tool in tools)
        return await client.call_tool("status", {})

    answer = asked(full, question)
    assert not answer.is_error
    assert answer.structured_content["frames"]["production"] == 42
