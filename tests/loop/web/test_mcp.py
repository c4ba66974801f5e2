"""The real command, asked over stdin and stdout in the real protocol."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
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


def tool_names(project: Project) -> list[str]:
    async def question(client: Client) -> list[str]:
        return [tool.name for tool in (await client.list_tools()).tools]

    return asked(project, question)


def test_an_agent_reads_and_changes_nothing(full: Project) -> None:
    async def question(client: Client) -> dict[str, Any]:
        tools = (await client.list_tools()).tools
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description for tool in tools)
        assert {tool.name for tool in tools} >= {"status", "find_frames", "queue", "rounds", "models"}
        found = {}
        for name, arguments in ASKED.items():
            answer = await client.call_tool(name, arguments)
            assert not answer.is_error, (name, answer.content)
            found[name] = answer.structured_content
        for arguments, said in REFUSED.items():
            refused = await client.call_tool(*arguments[:1], dict(arguments[1:]))
            assert refused.is_error
            assert said in str(refused.content)
        return found

    before = rows_of(full.root / "fieldloop.db")
    found = asked(full, question)
    assert found["status"]["frames"]["production"] == 42
    assert found["find_frames"]["count"] == 42
    assert len(found["find_frames"]["frames"]) == 3
    assert found["frame"]["seq"] == 40
    assert sum(bar["count"] for bar in found["spread_frames"]["bars"]) == 42
    assert found["queue"]["counts"]["due"] == 8
    assert found["rounds"]["rounds"][0]["status"] == "cancelled"
    assert found["round_detail"]["round"]["id"] == 1
    assert found["models"]["deployed"] == 1
    assert rows_of(full.root / "fieldloop.db") == before


def rows_of(path: Path) -> list[str]:
    """All that a database holds, whether in its file or in the log beside it."""
    with closing(sqlite3.connect(path)) as opened:
        return list(opened.iterdump())


ASKED: dict[str, dict[str, Any]] = {
    "status": {},
    "find_frames": {"address": "origin=production", "limit": 3},
    "spread_frames": {"by": "camera", "address": "/frames?origin=production"},
    "frame": {"seq": 40},
    "slices": {},
    "coverage": {},
    "collections": {},
    "bias": {},
    "queue": {},
    "rounds": {},
    "round_detail": {"number": 1},
    "models": {},
    "changes": {},
}
REFUSED = {
    ("find_frames", ("address", "colour=red")): "got 'colour'; leave it out",
    ("frame", ("seq", 99999)): "expected the number of a frame",
    ("round_detail", ("number", 99)): "expected a round",
}
